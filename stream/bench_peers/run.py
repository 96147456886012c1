"""The peers and Hearken in turns, in one process, one thread each."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import torch

from encoder.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from encoder.choice import choose_taggers
from encoder.restart import resolve_policy
from encoder.tagger import Tagger, load_alone
from stream.bench import make_texts
from stream.bench_feed import NOTHING, Feed, Lap, closes, open_words, timed
from stream.bench_machine import Setting, setting_of
from stream.bench_peers import hugging, onnx, openvino, spacy
from stream.bench_peers.bert import dense_twin
from stream.bench_peers.check import Agreement, check_peers
from stream.bench_peers.peer import Build, Gathered, IntArray, Material, Peer, Step, Way, gather

OURS = "hearken"
BUILDS: dict[str, Build] = {
    "transformers": hugging.build,
    onnx.NAME: onnx.build,
    openvino.NAME: openvino.build,
    spacy.NAME: spacy.build,
}
CALIBRATION_SEED, CALIBRATION_TEXTS = 11, 60
NEAR = 1.25
"""A way that is slower than the best by more than this on few texts is not tried on all of them."""

Tell = Callable[[str, float], None]
"""Told what is done next, and which share of all is done."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One side at one number of sessions and words; rates are words a second over all sessions."""

    words: int
    sessions: int
    side: str
    way: str
    words_per_second: float
    """Median over the repeats. Hearken's contains closing the segment, which is computed whole once more."""
    slowest: float
    fastest: float
    open_words_per_second: float
    """Without closing; of a peer the same as above."""
    p50_ms: float
    """Of one step, a word for every session, the segment open."""
    p99_ms: float
    cpu_ms: float
    """Median over the repeats of the milliseconds of the processor that a word takes, closing included."""
    steps: int
    """Steps that were timed in each repeat."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer was set up."""

    side: str
    version: str
    given: str


class PeersReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one bench of peers found."""

    setting: Setting
    repeats: int
    window: int
    """Tokens that a re-run of a long segment is limited to, as Hearken's own window."""
    share_of_core: float
    """Seconds of the processor over seconds on the clock, all sides together: below 1 something else was running."""
    rows: list[Row]
    given: list[Given]
    agreement: list[Agreement]
    missing: dict[str, str]

    def ratios(self, row: Row) -> tuple[float, float, float] | None:
        """How many times as fast Hearken is as this row: with closing, without, and with by the processor's time."""
        (ours,) = (x for x in self.rows if (x.words, x.sessions, x.side) == (row.words, row.sessions, OURS))
        if row is ours:
            return None
        return (
            ours.words_per_second / row.words_per_second,
            ours.open_words_per_second / row.open_words_per_second,
            row.cpu_ms / ours.cpu_ms,
        )


@dataclass
class _Side:
    """Times of one side: for each repeat those of its steps, and of closing."""

    name: str
    way: str
    sessions: int
    repeats: list[list[Lap]] = field(default_factory=list)
    closing: list[Lap] = field(default_factory=list)

    def row(self, words: int, sessions: int) -> Row:
        """Sum them up."""
        said = [self.sessions * len(steps) for steps in self.repeats]
        open_rates = [n / sum(x.wall for x in steps) for n, steps in zip(said, self.repeats, strict=True)]
        whole = [sum(steps, NOTHING) + close for steps, close in zip(self.repeats, self.closing, strict=True)]
        rates = [n / lap.wall for n, lap in zip(said, whole, strict=True)]
        steps = [1000 * lap.wall for steps in self.repeats for lap in steps]
        return Row(
            words=words,
            sessions=sessions,
            side=self.name,
            way=self.way,
            words_per_second=statistics.median(rates),
            slowest=min(rates),
            fastest=max(rates),
            open_words_per_second=statistics.median(open_rates),
            p50_ms=float(np.percentile(steps, 50)),
            p99_ms=float(np.percentile(steps, 99)),
            cpu_ms=1000 * statistics.median(lap.cpu / n for n, lap in zip(said, whole, strict=True)),
            steps=len(self.repeats[0]),
        )


def run_peers(
    name: str,
    counts: Sequence[int],
    lengths: Sequence[int],
    policy: str,
    *,
    repeats: int,
    steps: int,
    tell: Tell,
    builds: dict[str, Build] = BUILDS,
) -> PeersReport:
    """Measure every side for each number of words a segment and of sessions.

    Args:
        name: the tagger.
        counts: numbers of live sessions.
        lengths: words of each session's segment.
        policy: where restarts begin.
        repeats: of each side, in turns.
        steps: of the words of a segment, those that peers run on, spread evenly.
        tell: hears of progress.
        builds: the peers.

    Raises:
        CheckpointError: the tagger cannot be read.
        PolicyError: the policy cannot be parsed.
        PeerMismatch: a peer does not compute what it was given.
        ValueError: the tagger's encoder is no BERT.
    """
    torch.set_num_threads(1)
    tagger = load_alone(name, max_sessions=max(counts))
    policy = resolve_policy(policy, tagger.own)
    checkpoint = _alone(name)
    texts = [_tokens(tagger, x) for x in make_texts(CALIBRATION_TEXTS, 60, CALIBRATION_SEED)]
    uneven = [x[: 8 + 7 * i % max(1, len(x) - 8)] for i, x in enumerate(texts)]
    found = gather(builds, Material(checkpoint, uneven), lambda peer: tell(f"setting up {peer}", 0.0))
    tell("comparing scores", 0.0)
    agreement = check_peers(found.peers, dense_twin(checkpoint), uneven[:8])
    sides: list[tuple[int, int, list[_Side]]] = []
    cells = [(words, count) for words in lengths for count in counts]
    for i, (words, count) in enumerate(cells):
        about = f"{words} words, {count} sessions"
        share = i / len(cells)
        cell = _Cell(tagger, policy, make_texts(count, words), found, steps)
        sides.append((words, count, cell.run(repeats, lambda at: tell(about, share + at / len(cells)))))  # noqa: B023
    laps = [lap for _, _, cell in sides for side in cell for steps in side.repeats for lap in steps]
    return PeersReport(
        setting=setting_of(tagger, policy),
        repeats=repeats,
        window=tagger.config.window,
        share_of_core=sum(x.cpu for x in laps) / sum(x.wall for x in laps),
        rows=[side.row(words, count) for words, count, cell in sides for side in cell],
        given=[Given(side=x.name, version=x.version, given=x.given) for x in found.peers],
        agreement=agreement,
        missing=found.missing,
    )


