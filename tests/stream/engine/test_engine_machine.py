"""A whole engine in random order: whatever happens to its sessions, final labels are those of a fresh engine.

What happens: updates, rewrites, repeats, closings, edits and deletes of a few sessions, evictions, sessions that
expire, engines that crash anywhere in what they wrote, and deployments whose taggers are others than before.
"""

from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from encoder.restart.policies import Always, Entropy, Last, Never, Whether
from encoder.session.closed_context import ClosedContext, ClosedSegment, WindowRules
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Delete, End, Message, Revision, Update
from stream.sessions.snapshot import Entry
from tests.stream.cuts import restore
from tests.stream.engine.machine_model import (
    DEPLOYMENTS,
    IDLE,
    OPEN,
    REMEMBER,
    REMEMBERED,
    SEGMENTS,
    SESSIONS,
    TAGGERS,
    Expected,
    Found,
    Says,
    Segment,
    Session,
    changed,
    checkpoint,
    either,
    moved,
    offline,
    spans_of,
    tokenizer,
)
from tests.stream.helpers import drain
from tests.stream.hybrid import tiny_tagger
from tests.stream.labelling.test_hybrid import VOCABULARY

SIGNS = ["o'neil", "x-ray", "-", "'s", "f*ck", "**", "rice😀", "\u202e", "ri\x07ce", "p\u0430ris", "(", "ｐａris"]
"""Words that a tokenizer cuts, and characters that the model does not see."""


