"""The segments of one session over one slot of the hybrid encoder: what each wish needs computed, pass by pass.

The scores of a closed segment are a function of the closed context it joined (`encoder.context`) and of its own tokens,
so *final equals offline*. That holds by construction: the slot is only a cache of passes that the canonical history
would have run; before each pass it is compared with that history and cut, or replayed, where it differs. A pass is
chosen only when it is about to run, so a session may be evicted between any two passes.

Several segments can be open. Each continues the closed context and knows nothing of the others; the slot holds one of
them. When the context has changed under an open segment, its labels stand until its next plan, which reads all of them
anew. An edit or a deletion changes the context as if the segment had never had another text; labels of segments that
closed after it are not read anew.
"""

from collections.abc import Hashable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoder.cache import Pass
from encoder.context import Closed, Context, Geometry, Piece, Place
from encoder.part import Part
from encoder.plan import Open, Plan, Standing
from encoder.snapshot import load_context, save_context

_ROOTLESS = "rootless"
"""The context under a segment whose first tokens were let go."""
_RETAINED = 16
"""Times the positions: tokens that an endless segment retains at most."""
_ALL = 1 << 62


class Pool(Protocol):
    """What a session needs to know of all sessions."""

    def release(self, session: "SessionEncoder") -> None:
        """Take the session's slot back, if it has one."""
        ...


