"""Apache Kafka for the tests in this folder: one broker for the session, started when a test first wants it."""

import asyncio
import os
import re
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from consumers.kafka.brokers.apache_kafka import ApacheKafka, apache_kafka, find_missing
from tests.kafka.rig import PARTITIONS, Place, new_place, outside_broker, required, why_not
from tests.kafka.secure import SecureKafka, secure_kafka


def _do_without(reason: str | None) -> None:
    """Skip the test if there is a reason, unless Apache Kafka is required here."""
    if reason and required():
        pytest.fail(f"HEARKEN_REQUIRE_KAFKA=1, but {reason}", pytrace=False)
    if reason:
        pytest.skip(f"Apache Kafka: {reason}")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of the session's broker, which is never killed; `KAFKA_BOOTSTRAP` if that is set."""
    _do_without(why_not())
    outside = outside_broker()
    if outside:
        yield outside
        return
    with apache_kafka(partitions=PARTITIONS) as broker:
        yield broker.address


@pytest.fixture
def place(kafka: str, request: pytest.FixtureRequest) -> Place:
    """The session's broker, and names there of the test's own."""
    return new_place(kafka, re.sub(r"[^A-Za-z0-9]+", "-", request.node.name))


@pytest.fixture(scope="session")
def _mortal_kafka() -> Iterator[ApacheKafka]:
    _do_without(find_missing())
    with apache_kafka(partitions=PARTITIONS) as broker:
        yield broker


@pytest.fixture
def mortal_kafka(_mortal_kafka: ApacheKafka) -> Iterator[ApacheKafka]:
    """A second broker, which tests may kill, stop and continue; it runs at the start of each."""
    if _mortal_kafka.pid is None:
        _mortal_kafka.start()
    yield _mortal_kafka
    if _mortal_kafka.pid is not None:
        os.kill(_mortal_kafka.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def secure() -> Iterator[SecureKafka]:
    """A broker that lets in only whom it knows."""
    _do_without(find_missing())
    with secure_kafka() as kafka:
        yield kafka


@pytest.fixture
async def quiet_fences() -> None:
    """A fence also fails futures inside aiokafka that nobody can get at: asyncio logs each "was never retrieved"."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), ProducerFenced):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Say below everything else that these tests did not run: nobody reads a list of skips."""
    yield
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "Apache Kafka: " in str(r.longrepr)]
    if skipped:
        reason = why_not() or find_missing()
        line = f"NOT RUN: {len(skipped)} test{'s' * (len(skipped) > 1)} on Apache Kafka, because {reason}"
        terminalreporter.write_sep("=", red=True, bold=True)
        terminalreporter.write_line(line, red=True, bold=True)
