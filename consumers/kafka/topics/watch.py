"""Watch over the topics of a running service: what its start would refuse must not happen later without a word."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.common.errors import BrokerUnreachable, NotAuthorised, ServiceFailed
from consumers.common.settings import ServiceSettings
from consumers.kafka.client.clients import Admin, connect, stop_client
from consumers.kafka.topics.topics import MISSING, TopicProblem, check_topics, is_embedded

log = structlog.get_logger()

LOOK_SECONDS = 20.0
"""Interval of the looks: two of them find everything within a minute."""
MAX_PAUSE_SECONDS = 50.0
"""The longest pause while brokers do not answer."""
LOOK_LIMIT_SECONDS = 15.0
REPEAT_SECONDS = 600.0
"""Interval at which a problem that persists is logged again."""


class TopicWatch:
    """Looks at the four topics regularly: one request for their metadata and one for their settings.

    A problem is logged when it appears and every ten minutes, and once when it is gone. A state topic that is deleted
    ends the service: it would be created again, with other settings and without the states of the open sessions.

    Args:
        settings: of the service.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        self._logged: dict[TopicProblem, float] = {}
        self._state_missing = 0
        self._embedded = False
        self.problems: list[TopicProblem] = []
        """As of the last look."""

    async def run(self, on_look: Callable[[], Awaitable[None]]) -> None:
        """Look at the topics until cancelled.

        Args:
            on_look: awaited after each look, for other checks of the same kind; it may raise a KafkaError.

        Raises:
            ServiceFailed: the state topic does not exist any more.
            OperationFailed: from `on_look`.
        """
        pause = LOOK_SECONDS
        try:
            while True:
                await asyncio.sleep(pause)
                try:
                    async with asyncio.timeout(LOOK_LIMIT_SECONDS):
                        await self._look()
                        await on_look()
                    pause = LOOK_SECONDS
                except (KafkaError, OSError, BrokerUnreachable):  # TimeoutError is an OSError
                    pause = min(2 * pause, MAX_PAUSE_SECONDS)
                    await self._disconnect()
        finally:
            await self._disconnect()

    async def _look(self) -> None:
        if self._admin is None:
            self._admin = await connect(lambda: Admin(self._settings.broker), self._settings.broker, 0.0)
            self._embedded = await is_embedded(self._admin)
        if self._embedded:
            return  # it creates what it is asked about, and reports no settings
        try:
            problems = await check_topics(self._admin, self._settings.topics, rights=True)
        except NotAuthorised as error:
            problems = [TopicProblem(self._settings.topics.input, str(error))]
        self._report(problems)
        state = self._settings.topics.state
        missing = any(x.topic == state and x.detail == MISSING for x in problems)
        self._state_missing = self._state_missing + 1 if missing else 0
        if self._state_missing > 1:  # twice, because a broker that has just started may not know all yet
            raise ServiceFailed(
                f"topic {state} does not exist any more: it was deleted while the service used it. Sessions that were"
                " open begin anew, with rev 1, when the service starts again"
            )

    def _report(self, problems: list[TopicProblem]) -> None:
        now, self.problems = asyncio.get_running_loop().time(), problems
        for problem in problems:
            if now - self._logged.get(problem, -REPEAT_SECONDS) >= REPEAT_SECONDS:
                self._logged[problem] = now
                if problem.severity == "error":
                    log.error("topic_misconfigured", topic=problem.topic, detail=problem.detail)
                else:
                    log.warning("topic_misconfigured", topic=problem.topic, detail=problem.detail)
        for gone in self._logged.keys() - set(problems):
            del self._logged[gone]
            log.info("topic_recovered", topic=gone.topic, detail=gone.detail)

    async def _disconnect(self) -> None:
        if self._admin is not None:
            admin, self._admin = self._admin, None
            await stop_client(admin)
