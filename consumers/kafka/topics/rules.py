"""Rules for the settings of topics, with reasons. Pure functions without a Kafka client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from consumers.formats.decode import MAX_BYTES

TopicRole = Literal["input", "output", "dead_letter", "state", "redacted"]

DEFAULT_PARTITIONS = 4
"""Limit of workers that can share the work. Partitions cannot be added later, because sessions would then move to other
partitions than their states. Four cost nothing and serve four workers."""

CODECS = ("producer", "uncompressed", "gzip", "lz4", "snappy", "zstd")

LARGEST_RECORD = MAX_BYTES + (64 << 10)
"""Bytes of the largest accepted message with key, headers and batch overhead."""

LARGEST_STATE = (8 << 20) + (64 << 10)
"""Bytes of the largest request (`consumers.kafka.client.clients.MAX_REQUEST`): states may exceed their messages."""

READABLE = ("producer", "uncompressed", "gzip") if find_spec("cramjam") is None else CODECS
"""Codecs that aiokafka can read; all with cramjam."""

MINUTE, DAY = 60_000, 86_400_000

_COMMON = {"max.message.bytes": str(LARGEST_RECORD)}

WANTED: dict[TopicRole, dict[str, str]] = {
    # Policies are explicit, because a cluster's default may be compaction.
    "input": _COMMON | {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)},
    "output": _COMMON | {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)},
    "redacted": _COMMON | {"cleanup.policy": "delete", "retention.ms": str(7 * DAY)},
    # Operators need time to inspect, correct and replay dead letters.
    "dead_letter": _COMMON | {"cleanup.policy": "delete", "retention.ms": str(30 * DAY)},
    "state": _COMMON
    | {
        "cleanup.policy": "compact",
        "max.message.bytes": str(LARGEST_STATE),
        # A restore reads the whole topic. The newest segment is never compacted, so segments are small and short-lived,
        # and compaction starts early: when a tenth is stale, or after ten minutes.
        "segment.bytes": str(16 << 20),
        "segment.ms": str(10 * MINUTE),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": str(10 * MINUTE),
        # A partition's owner needs seconds to detect a late state of a former owner and to write its own again.
        "min.compaction.lag.ms": str(MINUTE),
        # A slow reader that has read an entry must also see its tombstone.
        "delete.retention.ms": str(DAY),
    },
}


@dataclass(frozen=True, slots=True)
class TopicFault:
    """One line about a wrong topic setting; an `error` loses records, a `warning` may lose some."""

    detail: str
    severity: Literal["error", "warning"] = "error"


def find_faults(role: TopicRole, configs: Mapping[str, str], replication: int) -> list[TopicFault]:
    """Check a topic's settings against its role.

    Args:
        configs: settings including the broker's defaults; missing ones are not checked.
    """
    own = _state_faults(configs) if role == "state" else _stream_faults(role, configs)
    return [*own, *_common_faults(role, configs, replication)]


def _state_faults(configs: Mapping[str, str]) -> Iterator[TopicFault]:
    policy = configs.get("cleanup.policy", "compact")
    if policy != "compact":
        yield TopicFault(f"cleanup.policy={policy} deletes the state of open sessions; set cleanup.policy=compact")
    if _number(configs, "delete.retention.ms", DAY) < 10 * MINUTE:
        yield TopicFault(
            f"delete.retention.ms={configs['delete.retention.ms']}: a slow restore can miss the end of a session;"
            f" set delete.retention.ms={DAY}"
        )
    size = _number(configs, "segment.bytes", 0)
    if size > 128 << 20:
        yield TopicFault(
            f"segment.bytes={size}: this much is never compacted, and every restore reads it;"
            f" set segment.bytes={WANTED['state']['segment.bytes']}",
            "warning",
        )
    if _number(configs, "min.compaction.lag.ms", 0) > DAY:
        yield TopicFault(
            f"min.compaction.lag.ms={configs['min.compaction.lag.ms']}: a restore reads all newer entries;"
            " set min.compaction.lag.ms=0",
            "warning",
        )


def _stream_faults(role: TopicRole, configs: Mapping[str, str]) -> Iterator[TopicFault]:
    policy = configs.get("cleanup.policy", "delete")
    if "compact" in policy:
        yield TopicFault(
            f"cleanup.policy={policy} keeps only the newest record of each session; set cleanup.policy=delete"
        )
    retention = _number(configs, "retention.ms", -1)
    if role not in ("output", "redacted") and 0 <= retention < DAY:
        lost = "updates" if role == "input" else "dead letters"
        yield TopicFault(
            f"retention.ms={retention}: {lost} that are not read within {_duration(retention)} are lost;"
            f" set retention.ms={WANTED[role]['retention.ms']}",
            "warning",
        )
    size = _number(configs, "retention.bytes", -1)
    if role == "input" and size >= 0:
        yield TopicFault(
            f"retention.bytes={size}: unread updates are lost under load; set retention.bytes=-1",
            "warning",
        )


def _common_faults(role: TopicRole, configs: Mapping[str, str], replication: int) -> Iterator[TopicFault]:
    in_sync = _number(configs, "min.insync.replicas", 1)
    if in_sync > replication:
        yield TopicFault(
            f"min.insync.replicas={in_sync}, but only {replication} replica{'s' * (replication != 1)}:"
            f" nothing can be written; set min.insync.replicas={min(replication, 2)}"
        )
    elif replication > 1 and in_sync == replication:
        yield TopicFault(
            f"min.insync.replicas={in_sync} of {replication} replicas: nothing can be written while one broker is down;"
            f" set min.insync.replicas={replication - 1}",
            "warning",
        )
    elif replication > 2 and in_sync < 2:
        yield TopicFault(
            f"min.insync.replicas={in_sync} of {replication} replicas: records of a single broker can be lost with it;"
            " set min.insync.replicas=2",
            "warning",
        )
    needed = int(WANTED[role]["max.message.bytes"])
    size = _number(configs, "max.message.bytes", needed)
    if size < needed:
        # A cluster's default is slightly below the largest message, and nearly all messages are far smaller.
        yield TopicFault(
            f"max.message.bytes={size}: the largest records do not fit; set max.message.bytes={needed}",
            "error" if size < MAX_BYTES else "warning",
        )
    codec = configs.get("compression.type", "producer")
    if codec not in READABLE:
        yield TopicFault(
            f"compression.type={codec}: the service cannot read this compression; set compression.type=producer"
        )
    if configs.get("unclean.leader.election.enable") == "true":
        yield TopicFault(
            "unclean.leader.election.enable=true: acknowledged records can be lost with a broker; set it to false",
            "warning",
        )


def _number(configs: Mapping[str, str], key: str, default: int) -> int:
    value = configs.get(key)
    return default if value is None else int(value)


def _duration(milliseconds: int) -> str:
    minutes = milliseconds / MINUTE
    return f"{minutes:g} minutes" if minutes < 120 else f"{minutes / 60:.3g} hours"