class EngineMachine(RuleBasedStateMachine):
    """Messages gather in a batch, which is run, or crashed into and told again, before anything else happens."""

    @initialize(
        wide=st.booleans(),
        policy=st.sampled_from([Always(), Never(), Last(3), Entropy(0.5), Whether(0.9)]),
        limits=st.sampled_from([{"max_sessions": 4}, {"max_sessions": 1}]),
        taggers=st.sampled_from(DEPLOYMENTS),
    )
    def begin(self, wide: bool, policy: object, limits: dict[str, int], taggers: tuple[str, ...]) -> None:
        self.wide, self.policy, self.limits = wide, policy, limits
        self.taggers = taggers
        self.engine = self.deploy()
        config = checkpoint(wide).config
        self.geometry = WindowRules(config.positions, config.window, tokenizer(wide).starts_word())
        self.now, self.offset, self.number = 0.0, 0, 0
        self.sessions: dict[str, Session] = {}
        self.over: dict[str, float] = {}
        self.revs: dict[tuple[str, str], int] = {}
        self.batch: list[tuple[int, Message]] = []
        self.expected: list[Expected] = []
        self.touched: list[Segment] = []
        self.numbers: dict[tuple[str, str, int], int] = {}
        """Which segment a message was about."""
        self.shown: dict[tuple[str, int], Found | None] = {}
        """What readers of a tagger know of a segment; None: it may have been written without that tagger."""
        self.log: list[Entry] = []

    def deploy(self) -> Engine:
        tagger = tiny_tagger(checkpoint(self.wide), kernels="auto", **self.limits)
        return Engine(
            HybridLabeller(tagger, self.taggers),
            self.policy,
            idle_seconds=IDLE,
            remember_seconds=REMEMBER,
            remember_segments=REMEMBERED,
            max_open_segments=OPEN,
        )

    # messages

    @rule(
        session=st.sampled_from(SESSIONS),
        name=st.sampled_from(SEGMENTS),
        how=st.sampled_from(("append", "append", "append", "delta", "rewrite", "shrink", "new", "case")),
        count=st.sampled_from((1, 1, 2, 3, 5, 8, 20, 40)),
        seed=st.integers(0, 1 << 16),
        at=st.integers(0, 30),
        closes=st.sampled_from((False, False, True)),
    )
    def say(self, session: str, name: str, how: str, count: int, seed: int, at: int, closes: bool) -> None:
        self.tell_text(session, name, how, Random(seed).choices([*VOCABULARY, *SIGNS], k=count), at, closes)

    @rule(session=st.sampled_from(SESSIONS), which=st.integers(0, 9), how=st.sampled_from(("space", "case", "repeat")))
    def say_again(self, session: str, which: int, how: str) -> None:
        """The same tokens."""
        known = self.sessions.get(session)
        if known is not None and known.segments:
            self.tell_text(session, list(known.segments)[which % len(known.segments)], how, [], 0, closes=False)

    def tell_text(self, session: str, name: str, how: str, words: list[str], at: int, closes: bool) -> None:
        known = self.sessions.get(session)
        segment = known.segments.get(name) if known else None
        old = segment.text if segment else ""
        text, append = changed(how, old, words, at), how == "delta"
        told = text[len(old) :] if append else text
        message = Update(
            session=session,
            segment=name,
            text=told,
            mode="append" if append else "replace",
            final=closes and not append,
        )
        self.tell(message)
        self.write(session, name, text, message.final)

    @rule(session=st.sampled_from(SESSIONS), which=st.integers(0, 9))
    def delete(self, session: str, which: int) -> None:
        known = self.sessions.get(session)
        if known is None or not known.segments:
            return
        name = list(known.segments)[which % len(known.segments)]
        self.tell(Delete(session=session, segment=name))
        segment = known.segments.pop(name)
        self.numbers[session, name, self.offset - 1] = segment.number
        known.seen = self.now
        if segment.closed:
            self.replace(known, segment, None)

    @rule(session=st.sampled_from(SESSIONS))
    def end(self, session: str) -> None:
        if session in self.sessions:
            self.tell(End(session=session))
            self.finish(session)

    def tell(self, message: Message) -> None:
        self.batch.append((self.offset, message))
        self.offset += 1

    # what they mean

    def write(self, session: str, name: str, text: str, closes: bool) -> None:
        self.over.pop(session, None)
        known = self.sessions.setdefault(session, Session(session, ClosedContext(self.geometry)))
        known.seen = self.now
        segment = known.segments.get(name)
        if segment is None:
            is_open = [x for x, one in known.segments.items() if not one.closed]
            if len(is_open) >= OPEN and not closes:
                self.close(session, is_open[0], self.offset - 1, forced=True)
            self.number += 1
            segment = known.segments[name] = Segment(self.number)
        was, segment.text = segment.text, text
        if segment.closed:
            if text != was:
                self.edit(known, name, was)
        elif closes:
            self.close(session, name, self.offset - 1)
        elif text != was:
            self.grow(known, name, was)

    def grow(self, known: Session, name: str, was: str) -> None:
        """What an open segment says is known where everything is read anew, and nothing has left the window."""
        segment = known.segments[name]
        anew = None
        if isinstance(self.policy, Always) and len(self.tokens(segment.text)) <= self.geometry.half:
            anew = self.anew(tuple(known.history.values()), segment.text)
        self.expect(known, name, self.offset - 1, self.standing(segment, was, anew), anew)

    def close(self, session: str, name: str, offset: int, forced: bool = False) -> None:
        known = self.sessions[session]
        segment = known.segments.pop(name)
        known.segments[name] = segment
        segment.closed = True
        anew = self.anew(tuple(known.history.values()), segment.text)
        self.expect(known, name, offset, anew, anew, closing=True, forced=forced)
        known.history[segment.number] = segment.text
        known.context.append_segment(ClosedSegment(segment.number, self.tokens(segment.text)))
        closed = [x for x, one in known.segments.items() if one.closed]
        for old in closed[: max(0, len(closed) - REMEMBERED)]:
            del known.segments[old]

    def edit(self, known: Session, name: str, was: str) -> None:
        """In its place while the context shows it, else as the first of a session; labels of later ones stand."""
        segment = known.segments[name]
        shows = known.context.find(segment.number) >= 0
        before = list(known.history.values())[: list(known.history).index(segment.number)] if shows else []
        anew = self.anew(tuple(before), segment.text)
        says = self.standing(segment, was, anew)
        if shows:
            self.replace(known, segment, segment.text)
        self.expect(known, name, self.offset - 1, says, anew)

    def anew(self, before: tuple[str, ...], text: str) -> Says:
        return {tagger: {found} for tagger, found in offline(self.wide, (*before, text)).items()}

    def standing(self, segment: Segment, was: str, anew: Says | None) -> Says | None:
        """What taggers say if no token changed and all of them know the segment: what they said, in other places."""
        before, after = (tokenizer(self.wide).encode(text) for text in (was, segment.text))
        if before.ids.tolist() != after.ids.tolist():
            return anew
        known = segment.readers is not None and set(self.taggers) <= set(segment.readers)
        if segment.says is None or (segment.readers is not None and not known):
            return None if known else anew
        stood = {tagger: {moved(found, before, after) for found in segment.says[tagger]} for tagger in TAGGERS}
        return stood if known else either(stood, anew)

    def replace(self, known: Session, segment: Segment, text: str | None) -> None:
        index = known.context.find(segment.number)
        if index < 0:
            return
        known.context.replace_segment(index, None if text is None else ClosedSegment(segment.number, self.tokens(text)))
        if text is None:
            del known.history[segment.number]
        else:
            known.history[segment.number] = text

    def expect(
        self,
        known: Session,
        name: str,
        offset: int,
        says: Says | None,
        anew: Says | None,
        closing: bool = False,
        forced: bool = False,
    ) -> None:
        segment = known.segments[name]
        segment.says, segment.readers = says, self.taggers
        self.touched.append(segment)
        self.numbers[known.name, name, offset] = segment.number
        if says is not None and anew is not None:
            self.expected.append(Expected(known.name, name, offset, segment.number, says, anew, closing, forced))
        for tagger in set(TAGGERS) - set(self.taggers):  # it is written without them
            self.shown[tagger, segment.number] = ()

    def finish(self, session: str, offset: int | None = None) -> None:
        known = self.sessions[session]
        for name in [name for name, one in known.segments.items() if not one.closed]:
            self.close(session, name, self.offset - 1 if offset is None else offset)
        del self.sessions[session]
        self.over[session] = self.now

    def tokens(self, text: str):  # type: ignore[no-untyped-def]
        return tokenizer(self.wide).encode(text).ids

    # engines

    @rule()
    def run(self) -> None:
        self.check(self.work(self.batch))

    @rule(kept=st.integers(0, 40), taggers=st.sampled_from(DEPLOYMENTS))
    def crash(self, kept: int, taggers: tuple[str, ...]) -> None:
        """All entries of the batch but the first few are lost, and another engine is told it again."""
        log, revisions = len(self.log), self.work(self.batch)
        written = len(self.log) - log
        del self.log[log + kept % (written + 1) :]
        saved = restore(self.log)
        stood = []
        for x in revisions:
            state = saved.get(x.session)
            rev = state.counters.get(x.tagger, (0, 1))[0] if state is not None else 0
            if state is not None and x.rev <= rev and not (state.ended and x.offset > state.offset):
                stood.append(x)
        before = set(self.taggers)
        self.start(taggers)
        if before != set(taggers):
            for segment in self.touched:
                segment.readers = None
                segment.says = segment.says and either(segment.says, self.last_anew(segment.number))
                for tagger in before ^ set(taggers):
                    self.shown[tagger, segment.number] = None
            for one in self.expected:
                one.says = either(one.says, one.anew)
        self.check([*stood, *self.work(self.batch)], before)

    def last_anew(self, number: int) -> Says | None:
        return next((one.anew for one in reversed(self.expected) if one.number == number), None)

    @rule(taggers=st.sampled_from(DEPLOYMENTS))
    def deploy_others(self, taggers: tuple[str, ...]) -> None:
        self.run()
        self.start(taggers)

    @rule(taggers=st.sampled_from(DEPLOYMENTS), how=st.sampled_from(("space", "case")))
    def deploy_others_and_say_all_again(self, taggers: tuple[str, ...], how: str) -> None:
        self.deploy_others(taggers)
        for session, known in list(self.sessions.items()):
            for name in list(known.segments):
                self.tell_text(session, name, how, [], 0, closes=False)

    @rule()
    def evict(self) -> None:
        self.run()
        for session in self.engine._sessions.active.values():
            session.labels._session.evict()

    @rule(seconds=st.sampled_from([1.0, 5.0, IDLE, REMEMBER]))
    def wait(self, seconds: float) -> None:
        self.run()
        self.now += seconds
        for session in [x for x, since in self.over.items() if since <= self.now - REMEMBER]:
            del self.over[session]
            for tagger in TAGGERS:
                self.revs.pop((tagger, session), None)
        last = {session: self.last_offset(session) for session in self.sessions}
        self.engine.expire(self.now)
        for session, known in list(self.sessions.items()):
            if known.seen <= self.now - IDLE:
                self.finish(session, last[session])
        self.check(self.work([]))

    def last_offset(self, session: str) -> int:
        return self.engine.intake._sessions.active[session].offset

    def start(self, taggers: tuple[str, ...]) -> None:
        self.taggers = taggers
        self.engine = self.deploy()
        saved = restore(self.log)
        since = {
            name: self.sessions[name].seen if name in self.sessions else self.over.get(name, self.now) for name in saved
        }
        for name in sorted(saved, key=since.__getitem__):
            self.engine.restore(saved[name], name, since[name])

    def work(self, batch: list[tuple[int, Message]]) -> list[Revision]:
        for offset, message in batch:
            self.engine.submit(message, offset, self.now)
        revisions = []
        for result in drain(self.engine):
            assert result.failures == []
            self.log += result.entries
            revisions += result.revisions
        return revisions

    def check(self, revisions: list[Revision], others: set[str] | None = None) -> None:
        """What was told in a batch is what a fresh engine says.

        Args:
            revisions: those that stand, in order.
            others: taggers of the engine that the batch was told first, if it was told two.
        """
        surely = set(self.taggers) if others is None else set(self.taggers) & others
        waiting: dict[int, list[Revision]] = {}
        for x in revisions:
            assert x.rev == self.revs.get((x.tagger, x.session), 0) + 1, "no revision is left out, or told twice"
            self.revs[x.tagger, x.session] = x.rev
            waiting.setdefault(self.numbers[x.session, x.segment, x.offset], []).append(x)
        for one in self.expected:
            told = waiting.get(one.number, [])
            taggers = set()
            while told and told[0].offset <= one.offset:
                x = told.pop(0)
                self.shown[x.tagger, one.number] = spans_of(x)
                if x.offset == one.offset:
                    assert (x.closed_by == "open_segments") == one.forced, (x, one)
                taggers |= {x.tagger} if x.offset == one.offset else set()
            for tagger in surely | taggers:
                shown = self.shown.get((tagger, one.number), ())
                assert shown is None or shown in one.says[tagger], (tagger, shown, one)
            if one.closing:
                assert taggers in (set(self.taggers), others), one
        for number, told in waiting.items():
            for x in told:
                self.shown[x.tagger, number] = spans_of(x)
        self.batch, self.expected, self.touched, self.numbers = [], [], [], {}

    @invariant()
    def the_batch_is_bounded(self) -> None:
        if hasattr(self, "batch") and len(self.batch) > 12:
            self.run()

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.run()
        for session in list(self.sessions):
            self.end(session)
        self.run()
        assert self.engine.intake.sessions == []


TestEngineMachine = pytest.mark.timeout(600)(EngineMachine.TestCase)  # to find a short example of a fault takes minutes
TestEngineMachine.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
