"""Before a service joins its group: topics are made where they are missing, and wrong ones end it with a word."""

import asyncio

import structlog
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError

from consumers.common.errors import BrokerUnreachable, OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import administering
from consumers.kafka.topics.topics import check_topics, create_topics, is_embedded

log = structlog.get_logger()

BROKER_AWAY = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError)
RETRY_SECONDS = 1.0


async def prepare_topics(settings: ServiceSettings) -> None:
    """Create missing topics and check the others.

    A broker that goes away meanwhile is waited for, `connect_seconds` in all, as one that is not there yet.

    Raises:
        BrokerUnreachable: no broker answered.
        ServiceFailed: a topic is such that something would be lost on it, or cannot be made.
        OperationFailed: the brokers went away and did not come back, or refused.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.connect_seconds
    while True:
        try:
            return await _prepare_once(settings)
        except BrokerUnreachable:
            raise  # it was waited for already
        except OperationFailed as error:
            if not isinstance(error.__cause__, BROKER_AWAY) or clock() + RETRY_SECONDS > deadline:
                raise
            log.warning("broker_lost_at_start", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _prepare_once(settings: ServiceSettings) -> None:
    try:
        async with administering(settings.broker, settings.connect_seconds) as admin:
            if settings.guarantee == "exactly_once" and await is_embedded(admin):
                raise ServiceFailed("the embedded broker has no transactions worth the name; use Apache Kafka")
            if made := await create_topics(admin, settings.topics):
                log.info("topics made", topics=made)
            problems = await check_topics(admin, settings.topics)
    except OperationFailed as error:
        if "Authorization" not in str(error):
            raise
        log.warning("we may not look at our topics; if one is wrong, nobody notices", error=str(error))
        return
    for problem in problems:
        if problem.severity == "warning":
            log.warning(problem.detail, topic=problem.topic)
    if errors := [str(problem) for problem in problems if problem.severity == "error"]:
        raise ServiceFailed("; ".join(errors))
