"""Interface of a format: converts a vendor's messages to messages in normal form.

A format has no state between messages. What it must know of earlier ones (such as which segment is open) it reads from
the session as received, which is saved and restored with the session: so formats survive crashes and rebalances.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import msgspec

from consumers.common.json_wrapping import NAN_DETAIL, has_nan
from consumers.formats.convert import convert
from consumers.formats.decode import BadInput, check_no_nan, check_value, decode_json, explain_type_error
from stream.messages.types import Delete, End, Message, Update
from stream.messages.validation import check_message
from stream.messages.word_times import Times, WordTiming


class OpenText(Protocol):
    """One segment as received so far, such as `stream.ingest.received.ReceivedSegment`."""

    text: str
    closed: bool
    times: Times
    speaker: str | None
    confirmed: int
    """Characters at its beginning that its source will not rewrite, if a format has said so."""
    applied: int
    """Offset of the last message in its text when it was restored after a crash; -1 otherwise."""


@dataclass(slots=True)
class WrittenText:
    """A segment as a message of the same value leaves it."""

    text: str
    closed: bool
    times: Times
    speaker: str | None
    confirmed: int = 0
    applied: int = -1

    @classmethod
    def of(cls, update: Update, closed: bool, before: OpenText | None = None) -> "WrittenText":
        """Make it of an update that replaces the text; `before` is the segment before it."""
        speaker = update.speaker or (before.speaker if before else None)
        return cls(update.text, closed, _times(update), speaker, update.confirmed or 0)


Segments = Mapping[str, OpenText]
"""Segments of one session by name: the open ones and the most recently closed ones."""


@dataclass(frozen=True, slots=True)
class FormatContext:
    """Context of one vendor message: its offset, its session and that session's segments."""

    session: str | None
    """Session given by the record's key, a flag or a query; None: the message must name it."""
    offset: int
    """Offset, line or frame number of the message; rises within a session."""
    segments: Callable[[str], Segments]
    """Returns the segments of a session as received before this message; empty for an unknown session."""
    default: str | None = None
    """Session used if nothing else names one, such as that of a file."""

    def session_name(self, own: str | None = None) -> str:
        """Return the session: the given one, else the vendor's own id, else the default.

        Raises:
            BadInput: there is none of them.
        """
        known = (x for x in (self.session, own, self.default) if x is not None)
        session = next(known, None)
        if session is None:
            raise BadInput("no_session", "nothing says which session this is: key the records by session")
        return session

    def end_session(self, own: str | None = None) -> "list[Message | Ignored]":
        """Return the session's `End` if it has segments: the vendor's connection has ended or restarted."""
        known = [x for x in (self.session, own, self.default) if x is not None]
        return [End(session=known[0])] if known and self.segments(known[0]) else [Ignored("metadata")]

    def after(self, messages: "Iterable[Message | Ignored]") -> "FormatContext":
        """Return the context of what follows in the same value: with the texts as these messages leave them."""
        changed = [x for x in messages if isinstance(x, Update | Delete)]
        if not changed:
            return self
        received = {x.session: dict(self.segments(x.session)) for x in changed}
        for x in changed:
            before = received[x.session].pop(x.segment, None)
            if isinstance(x, Update):
                closed = x.final or (before is not None and before.closed)
                received[x.session][x.segment] = WrittenText.of(x, closed, before)
        return replace(self, segments=lambda session: received.get(session) or self.segments(session))

    def open_segment(self, session: str, scope: str) -> str:
        """Return the name of a scope's open segment, or a new name; for vendors that do not name segments.

        Names are `SCOPE:OFFSET` of the opening message. The last segment opened up to this message is taken: later ones
        exist only if this message is read again after a crash. A segment that this message or a later one closed before
        the crash counts as open, so that reading the messages again changes nothing.
        """
        segments = self.segments(session)
        opened = [
            (at, name) for name in segments if (at := opening_offset(name, scope)) is not None and at <= self.offset
        ]
        if opened:
            _, name = max(opened)
            if not segments[name].closed or segments[name].applied >= self.offset:
                return name
        return f"{scope}:{self.offset}"


def _times(update: Update) -> Times:
    if update.words is not None:
        return tuple(WordTiming(x.start, x.end, x.speaker) for x in update.words)
    return () if update.time is None else (WordTiming(update.time, update.time),) * len(update.text.split())


def opening_offset(name: str, scope: str) -> float | None:
    """Return the offset in a name made by `FormatContext.open_segment` for a scope; None for other names."""
    begin, _, offset = name.rpartition(":")
    return float(offset) if begin == scope and _OFFSET.fullmatch(offset) else None


_OFFSET = re.compile(r"[0-9]{1,19}(\.5[0-9]{0,2})?")
"""`.5` marks a segment opened by the same message that closed the one before; `.501`, `.502` those after it."""


def close_open(context: FormatContext, session: str, begin: str = "") -> "list[Message | Ignored]":
    """Return final updates of the open segments whose names begin so, with their text as it stands.

    For the end of a stream, or an error behind which its vendor sends nothing more. An open segment without text is
    deleted. Those that later messages have changed are left, if this message is read again after a crash.
    """
    closings: list[Message | Ignored] = []
    for name, x in context.segments(session).items():
        if x.closed or not name.startswith(begin) or x.applied >= context.offset:
            continue
        closing = Update(session=session, segment=name, text=x.text, final=True, confirmed=x.confirmed)
        closings.append(closing if x.text.strip() else Delete(session=session, segment=name))
    return closings