class _Cell:
    """All sides for one number of words and of sessions."""

    def __init__(self, tagger: Tagger, policy: str, texts: list[list[str]], found: Gathered, steps: int) -> None:
        self._tagger, self._policy, self._texts = tagger, policy, texts
        self._words = len(texts[0])
        due = min(steps, self._words)
        self._due = [int((i + 0.5) * self._words / due) + 1 for i in range(due)]
        """Numbers of words after which peers run: the middles of equal parts, so that their mean is that of all."""
        self._peers = [x for x in found.peers if len(texts) > 1 or x.name != hugging.BATCHED]

    def run(self, repeats: int, tell: Callable[[float], None]) -> list[_Side]:
        """Choose how each peer runs, then measure in turns; each repeat begins with another side."""
        tell(0.0)
        ours = _Side(OURS, "", len(self._texts))
        measures: list[Callable[[], None]] = [lambda: self._run_ours(ours)]
        sides = [ours]
        for peer in self._peers:
            side, measure = self._set_up(peer)
            sides.append(side)
            measures.append(measure)
        Feed(self._tagger, self._policy).end()
        self._warm_up()
        for repeat in range(repeats):
            tell((repeat + 1) / (repeats + 1))
            turn = repeat % len(measures)
            for measure in measures[turn:] + measures[:turn]:
                measure()
        return sides

    def _run_ours(self, side: _Side) -> None:
        feed = Feed(self._tagger, self._policy)
        steps = [open_words(self._texts, n + 1) for n in range(self._words)]
        side.repeats.append([feed.say(step) for step in steps])
        side.closing.append(feed.say(closes(self._texts)))
        feed.end()

    def _warm_up(self) -> None:
        feed = Feed(self._tagger, self._policy)
        for n in range(min(8, self._words)):
            feed.say(open_words(self._texts, n + 1))
        feed.end()

    def _set_up(self, peer: Peer) -> tuple[_Side, Callable[[], None]]:
        """Find the peer's fastest way and run it on all that it will be timed on, so that every shape is known."""
        texts = self._texts[: peer.sessions]
        ways = [x for x in peer.ways if x.differs(len(texts))]
        way = _fastest(ways, self._step(texts[:8], self._words // 2 + 1), self._step(texts, self._words // 2 + 1))
        prepared = [way.prepare(self._step(texts, n)) for n in self._due]
        for one in prepared:
            way.run(one)
        side = _Side(peer.name, way.name, len(texts))

        def measure() -> None:
            side.repeats.append([timed(lambda one=one: way.run(one)) for one in prepared])  # type: ignore[misc]
            side.closing.append(NOTHING)

        return side, measure

    def _step(self, texts: Sequence[Sequence[str]], words: int) -> Step:
        return Step([" ".join(x[:words]) for x in texts], [_tokens(self._tagger, x[:words]) for x in texts])


def _fastest(ways: Sequence[Way], few: Step, all_: Step) -> Way:
    """Try all ways on few texts, and those that come near on all of them."""
    seconds = {i: _best_of_three(way, few) for i, way in enumerate(ways)}
    near = [i for i, x in seconds.items() if x <= NEAR * min(seconds.values())]
    if len(near) > 1 and len(all_.texts) > len(few.texts):
        seconds = {i: _best_of_three(ways[i], all_) for i in near}
    return ways[min(seconds, key=seconds.__getitem__)]


def _best_of_three(way: Way, step: Step) -> float:
    prepared: Any = way.prepare(step)
    return min(timed(lambda: way.run(prepared)).cpu for _ in range(3))


def _tokens(tagger: Tagger, words: Sequence[str]) -> IntArray:
    """Tokens of a text, (n,): no more than one window of them."""
    return tagger.tokenizer.encode(" ".join(words)).ids[-tagger.config.window :].astype(np.int64)


def _alone(name: str) -> Checkpoint:
    """The checkpoint with one head, as `load_alone` reads the name."""
    (choice,) = choose_taggers([name])
    checkpoint = load_checkpoint(str(find_checkpoint(str(choice.folder))))
    return checkpoint.alone(choice.heads[0]) if choice.heads[0] in checkpoint.config.taggers else checkpoint
