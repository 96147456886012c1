"""All sides in turns, at one number of sessions and of words."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.harness.engine_feed import NOTHING, Feed, closes, open_words, timed
from benchmarks.peers import transformers as hugging
from benchmarks.peers.peer import IntArray, Peer, Step, Way
from benchmarks.peers.report import OURS, Side
from encoder.tagger import Tagger

NEAR = 1.25
"""A way that is slower than the best by more than this on few texts is not tried on all of them."""


class Cell:
    """All sides for one number of words and of sessions."""

    def __init__(self, tagger: Tagger, policy: str, texts: list[list[str]], peers: Sequence[Peer], steps: int) -> None:
        self._tagger, self._policy, self._texts = tagger, policy, texts
        self._words = len(texts[0])
        due = min(steps, self._words)
        self._due = [_between((i + 0.5) * self._words / due + 0.5, up=i % 2 == 1) for i in range(due)]
        """Numbers of words after which peers run: the middles of equal parts, so that their mean is that of all."""
        self._peers = [x for x in peers if len(texts) > 1 or x.name != hugging.BATCHED]

    def run(self, repeats: int, tell: Callable[[float], None]) -> list[Side]:
        """Choose how each peer runs, then measure in turns; each repeat begins with another side."""
        tell(0.0)
        ours = Side(OURS, "", len(self._texts))
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

    def _run_ours(self, side: Side) -> None:
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

    def _set_up(self, peer: Peer) -> tuple[Side, Callable[[], None]]:
        """Find the peer's fastest way and run it on all that it will be timed on, so that every shape is known."""
        texts = self._texts[: peer.sessions]
        ways = [x for x in peer.ways if x.differs(len(texts))]
        way = _fastest(ways, self._step(texts[:8], self._words // 2 + 1), self._step(texts, self._words // 2 + 1))
        prepared = [way.prepare(self._step(texts, n)) for n in self._due]
        for one in prepared:
            way.run(one)
        side = Side(peer.name, way.name, len(texts))

        def measure() -> None:
            side.repeats.append([timed(lambda one=one: way.run(one)) for one in prepared])  # type: ignore[misc]
            side.closing.append(NOTHING)

        return side, measure

    def _step(self, texts: Sequence[Sequence[str]], words: int) -> Step:
        return Step([" ".join(x[:words]) for x in texts], [window_of(self._tagger, x[:words]) for x in texts])


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


def _between(place: float, *, up: bool) -> int:
    return math.ceil(place) if up else math.floor(place)


def window_of(tagger: Tagger, words: Sequence[str]) -> IntArray:
    """Tokens of a text, (n,): no more than one window of them."""
    return tagger.tokenizer.encode(" ".join(words)).ids[-tagger.config.window :].astype(np.int64)
