"""Runs that are cut off anywhere and go on in another engine, from nothing but the entries kept until then."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from stream.engine.engine import Engine
from stream.messages.errors import InputError
from stream.messages.types import Message, Revision
from stream.sessions.snapshot import Entry, SavedSession, SegmentState, SessionState, restore_sessions
from tests.stream.helpers import drain

IDLE, REMEMBER = 9.0, 15.0
Cut = tuple[int, int]
"""The group of messages that is cut, and how many of its entries are kept (modulo what there are, and one more)."""


def encode_value(value: SessionState | SegmentState) -> bytes:
    return msgspec.msgpack.encode(value)


def decode_value(segment: str | None, data: bytes) -> SessionState | SegmentState:
    """The value of a key with that segment; None for the session's own key."""
    return msgspec.msgpack.decode(data, type=SessionState if segment is None else SegmentState)


def through_bytes(entries: Sequence[Entry]) -> list[Entry]:
    """What a topic gives back."""
    return [
        Entry(x.session, x.segment, None if x.value is None else decode_value(x.segment, encode_value(x.value)))
        for x in entries
    ]


def compact(entries: Sequence[Entry]) -> list[Entry]:
    """Only the last entry of each key."""
    last = {(x.session, x.segment): i for i, x in enumerate(entries)}
    return [x for i, x in enumerate(entries) if last[x.session, x.segment] == i]


def restore(log: Sequence[Entry]) -> dict[str, SavedSession]:
    """Sessions of a log; compaction, and doing it twice, must change nothing."""
    saved = restore_sessions(through_bytes(log))
    assert restore_sessions(through_bytes(compact(log))) == saved
    repaired = restore_sessions([*log, *(entry for x in saved.values() for entry in x.repairs)])
    assert all(not x.repairs for x in repaired.values())
    assert {name: _without_repairs(x) for name, x in saved.items()} == {
        name: _without_repairs(x) for name, x in repaired.items()
    }
    return saved


def _without_repairs(saved: SavedSession) -> list[object]:
    return [getattr(saved, name) for name in SavedSession.__slots__ if name != "repairs"]


class CutRun:
    """Groups of messages through engines that come and go. One unit of time passes with each group."""

    def __init__(self, make: Callable[[], Engine], groups: Sequence[Sequence[tuple[int, Message]]]) -> None:
        self.make = make
        self.engine = make()
        self.groups = groups
        self.told = sum(1 for group in groups if group)
        self.log: list[Entry] = []
        self.revisions: defaultdict[str, list[Revision]] = defaultdict(list)
        self.refused: set[int] = set()
        self.answered: list[int] = []
        self.failed: set[int] = set()

    def run(self, cuts: Sequence[Cut] = ()) -> "CutRun":
        at = defaultdict(list)
        for number, keep in cuts:
            at[number % (self.told + 2)].append(keep)  # the silence after the last message too
        for number in range(len(self.groups)):
            for keep in at[number]:
                self._cut(number, keep)
            entries, revisions = self._group(number)
            self.log += entries
            for x in revisions:
                self.revisions[x.session].append(x)
        return self

    def _group(self, number: int) -> tuple[list[Entry], list[Revision]]:
        now = float(number)
        self.engine.expire(now)
        for offset, message in self.groups[number]:
            try:
                self.engine.submit(message, offset, now)
            except InputError:
                self.refused.add(offset)
        results = drain(self.engine)
        self.answered += [x.offset for r in results for x in r.answered]
        self.failed |= {x.offset for r in results for x in r.failures}
        return [x for r in results for x in r.entries], [x for r in results for x in r.revisions]

    def _cut(self, number: int, keep: int) -> None:
        """Do a group, lose all but the first `keep` of its entries, and go on before it."""
        self.log += [entry for result in drain(self.engine) for entry in result.entries]  # repairs
        clock = _clock(self.engine)
        entries, revisions = self._group(number)
        clock = {**_clock(self.engine), **clock}
        self.log += entries[: keep % (len(entries) + 1)]
        saved = restore(self.log)
        for x in revisions:
            state = saved.get(x.session)
            rev = state.counters.get(x.tagger, (0, 1))[0] if state is not None else 0
            if state is not None and x.rev <= rev and not (state.ended and x.offset > state.offset):
                self.revisions[x.session].append(x)
        self.engine = self.make()
        since = {n: clock.get((n, x.offset if x.ended else None), float(number)) for n, x in saved.items()}
        for name in sorted(saved, key=since.__getitem__):
            self.engine.restore(saved[name], name, since[name])
        assert self.engine.intake.sessions == [x for x in sorted(saved, key=since.__getitem__) if not saved[x].ended]

    def bytes(self) -> dict[str, list[bytes]]:
        return {name: [msgspec.json.encode(x) for x in told] for name, told in self.revisions.items()}


def _clock(engine: Engine) -> dict[tuple[str, int | None], float]:
    """When each session was last heard; or was over, and with which message."""
    over = {
        (name, engine._sessions.ended[name].fully_applied_through): since
        for name, (since, _) in engine.intake._sessions.ended.items()
    }
    return over | {(name, None): source.seen for name, source in engine.intake._sessions.active.items()}


def in_groups(told: Sequence[Message], sizes: Sequence[int]) -> list[list[tuple[int, Message]]]:
    waiting, groups = list(enumerate(told)), []
    while waiting:
        size = sizes[len(groups) % len(sizes)]
        groups.append(waiting[:size])
        del waiting[:size]
    return [*groups, *([] for _ in range(3 * int(REMEMBER)))]
