"""Request for the topics' metadata that creates none of them and tells the operations that we may perform on each.

The client library's own request (Metadata up to version 5) does neither. Brokers know version 8 since Apache Kafka 2.3.
"""

from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

OPERATIONS = {3: "Read", 4: "Write", 5: "Create", 8: "Describe", 10: "DescribeConfigs"}
"""Operations of ACLs by their bit."""
_NOT_TOLD = -(1 << 31)

_TEXT = String("utf-8")


class MetadataResponseV8(Response):  # type: ignore[misc]
    """Answer with authorised operations."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class MetadataRequestV8(RequestStruct):  # type: ignore[misc]
    """Its encoding."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = MetadataResponseV8
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class DescribeTopicsRequest(Request[MetadataRequestV8]):  # type: ignore[misc]
    """Request for the metadata of these topics."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[MetadataRequestV8]) -> MetadataRequestV8:
        """Encode it."""
        return request_struct_class(self._topics, False, False, True)


async def describe_topics(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> list[dict[str, Any]]:
    """Return the metadata of topics, also of those that do not exist (by `error_code`); creates none of them.

    Raises:
        KafkaError: the broker does not answer.
    """
    response = await admin._send_request(DescribeTopicsRequest(topics))
    return list(response.to_object()["topics"])


def read_operations(topic: dict[str, Any]) -> frozenset[str] | None:
    """Operations that we may perform on a topic; None if the broker does not tell."""
    bits = topic.get("authorized_operations", _NOT_TOLD)
    return None if bits == _NOT_TOLD else frozenset(name for bit, name in OPERATIONS.items() if bits >> bit & 1)
