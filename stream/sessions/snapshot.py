"""Snapshot of a session, so that another engine can continue it: plain data, as entries that replace each other.

Each step gives entries (`StepResult.entries`). Whoever stores them keeps the last value of each key (session, segment),
as a compacted topic does, and may stop after any entry. `restore_sessions` builds sessions from the stored entries:
each one as it was before or after some operation, never in between.

*Numbers.* `seq` counts the session's operations that wrote anything. Every value carries the `seq` of its operation, so
the newest value is known whatever was compacted away. All input messages up to `offset` are in the state. The `applied`
of a segment may be higher: where waiting updates are coalesced, one segment can be ahead of another.

*Operations and their entries, in order.*
- An update that closes nothing: the segment. It carries the session's numbers too, so it is atomic.
- A closing, or an edit of a closed segment: the session, with the segment inline (`closing`) and the names of the
  segments that are forgotten because of it (`removed`); then the segment; then a tombstone for each forgotten segment.
- A delete: the session, with the name in `removed`; then a tombstone.
- The end, by a message or by idleness: the session with `ended` set, a *gravestone* that holds only its numbers; then
  a tombstone for each segment.
- Labelling failed and the session was reset: the session, with `labels_void_before` (labels written before that `seq`
  are void, texts are valid) and the failed segment inline; then that segment.
- A gravestone has expired: a tombstone of the session.
- A repeated message: nothing.

A gravestone keeps `rev` and span ids rising if the same session id is used again. Segments written before
`life_started_at` belong to an earlier life of the session.

`words` and `contexts` belong to the labeller. They begin with the fingerprint of its model: bytes of another model are
ignored, and the labels are computed again from the texts.

*Taggers.* A text is stored once, together with the labels of every tagger, so an entry is atomic for all of them. The
set of taggers may change between two engines. A new tagger has no labels: it reads the whole segment with the next
operation on it, and its `rev` begins at 1. The counters of a tagger that is no longer configured stay, so that they
continue if it comes back; its labels of a segment go when the segment is next written.

*Reading.* A restore reads every stored segment, and most of them are never asked for again: a session remembers dozens
of closed ones. So a stored segment may be given undecoded (`StoredSegment`): of it a restore reads the numbers that it
needs to find out what counts, and the rest is decoded when somebody looks at the segment.

*Number formats.* Labels name the number format of the engine that wrote them. Labels of another format stay valid: a
closing computes the segment again, so final labels are those of the format of the engine that closes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream.messages.word_times import Times
from stream.redaction.session_redaction import SegmentRedactionState, SessionRedactionState


class SpanState(NamedTuple):
    """A published span. Its text and channel are those of the segment."""

    id: int
    start: int
    end: int
    label: str
    stability: float
    start_time: float | None = None
    end_time: float | None = None
    score: float | None = None
    speaker: str | None = None


SavedCounters = dict[str, tuple[int, int]]
"""For each tagger: the last `rev`, and the id of the next span."""
Opened = tuple[int, int]
"""The message that opened a segment: its offset, and its position among the session's messages at that offset."""
NEVER_OPENED: Opened = (-1, 0)


class LabelState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The labels that one tagger gave a segment."""

    published: bool = False
    spans: tuple[SpanState, ...] = ()
    words: bytes = b""
    """Word records in the format of the labeller; empty if it has none of this segment."""
    number_format: str = ""
    """`Labeller.precisions` of the engine that wrote the segment; empty in entries from before this field existed."""
    scores: dict[str, float] = {}
    """Text scores that the readers have; empty in entries from before this field existed."""
    settled: int = 0
    """Settled offset; 0 in entries from before this field existed, so that it is found anew."""
    settled_told: int = 0
    """The offset that readers have."""


class SegmentState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One segment, with the numbers of its session when it was written."""

    text: str
    order: int
    """The `seq` of the first entry, later that of the closing: the sort key of the closed segments of a session."""
    seq: int
    counters: SavedCounters
    offset: int
    """All input messages of the session up to this one are in the state."""
    applied: int
    """The last input message of this segment that is in the state; may be higher than `offset`."""
    closed: bool = False
    times: Times = ()
    labels: dict[str, LabelState] = {}
    """For each tagger."""
    speaker: str | None = None
    channel: str | None = None
    opened: Opened = NEVER_OPENED
    """Sort key of open segments. It differs from `order` where updates are coalesced: the opening update of a segment
    may be superseded by a newer one, so that a segment that opened later is written first."""
    redaction: SegmentRedactionState | None = None
    """What was released of it, if the engine redacts."""
    confirmed: int = 0
    """Characters at its beginning that its source will not rewrite."""


