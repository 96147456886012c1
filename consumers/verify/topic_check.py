"""Verification of a service's topics on a broker."""

from consumers.common.settings import Guarantee, Topics
from consumers.kafka.client.topic_reader import find_ends, read_topic
from consumers.verify.oracle import RecordedTopics, verify_records
from consumers.verify.report import VerifyReport
from stream.engine.engine import Engine


def verify_topics(
    broker: str, topics: Topics, engine: Engine, *, guarantee: Guarantee, exact: bool, group: str | None
) -> VerifyReport:
    """Read the topics and compare; blocks.

    Args:
        broker: addresses of the brokers.
        topics: topics of the service.
        engine: a new engine that does not coalesce.
        guarantee: delivery guarantee of the service (consumers/verify/oracle.py).
        exact: compare each revision byte for byte.
        group: compare the input up to its committed offsets; None: all of the input.

    Raises:
        OperationFailed: a topic cannot be read, or its first records were deleted.
    """
    ends = find_ends(broker, topics.input, group)
    recorded = RecordedTopics(
        inputs=read_topic(broker, topics.input),
        outputs=read_topic(broker, topics.output),
        letters=read_topic(broker, topics.dead_letter),
    )
    return verify_records(recorded, engine, topics.input, guarantee=guarantee, exact=exact, until=ends)