IgnoredReason = Literal[
    "keep_alive", "metadata", "no_text", "late", "repeat", "nothing_to_delete", "other_event", "error", "unknown_shape"
]
"""Why a format finds nothing to label in a value:

- `keep_alive`: a heartbeat.
- `metadata`: about the connection, the audio or a speaker; it never has text.
- `no_text`: a message that may have text, and has none (silence, a picture).
- `late`: an interim result of an utterance whose final result has been read.
- `repeat`: it says what has been read already.
- `nothing_to_delete`: it deletes or replaces a message that is not known (any more).
- `other_event`: an event of the vendor that is not read (a reaction, a translation).
- `error`: the vendor reports a fault, or that its stream was cut off; counted even if the value ends a segment.
- `unknown_shape`: none of the fields that the format reads is there.
"""
NOT_UNDERSTOOD: tuple[IgnoredReason, ...] = ("other_event", "unknown_shape")
"""Reasons for which a value may be of another format."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something in a value that gives no message."""

    reason: IgnoredReason


@dataclass(frozen=True, slots=True)
class Reading:
    """What a format reads in one value: its messages, or the reason why there is none, or `error` beside messages."""

    messages: list[Message]
    ignored: IgnoredReason | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One vendor's format.

    `read` returns at most one message for each segment. Where it finds nothing it returns the reason.
    """

    name: str
    """Name in `--format`."""
    read: Callable[[Any, FormatContext], Iterable[Message | Ignored]]
    recognises: Callable[[Any], bool]
    """Whether a value can be of this format only: a decoded JSON object, or a `str` if `type` is None."""
    type: Any = None
    """Type that a value is converted to for `read` (`consumers.formats.convert`); None: `read` gets it as `str`."""
    blocks: bool = False
    """Messages in files are blocks separated by empty lines, not lines."""
    chat: bool = False
    """Messages can be edited and deleted long after they were sent."""
    prepare: Callable[[bytes], bytes] | None = None
    """Takes off what the vendor puts around its JSON (lines of an event stream, a form); it leaves other values."""


_JSON: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


def decode(format: Format, value: bytes | None) -> Any:
    """Decode one value of a format; unknown fields are ignored.

    Raises:
        BadInput: the value is not of this format; the error contains none of its text.
    """
    if format.type is None:
        return check_value(value).decode()
    decoded = decode_json(format.prepare(check_value(value)) if format.prepare else value, _JSON)
    if isinstance(decoded, list):
        raise BadInput("invalid_message", "this is a list; send its objects one by one")
    try:
        return convert(decoded, format.type)
    except msgspec.ValidationError as error:
        raise BadInput("invalid_message", explain_type_error(value, error)) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None


def read_value(format: Format, value: bytes | None, context: FormatContext) -> Reading:
    """Convert one value to messages in normal form; all are checked, so that either all can be applied or none.

    Raises:
        BadInput: the value is not of this format.
        InputError: a text, a time or a name in it is invalid.
    """
    decoded = decode(format, value)
    try:
        found = list(format.read(decoded, context))
    except BadInput:
        raise
    except msgspec.DecodeError as error:
        raise BadInput("invalid_message", explain_type_error(value, error)) from None
    except RecursionError:
        raise BadInput("invalid_json", "nested too deeply") from None
    except (ValueError, OverflowError):
        nan = f": {NAN_DETAIL}" if value and has_nan(value) else ""
        raise BadInput("invalid_message", f"a number or a time is invalid{nan}") from None
    messages = [x for x in found if not isinstance(x, Ignored)]
    for message in messages:
        check_no_nan(message)
        check_message(message)
    reasons = [x.reason for x in found if isinstance(x, Ignored)]
    if "error" in reasons or ("unknown_shape" in reasons and _is_error_body(format, value)):
        return Reading(messages, "error")
    return Reading(messages, None if messages else next(iter(reasons), "no_text"))


_ERROR_FIELDS = ("error", "Error", "errors", "err_code", "error_code", "error_message", "errorMessage", "__type")
"""Fields of the body with which a service refuses a request, or ends it, in place of the messages of its format."""


def _is_error_body(format: Format, value: bytes | None) -> bool:
    """Whether a value of no known shape is the body of an error."""
    if format.type is None or value is None:
        return False
    body = decode_json(format.prepare(check_value(value)) if format.prepare else value, _JSON)
    return isinstance(body, dict) and any(
        content and (name in _ERROR_FIELDS or name.endswith("Exception")) for name, content in body.items()
    )


MAX_RESULTS = 256
"""Results of one value; vendors send a few."""


def check_results(results: Sequence[Any]) -> None:
    """Check the number of results in one value, each of which is compared with the others.

    Raises:
        BadInput: there are too many.
    """
    if len(results) > MAX_RESULTS:
        raise BadInput("too_large", f"{len(results)} results in one message; at most {MAX_RESULTS} are read")
