"""A model of one session's way: messages are told, steps taken and engines lost in any order, updates are coalesced.

Where updates overtake each other, what is kept is of no one moment: one segment may be ahead of another, and what
opened first may be written last. Even so, finals are those of an undisturbed run, and revisions answer in order.
"""

from random import Random

import pytest

from consumers.verify.revision_checker import RevisionChecker
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.messages.types import End, Message, Revision, Update
from stream.sessions.snapshot import Entry
from tests.consumers.verify.offline import compare_finals, edited_segments, label_offline
from tests.stream.cuts import restore
from tests.stream.fake_tagger import VOCABULARY, fake_labeller
from tests.stream.streams import ALL, Step, messages

KINDS = [kind for kind in ALL if kind != "end"]
SEEDS = 1500
LIVES = 5


def make_engine(coalesce: bool = True) -> Engine:
    return Engine(fake_labeller("ner", "speech"), Last(2), coalesce=coalesce)


def make_messages(random: Random) -> list[Message]:
    """A closed segment that others can look back at, then a few that are open at once, until the session ends."""

    def make_step() -> Step:
        words = tuple(random.choice(VOCABULARY) for _ in range(random.randint(1, 4)))
        return 0, random.randrange(3), random.choice(KINDS), words, random.randint(0, 6)

    first = Update(session="s0", segment="first", text="we met anna", final=True)
    return [first, *messages([make_step() for _ in range(random.randint(2, 20))]), End(session="s0")]


class Life:
    """What is kept of a session, and the engine that has it now."""

    def __init__(self, told: list[Message]) -> None:
        self.told = told
        self.engine = make_engine()
        self.next = 0
        """The message that is told next."""
        self.answered: set[int] = set()
        self.log: list[Entry] = []
        self.published: list[Revision] = []

    @property
    def committed(self) -> int:
        return next(offset for offset in range(len(self.told) + 1) if offset not in self.answered)

    def tell(self) -> None:
        if self.next < len(self.told):
            self.engine.submit(self.told[self.next], self.next)
            self.next += 1

    def step(self) -> None:
        result = self.engine.step()
        self.log += result.entries
        self.published += result.revisions
        self.answered.update(answer.offset for answer in result.answered)

    def crash(self, random: Random) -> None:
        """Lose the engine in a step: of what it writes some is kept, and what is told of that is told."""
        result = self.engine.step()
        self.log += result.entries[: random.randint(0, len(result.entries))]
        saved = restore(self.log)
        numbers = saved["s0"].counters if saved else {}
        self.published += [x for x in result.revisions if x.rev <= numbers.get(x.tagger, (0, 0))[0]]
        self.engine, self.next = make_engine(), self.committed
        for name, session in saved.items():
            self.engine.restore(session, name)

    def end(self) -> None:
        """Come to the end of what is told, undisturbed."""
        while self.next < len(self.told):
            self.tell()
        while self.engine.pending:
            self.step()


def run(seed: int) -> Life:
    random = Random(seed)
    life = Life(make_messages(random))
    for _ in range(random.randint(1, LIVES - 1)):
        for _ in range(random.randint(1, 12)):
            (life.tell if random.random() < 0.7 else life.step)()
        life.crash(random)
    life.end()
    return life


@pytest.mark.parametrize("part", range(5))
def test_finals_are_right_and_answers_in_order(part: int) -> None:
    for seed in range(part, SEEDS, 5):
        life = run(seed)
        assert life.committed == len(life.told), f"seed {seed}: {life.committed} was not answered"
        witness = RevisionChecker(reopened=edited_segments(life.told))
        last: dict[str, int] = {}
        for revision in life.published:
            witness.check(revision)
            before = last.get(revision.tagger, -1)
            assert revision.offset >= before, f"seed {seed}: {revision.offset} was answered after {before}"
            last[revision.tagger] = revision.offset
        assert not witness.violations, f"seed {seed}"
        offline = label_offline(make_engine(coalesce=False), life.told)
        assert compare_finals(life.told, witness.latest, offline)[1] == [], f"seed {seed}"
