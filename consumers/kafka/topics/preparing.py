"""Before a service joins its group: topics are made where they are missing, and wrong ones end it with a word."""

import structlog

from consumers.common.errors import OperationFailed, ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import administering
from consumers.kafka.topics.topics import check_topics, create_topics, is_embedded

log = structlog.get_logger()


async def prepare_topics(settings: ServiceSettings) -> None:
    """Make what is missing, look at what is there.

    Raises:
        BrokerUnreachable: no broker answered.
        ServiceFailed: a topic is such that something would be lost on it, or cannot be made.
    """
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
