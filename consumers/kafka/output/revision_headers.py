"""Headers of revisions and of messages of the redacted stream: the trace of their record, and CloudEvents attributes.

They are a function of the message, of the record that caused it and of the settings, so that a message that is written
again has the same headers. Where the record is not at hand any more (the outbox of a former owner), the headers are
stored beside the message.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from aiokafka import TopicPartition

from consumers.common.tracing.trace_context import TRACE_HEADERS
from consumers.kafka.in_flight import InFlightRecord
from consumers.kafka.output.dead_letter import Headers, HeaderSequence
from stream.messages.types import Revision
from stream.redaction.messages import RedactedMessage

SPEC_VERSION = b"1.0"
CONTENT_TYPE = b"application/json"
REVISION_TYPE, REDACTED_TYPE = "hearken.revision", "hearken.redacted"


def trace_headers(cause: InFlightRecord | None) -> Headers:
    """Headers of the trace of a record (W3C Trace Context), as its producer gave them."""
    headers: HeaderSequence = cause.record.headers if cause else ()
    return [x for x in headers if x[0] in TRACE_HEADERS]


class HeaderMaker:
    """Makes the headers of the messages that one partition writes.

    Args:
        group: the consumer group.
        partition: of the input.
        cloudevents: whether messages are CloudEvents in Kafka's binary mode.
    """

    def __init__(self, group: str, partition: TopicPartition, cloudevents: bool) -> None:
        self._cloudevents = cloudevents
        place = (quote(group, safe=""), partition.topic, str(partition.partition))
        self._source = "/hearken/" + "/".join(place)

    def of_revision(self, revision: Revision, cause: InFlightRecord | None) -> HeaderSequence:
        """Return the headers of a revision; `cause` is the record that caused it, if one did."""
        return self._make(REVISION_TYPE, (revision.tagger,), revision, cause)

    def of_redacted(self, message: RedactedMessage, cause: InFlightRecord | None) -> HeaderSequence:
        """Return the headers of a message of the redacted stream."""
        kind = str(message.__struct_config__.tag)
        return self._make(f"{REDACTED_TYPE}.{kind}", ("redacted",), message, cause)

    def _make(
        self, kind: str, stream: Sequence[str], message: Revision | RedactedMessage, cause: InFlightRecord | None
    ) -> HeaderSequence:
        headers = trace_headers(cause)
        if not self._cloudevents:
            return headers
        # The number of a session's revisions may begin anew long after its end; the offset then tells them apart.
        number = "/".join((*stream, str(message.rev), str(message.offset), message.session))
        headers += [
            ("ce_specversion", SPEC_VERSION),
            ("ce_id", number.encode()),
            ("ce_source", self._source.encode()),
            ("ce_type", kind.encode()),
            ("content-type", CONTENT_TYPE),
        ]
        if cause and (time := _format_time(cause.record.timestamp)):
            headers.append(("ce_time", time))
        return headers


def _format_time(milliseconds: int) -> bytes | None:
    """Format the timestamp of a record as RFC 3339 has it; None if it has none, or one of no calendar."""
    if milliseconds < 0:
        return None
    try:
        time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
