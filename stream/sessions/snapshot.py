"""What must be kept of a session so that another engine can go on with it: plain data, entries that replace each other.

The engine gives entries with each step (`StepResult.entries`). Whoever keeps them keeps the last value of each key
(session, segment), as a compacted topic does, and may be cut off after any of them. `restore_sessions` makes sessions
of what was kept: each as it was before or after some operation, never in between.

*Numbers.* `seq` counts a session's operations that wrote anything; every value carries that of its operation, so the
newest is known whatever was compacted away. `offset` is the input message up to which all is in the state. A segment's
own `applied` may be higher: where waiting updates are coalesced, one segment can be ahead of another.

*Operations and their entries, in order.*
- An update that closes nothing: the segment. It carries the session's numbers too, so it is atomic.
- A closing, an edit of a closed segment: the session, with the segment inline (`closing`) and what is forgotten for it
  (`removed`); then the segment; then tombstones of what is forgotten.
- A delete: the session, with the name in `removed`; then a tombstone.
- The end, by a message or for idleness: the session, `ended` (a *gravestone*: only its numbers); then tombstones.
- Labelling failed, the session is reset: the session, with `reset` (labels written before that `seq` are void, texts
  stand) and the segment that failed inline; then that segment.
- A gravestone is old: a tombstone of the session.
- A repeat: nothing.

A gravestone keeps `rev` and span ids rising when the same id speaks again. Segments written before `begun` belong to a
life that is over.

`words` and `contexts` are the labeller's own. They begin with what identifies it: bytes of another model are ignored,
and the labels are read anew from the texts.

*Taggers.* A text is kept once, and with it what each tagger has of it, so an entry is atomic for all of them. The
taggers may be others when a session goes on. A new one finds no labels: it reads a segment anew with the next operation
on it, and its `rev` begins at 1. Of one that is not asked for any more, its numbers stay, so that they go on if it
comes back; what it had of a segment goes when the segment is next written.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream.messages.word_times import Times


class SpanState(NamedTuple):
    """A span as readers have it; its text is the segment's, and so is its channel."""

    id: int
    start: int
    end: int
    label: str
    stability: float
    start_time: float | None = None
    end_time: float | None = None
    score: float | None = None
    speaker: str | None = None


Numbers = dict[str, tuple[int, int]]
"""By tagger: the last `rev`, and the next span's id."""


Opened = tuple[int, int]
"""Which message opened a segment: its offset, and how many of the session came before it at that offset."""
NEVER_OPENED: Opened = (-1, 0)


class LabelState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One tagger's part of a segment."""

    published: bool = False
    spans: tuple[SpanState, ...] = ()
    words: bytes = b""
    """The labeller's own; empty if it knows nothing of the segment."""


class SegmentState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One segment, and the numbers of its session when it was written."""

    text: str
    order: int
    """The `seq` of its first entry, then of its closing: closed segments of a session stand in this order."""
    seq: int
    numbers: Numbers
    offset: int
    """Input messages of the session up to this one are in the state."""
    applied: int
    """The last input message of this segment that is in the state; at least `offset` if any came since."""
    closed: bool = False
    times: Times = ()
    labels: dict[str, LabelState] = {}
    """By tagger."""
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED
    """Open segments stand in this order. `order` is another one where updates are coalesced: the opening update of a
    segment may give way to a newer one, and a segment that opened later is written first."""


class SessionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One session beyond its segments."""

    seq: int
    numbers: Numbers
    offset: int
    ended: bool = False
    begun: int = 0
    """Segments with a lower `seq` are of a life that is over."""
    reset: int = 0
    """Labels of segments with a lower `seq` are void."""
    contexts: tuple[bytes, ...] = ()
    """The labeller's own: what closed segments left to be seen, for each model; empty if nothing has closed."""
    closing: dict[str, SegmentState] = {}
    """Segments that this operation wrote, so that this one entry is atomic."""
    removed: tuple[str, ...] = ()
    """Segments that this operation took away."""
    gone: dict[str, int] = {}
    """Segments that were taken away, and their last input message, where that is later than `offset`."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """The value that now stands under a key; None is a tombstone. Without a segment it is the session's own."""

    session: str
    segment: str | None
    value: SessionState | SegmentState | None


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session as it was kept."""

    numbers: Numbers
    offset: int
    """Input messages up to this one are in it. The engine also knows which later ones are, and skips them."""
    seq: int
    ended: bool
    """A gravestone: nothing is left but the numbers."""
    begun: int
    reset: int
    contexts: tuple[bytes, ...]
    gone: dict[str, int]
    segments: dict[str, SegmentState]
    """In order."""
    repairs: list[Entry]
    """Entries that were cut off, to be written before any other; `Engine.restore` gives them with its next step."""


def encode_value(value: SessionState | SegmentState) -> bytes:
    """Encode as MessagePack."""
    return msgspec.msgpack.encode(value)


def decode_value(segment: str | None, data: bytes) -> SessionState | SegmentState:
    """Decode what was kept under a key with that segment.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return _SESSION.decode(data) if segment is None else _SEGMENT.decode(data)


_SESSION = msgspec.msgpack.Decoder(SessionState)
_SEGMENT = msgspec.msgpack.Decoder(SegmentState)


def restore_sessions(entries: Iterable[Entry]) -> dict[str, SavedSession]:
    """Make sessions of what was kept.

    Args:
        entries: in the order written; of each key the last counts, so all of them may be given, or only those. A value
            with a lower `seq` than the one before it does not count: it was written earlier and has arrived late.
    """
    heads: dict[str, SessionState] = {}
    segments: defaultdict[str, dict[str, SegmentState]] = defaultdict(dict)
    for entry in entries:
        if isinstance(entry.value, SessionState):
            known = heads.get(entry.session)
            if known is None or known.seq <= entry.value.seq:
                heads[entry.session] = entry.value
        elif entry.segment is None:
            heads.pop(entry.session, None)
        else:
            _put_segment(segments[entry.session], entry.segment, entry.value)
    names = dict.fromkeys([*heads, *(name for name, held in segments.items() if held)])
    return {name: _restore(name, heads.get(name, _NEVER), segments[name]) for name in names}


def _put_segment(held: dict[str, SegmentState], name: str, value: SegmentState | None) -> None:
    known = held.get(name)
    if known is not None and value is not None and known.seq > value.seq:
        return
    held.pop(name, None)
    if value is not None:
        held[name] = value


_NEVER = SessionState(seq=0, numbers={}, offset=-1)


def _restore(session: str, head: SessionState, held: dict[str, SegmentState]) -> SavedSession:
    repairs = []
    for name, segment in head.closing.items():
        if name not in held or held[name].seq < segment.seq:
            held[name] = segment
            repairs.append(Entry(session, name, segment))
    for name, segment in list(held.items()):
        if segment.seq < head.begun or (name in head.removed and segment.seq < head.seq):
            del held[name]
            repairs.append(Entry(session, name, None))
    newest: SessionState | SegmentState = head
    for segment in held.values():
        newest = segment if segment.seq > newest.seq else newest
    ordered = sorted(held.items(), key=lambda item: item[1].order)
    return SavedSession(
        numbers=newest.numbers,
        offset=newest.offset,
        seq=newest.seq,
        ended=head.ended and not held,
        begun=head.begun,
        reset=head.reset,
        contexts=head.contexts,
        gone=head.gone,
        segments={name: _void(x) if x.seq < head.reset else x for name, x in ordered},
        repairs=repairs,
    )


def _void(segment: SegmentState) -> SegmentState:
    return msgspec.structs.replace(segment, labels={})
