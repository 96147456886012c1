"""Outbox of a restored partition: revisions that its former owner may not have published are published again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka import TopicPartition

from consumers.kafka.output.changelog import RestoredPartition, encode_entry
from consumers.kafka.output.dead_letter import DeadLetterRecord
from consumers.kafka.output.encoded_output import EncodedRevision
from consumers.kafka.output.partition_writer import AtLeastOnce, WriterContext
from stream.sessions.snapshot import Entry, SavedSession, SessionState


async def republish_missing(
    writer: AtLeastOnce, restored: RestoredPartition, position: int, context: WriterContext
) -> None:
    """Publish the revisions in the outbox that a former owner may not have published."""
    ended = [name for name in restored.outbox | restored.redacted if restored.sessions[name].ended]

    def find_missing(outboxes: Mapping[str, Sequence[bytes]], redacted: bool) -> list[EncodedRevision]:
        missing = []
        for name, outbox in outboxes.items():
            first = len(restored.outbox.get(name, ())) if redacted else 0
            stored = restored.headers.get(name, ())[first : first + len(outbox)] or ((),) * len(outbox)
            for value, own in zip(outbox, stored, strict=True):
                if name in ended or name in restored.unprompted or _OFFSET.decode(value).offset >= position:
                    # the session of a redacted message may be a hash of the engine's
                    key = _SESSION.decode(value).session if redacted else name
                    missing.append(EncodedRevision(key, value, own))
        return missing

    missing, redacted = find_missing(restored.outbox, False), find_missing(restored.redacted, True)
    limit = context.limit
    await writer.write_dead_letters(
        [_too_large_letter(context, writer.partition, x.session, x.value) for x in missing if len(x.value) > limit]
    )
    await writer.write_revisions([x for x in missing if len(x.value) <= limit], redacted)
    await writer.write_states([encode_entry(_gravestone(name, restored.sessions[name])) for name in ended])


def _too_large_letter(context: WriterContext, at: TopicPartition, session: str, value: bytes) -> DeadLetterRecord:
    """Make the dead letter of a revision in the outbox that the brokers refused; its message is not at hand."""
    cause = _Cause(at.topic, at.partition, _OFFSET.decode(value).offset, session.encode(), None)
    detail = f"{len(value)} bytes; the brokers took no more than {context.limit}"
    return context.dead_letters.make_letter("revision_too_large", detail, cause, at_hand=False)


def _gravestone(session: str, saved: SavedSession) -> Entry:
    head = SessionState(
        seq=saved.seq,
        counters=saved.counters,
        offset=saved.offset,
        ended=True,
        life_started_at=saved.life_started_at,
        labels_void_before=saved.labels_void_before,
    )
    return Entry(session, None, head)


@dataclass(slots=True)
class _Cause:
    """Place of a record that is not at hand, as a `ConsumedRecord`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = -1


class _Offset(msgspec.Struct):
    offset: int


class _SessionName(msgspec.Struct):
    session: str


_SESSION = msgspec.json.Decoder(_SessionName)
_OFFSET = msgspec.json.Decoder(_Offset)