class _SegmentHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields of a `SegmentState` up to the last one that a restore needs."""

    text: msgspec.Raw
    order: int
    seq: int
    counters: msgspec.Raw
    offset: int
    applied: int
    closed: bool = False


_HEAD = msgspec.msgpack.Decoder(_SegmentHead)
_SEGMENT = msgspec.msgpack.Decoder(SegmentState)


class StoredSegment:
    """A `SegmentState` as it is stored: its numbers are read at once, all else by `load`.

    Args:
        data: MessagePack of a `SegmentState`.

    Raises:
        msgspec.MsgspecError: it is no `SegmentState`, as far as its numbers tell.
    """

    __slots__ = ("_data", "closed", "order", "seq")

    def __init__(self, data: bytes | msgspec.Raw) -> None:
        head = _HEAD.decode(data)
        self.order, self.seq, self.closed, self._data = head.order, head.seq, head.closed, data

    def load(self) -> SegmentState:
        """Decode all of it.

        Raises:
            msgspec.MsgspecError: it is no `SegmentState`.
        """
        return _SEGMENT.decode(self._data)


class SessionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of one session apart from its segments."""

    seq: int
    counters: SavedCounters
    offset: int
    ended: bool = False
    life_started_at: int = 0
    """Segments with a lower `seq` belong to an earlier life of the session."""
    labels_void_before: int = 0
    """Labels of segments with a lower `seq` are void."""
    contexts: tuple[bytes, ...] = ()
    """Closed contexts in the format of the labeller, one for each model; empty if no segment has closed."""
    closing: dict[str, SegmentState] = {}
    """Segments that this operation wrote, inline, so that this entry is atomic."""
    removed: tuple[str, ...] = ()
    """Segments that this operation removed."""
    removed_at: dict[str, int] = {}
    """Removed segments with their last input message, where that is later than `offset`."""
    redaction: SessionRedactionState | None = None
    """Numbers of its values, if the engine redacts; those of open segments are in their entries."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """The current value of one key; None is a tombstone. An entry without a segment is that of the session itself."""

    session: str
    segment: str | None
    value: SessionState | SegmentState | StoredSegment | None


class SavedSegments(Mapping[str, SegmentState]):
    """Segments of a restored session, each decoded when it is first looked at.

    Args:
        stored: by name, in order of `SegmentState.order`.
        labels_void_before: labels of segments with a lower `seq` are void.
    """

    def __init__(self, stored: dict[str, SegmentState | StoredSegment], labels_void_before: int = 0) -> None:
        self._stored = stored
        self._labels_void_before = labels_void_before

    def __getitem__(self, name: str) -> SegmentState:
        """Return a segment. Two threads may ask for the same one."""
        segment = self._stored[name]
        if isinstance(segment, StoredSegment):
            segment = segment.load()
            self._stored[name] = segment
        if segment.seq < self._labels_void_before and segment.labels:
            segment = self._stored[name] = msgspec.structs.replace(segment, labels={})
        return segment

    def __contains__(self, name: object) -> bool:
        """Tell whether there is one of that name."""
        return name in self._stored

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._stored)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._stored)

    @property
    def open_count(self) -> int:
        """Number of open segments."""
        return sum(not x.closed for x in self._stored.values())

    def find_newest(self) -> SegmentState | None:
        """Return the segment that was written last; None if there is none."""
        name = max(self._stored, key=lambda x: self._stored[x].seq, default=None)
        return None if name is None else self[name]


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session as restored from its entries."""

    counters: SavedCounters
    offset: int
    """All input messages up to this one are in it. The engine also knows which later ones are, and skips them."""
    seq: int
    ended: bool
    """Whether it is a gravestone, of which only the numbers are left."""
    life_started_at: int
    labels_void_before: int
    contexts: tuple[bytes, ...]
    removed_at: dict[str, int]
    segments: SavedSegments
    repairs: list[Entry]
    """Entries that were not stored, to be written before any other; the step after `Engine.restore` gives them."""
    redaction: SessionRedactionState | None = None


def restore_sessions(entries: Iterable[Entry]) -> dict[str, SavedSession]:
    """Build sessions from stored entries.

    Args:
        entries: in the order written. Only the last of each key counts, so earlier ones may be missing. A value with a
            lower `seq` than the one before it does not count: it was written earlier and has arrived late.
    """
    states: dict[str, SessionState] = {}
    segments: defaultdict[str, dict[str, SegmentState | StoredSegment]] = defaultdict(dict)
    for entry in entries:
        if isinstance(entry.value, SessionState):
            known = states.get(entry.session)
            if known is None or known.seq <= entry.value.seq:
                states[entry.session] = entry.value
        elif entry.segment is None:
            states.pop(entry.session, None)
        else:
            _put_segment(segments[entry.session], entry.segment, entry.value)
    names = dict.fromkeys([*states, *(name for name, stored in segments.items() if stored)])
    return {name: _restore_session(name, states.get(name, _NEVER), segments[name]) for name in names}


def _put_segment(
    segments: dict[str, SegmentState | StoredSegment], name: str, value: SegmentState | StoredSegment | None
) -> None:
    """Apply one entry of a segment, unless it is older than what is known."""
    known = segments.get(name)
    if known is not None and value is not None and known.seq > value.seq:
        return
    segments.pop(name, None)
    if value is not None:
        segments[name] = value


_NEVER = SessionState(seq=0, counters={}, offset=-1)


def _restore_session(
    session: str, state: SessionState, segments: dict[str, SegmentState | StoredSegment]
) -> SavedSession:
    repairs = []
    for name, segment in state.closing.items():
        if name not in segments or segments[name].seq < segment.seq:
            segments[name] = segment
            repairs.append(Entry(session, name, segment))
    for name, stored in list(segments.items()):
        if stored.seq < state.life_started_at or (name in state.removed and stored.seq < state.seq):
            del segments[name]
            repairs.append(Entry(session, name, None))
    ordered = SavedSegments(dict(sorted(segments.items(), key=_order)), state.labels_void_before)
    newest: SessionState | SegmentState = state
    if any(x.seq > state.seq for x in segments.values()):
        newest = ordered.find_newest() or state
    return SavedSession(
        counters=newest.counters,
        offset=newest.offset,
        seq=newest.seq,
        ended=state.ended and not segments,
        life_started_at=state.life_started_at,
        labels_void_before=state.labels_void_before,
        contexts=state.contexts,
        removed_at=state.removed_at,
        segments=ordered,
        repairs=repairs,
        redaction=state.redaction,
    )


def _order(item: tuple[str, SegmentState | StoredSegment]) -> int:
    return item[1].order