class SessionEncoder:
    """Segments of one session. Made by `SessionPool.open()`; token numbers are the segment's own, from 0."""

    def __init__(self, pool: Pool, geometry: Geometry) -> None:
        self.slot: int | None = None
        """Set by the pool before a pass is run."""
        self._pool = pool
        self._geometry = geometry
        self._context = Context(geometry)
        self._open: dict[Hashable, Open] = {}
        self._pieces: list[Piece] = []  # closed segments in the slot, in the states they closed with
        self._part: Part | None = None  # what lies behind them
        self._window = 0  # first slot token that has a standing state
        self._agreed: Plan | None = None  # the plan whose base `_pieces` is known to be a prefix of

    # wishes

    def plan_update(self, segment: Hashable, tokens: NDArray[np.int32], keep: int, restart: int) -> Plan:
        """Plan the scores of an open segment (opened here if it is new).

        Args:
            segment: the segment's identity.
            tokens: (n,) all tokens of the segment as it stands now; not changed by the caller afterwards.
            keep: leading tokens that stand unchanged since the plan before of this segment (0 if it is new).
            restart: token from which the policy wants labels anew; clamped to the window's start and to what is
                new or invalid, so any number will do.
        """
        owner = self._open.get(segment)
        if owner is None:
            owner = self._open[segment] = Open(segment, tokens)
        # What stands of a resumed segment has no scores here: a tagger that is new to it could not be read.
        same = keep == len(tokens) == owner.count and owner.version == self._context.version and not owner.unread
        keep = min(keep, owner.count, len(tokens))
        owner.whole = owner.whole and keep == owner.count
        owner.tokens, owner.offset = tokens, 0
        if same:
            return Plan(self, owner, [], owner.version, keep, 0, 0, done=True)
        return self._plan(owner, keep, restart)

    def plan_append(self, segment: Hashable, tokens: NDArray[np.int32], restart: int) -> Plan:
        """Plan the scores of an open segment (opened here if it is new) that grows by `tokens`.

        Memory stays bounded however long it grows: past 16 times the positions it lets go of tokens before its last
        re-anchor. Its labels no longer follow the closed context then (others may close meanwhile), and an edit of it
        cannot be exact.
        """
        owner = self._open.get(segment)
        if owner is None:
            owner = self._open[segment] = Open(segment, tokens[:0])
        keep = owner.count
        self._let_go(owner)
        owner.tokens = np.concatenate([owner.tokens, tokens])
        return self._plan(owner, keep, restart)

    def plan_close(self, segment: Hashable) -> Plan:
        """Close an open segment with the tokens it has; the plan computes what makes its labels canonical.

        Raises:
            KeyError: the segment is not open.
        """
        owner = self._open.pop(segment)
        done = owner.whole and not owner.unread and owner.version == self._version(owner)
        plan = self._plan(owner, owner.count, 0)
        plan.closes, plan.done = Closed(segment, owner.tokens), done or plan.done
        (self._context.join_rest if owner.offset else self._context.join)(plan.closes)
        return plan

    def plan_edit(self, segment: Hashable, tokens: NDArray[np.int32], *, again: bool = False) -> Plan:
        """Replace the tokens of a closed segment; all its labels are read anew, those of later segments stand.

        A segment that the context no longer shows (`shows`) is computed as the first of a session. The same tokens are
        only computed if `again` asks for it.
        """
        index = self._context.find(segment)
        base = self._context.before(index) if index >= 0 else []
        closed = Closed(segment, tokens)
        plan = Plan(self, Open(segment, tokens), base, object(), 0, 0, 0, closes=closed, joins=index >= 0)
        same = index >= 0 and np.array_equal(self._context.closed[index].tokens, tokens)
        plan.done = (same and not again) or not len(tokens)
        if index >= 0 and not same:
            self._context.replace(index, closed)
        if not plan.done:
            self._part = None
        return plan

    def delete(self, segment: Hashable) -> None:
        """Take an open or closed segment back; unknown ones are ignored."""
        owner = self._open.pop(segment, None)
        if owner is not None:
            if self._part is not None and self._part.owner is owner:
                self._part = None
        elif (index := self._context.find(segment)) >= 0:
            self._context.replace(index, None)

    def forget(self, segment: Hashable) -> None:
        """A closed segment will not be edited or deleted any more; it stays in the context, its identity is free."""
        self._context.forget(segment)

    def evict(self) -> None:
        """Drop all that is cached; the next plan computes it again from the session's own tokens."""
        self._pool.release(self)
        self._pieces, self._part, self._window, self._agreed = [], None, 0, None

    def free(self) -> None:
        """Forget the session."""
        self.evict()
        self._context = Context(self._geometry)
        self._open = {}

    def save(self) -> bytes:
        """Write the closed context down; names of segments must be strings, and not empty."""
        return save_context(self._context)

    def load(self, data: bytes) -> None:
        """Go on with a closed context that `save` gave; only for a session in which nothing has happened yet.

        Raises:
            msgspec.DecodeError: these are other bytes.
        """
        self._context = load_context(self._geometry, data)

    def resume(self, segment: Hashable, tokens: NDArray[np.int32], standing: Standing) -> None:
        """Go on with an open segment whose labels are kept elsewhere; its next plan computes it whole.

        That plan gives all scores. If the context is still that of the labels, those before `Plan.stands` are final:
        reading them anew would only repeat what is known.
        """
        self._open[segment] = Open(segment, tokens, version=standing.version, whole=standing.whole, unread=True)

    def standing(self, segment: Hashable) -> Standing:
        """What `resume` needs to know of an open segment's labels."""
        owner = self._open[segment]
        return Standing(owner.version if isinstance(owner.version, int) else None, owner.whole)

    def shows(self, segment: Hashable) -> bool:
        """Whether a closed segment can still be edited in its place."""
        return self._context.find(segment) >= 0

    @property
    def reanchors(self) -> int:
        """Times that a closing re-anchored the context."""
        return self._context.reanchors

    @property
    def tokens_held(self) -> int:
        """Tokens that the session itself remembers, for its open segments and its context."""
        owners = {*self._context.closed, *(piece.owner for piece in self._context.base)}
        return sum(len(x.tokens) for x in owners) + sum(len(x.tokens) for x in self._open.values())

    # passes

    def next_pass(self, plan: Plan) -> Pass | None:
        """Choose the plan's next pass from what the slot holds, or None: the plan is done."""
        while not plan.done:
            part = self._part or self._place(plan)
            self._part = part
            replayed = part.owner if isinstance(part.owner, Piece) else None
            tokens, offset = (replayed.owner.tokens, 0) if replayed else (plan.owner.tokens, plan.owner.offset)
            chosen = part.next_pass(offset + len(tokens), part.first if replayed else plan.wish)
            if not part.start:
                self._pieces = []  # re-anchored
            if chosen is not None:
                end, restart = chosen
                skip = part.first - part.start - offset
                assert self.slot is not None
                return Pass(self.slot, part.end, tokens[part.end + skip : end + skip], part.window, restart)
            if replayed:
                self._pieces.append(replayed)
                self._part = None
            else:
                self._finish(plan, part)
        self._settle(plan)
        return None

    def note_pass(self, plan: Plan, one: Pass, logits: NDArray[np.float32]) -> None:
        """Take the scores (k, labels) of a pass that `next_pass` chose."""
        part = self._part
        assert part is not None
        end = one.keep + len(one.tokens)
        part.compute(end, one.restart)
        self._window = one.window
        plan.appended += len(one.tokens)
        plan.computed += end - one.restart
        if part.owner is plan.owner:
            shift = part.first - part.start
            last = end + shift
            plan.note(one.restart + shift, last, part.low + shift, logits)
            if last == plan.owner.count:  # only the last pass of a plan gets there
                self._finish(plan, part)
        else:
            plan.replayed += end - one.restart

    # what the slot holds

    def _plan(self, owner: Open, keep: int, wish: int) -> Plan:
        """Plan an open segment's tokens, the first `keep` of which stand."""
        version = self._version(owner)
        stale = owner.version != version
        # What is whole, and goes on, passes a checkpoint at its end without another look.
        stood = keep + (owner.whole and keep < owner.count)
        owner.version, owner.whole = None, False
        part = self._part
        fits = part is not None and part.owner is owner and part.version == version and not stale
        if part is not None and fits and part.cut(keep):
            first, read_from = part.first, part.segment_token(part.low)
        else:
            self._part = None
            anew = stale or owner.unread
            place = self._locate(owner, owner.offset if anew else stood)
            first, read_from, wish = place.first, 0 if anew else place.low, 0
        plan = Plan(self, owner, self._context.pieces, version, keep, wish, read_from, first)
        if owner.unread and not stale:
            plan.stands = self._locate(owner, stood).low
        if not owner.count:
            owner.version, owner.whole, plan.done = version, True, True
        return plan

    def _version(self, owner: Open) -> object:
        return _ROOTLESS if owner.offset else self._context.version

    def _locate(self, owner: Open, count: int) -> Place:
        """Where the canonical history has the end of an open segment's first `count` tokens."""
        if owner.offset:
            return self._geometry.locate(0, count, owner.offset)
        return self._geometry.locate(self._context.length, count)

    def _let_go(self, owner: Open) -> None:
        """Forget what an endless segment said before its last re-anchor."""
        if len(owner.tokens) <= _RETAINED * self._geometry.positions:
            return
        first = self._locate(owner, owner.count).first
        if self._part is not None and self._part.owner is owner:
            if self._part.version == self._version(owner):
                self._part.version = _ROOTLESS
            else:
                self._part = None
        owner.tokens, owner.offset, owner.version = owner.tokens[first - owner.offset :].copy(), first, _ROOTLESS

    def _place(self, plan: Plan) -> Part:
        """Begin what the slot needs next: a closed segment of the plan's base, or the plan's own."""
        if plan.first:
            self._pieces = []
            return Part(self._geometry, plan.owner, plan.version, plan.first, 0, 0, 0)
        if self._agreed is not plan:
            del self._pieces[_count_common(self._pieces, plan.base) :]
            self._agreed = plan
        start = self._pieces[-1].end if self._pieces else 0
        if self._geometry.opening(start) < self._window:
            self._pieces, start = [], 0  # the states before the window are gone
        common = len(self._pieces)
        piece = plan.base[common] if common < len(plan.base) else None
        window = self._geometry.opening(start)
        return Part(
            self._geometry, piece or plan.owner, plan.version, piece.first if piece else 0, start, window, start
        )

    def _finish(self, plan: Plan, part: Part) -> None:
        plan.owner.version, plan.owner.whole, plan.owner.unread = plan.version, part.whole, False
        plan.done = True

    def _settle(self, plan: Plan) -> None:
        """Make a segment that has closed one of the pieces that the next one continues."""
        part = self._part
        if plan.closes is not None and part is not None and part.owner is plan.owner:
            if plan.joins and part.whole and part.end > part.start:
                self._pieces.append(Piece(plan.closes, part.first - plan.owner.offset, part.start))
            self._part = None


def _count_common(held: list[Piece], wanted: list[Piece]) -> int:
    """Count the leading pieces that are the same."""
    count = 0
    for a, b in zip(held, wanted, strict=False):
        if a != b:
            break
        count += 1
    return count
