"""Hearken and its peers in turns, at one number of sessions and of words."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.harness.engine_feed import EngineFeed, timed
from benchmarks.harness.interleaved import Run, Side, interleave
from benchmarks.peers.peer import IntArray, Peer, Step, Way
from benchmarks.peers.report import OURS
from encoder.tagger import Tagger

NO_RESTARTS = "no restarts, key-value cache"
"""Side that is a causal tagger of the same trunk: every word is computed once, and its segment is not closed."""
NEAR = 1.25
"""A way that is slower than the best by more than this on few texts is not tried on all of them."""


class Comparison:
    """All sides on the same texts, one a session; peers run after `steps` of each text's words."""

    def __init__(self, tagger: Tagger, policy: str, texts: list[list[str]], peers: Sequence[Peer], steps: int) -> None:
        self._tagger, self._policy, self._texts = tagger, policy, texts
        self._words = len(texts[0])
        due = min(steps, self._words)
        self._due = [_round((i + 0.5) * self._words / due + 0.5, up=i % 2 == 1) for i in range(due)]
        """Numbers of words after which peers run: the middles of equal parts, so that their mean is that of all."""
        self._peers = [x for x in peers if len(texts) > 1 or not x.batched]

    def run(self, repeats: int, progress: Callable[[float], None]) -> list[Side]:
        """Choose the fastest way of each peer, then measure all sides in turns."""
        progress(0.0)
        sides = [Side(OURS, "", len(self._texts)), Side(NO_RESTARTS, "", len(self._texts))]
        measures = [self._measure_ours, self._measure_no_restarts]
        for peer in self._peers:
            side, measure = self._set_up(peer)
            sides.append(side)
            measures.append(measure)
        feed = EngineFeed(self._tagger, self._policy)  # compiles what is compiled
        feed.feed_word_by_word(self._texts, min(8, self._words))
        feed.end()
        for side, runs in zip(sides, interleave(measures, repeats, progress), strict=True):
            side.runs = runs
        return sides

    def _measure_ours(self) -> Run:
        feed = EngineFeed(self._tagger, self._policy)
        run = Run(feed.feed_word_by_word(self._texts), feed.close_segments(self._texts))
        feed.end()
        return run

    def _measure_no_restarts(self) -> Run:
        feed = EngineFeed(self._tagger, "never")
        run = Run(feed.feed_word_by_word(self._texts))
        feed.end()
        return run

    def _set_up(self, peer: Peer) -> tuple[Side, Callable[[], Run]]:
        """Find the peer's fastest way and run it on all that it will be timed on, so that every shape is known."""
        texts = self._texts[: peer.sessions]
        ways = [x for x in peer.ways if x.differs(len(texts))]
        way = _fastest(ways, self._step(texts[:8], self._words // 2 + 1), self._step(texts, self._words // 2 + 1))
        prepared = [way.prepare(self._step(texts, n)) for n in self._due]
        for one in prepared:
            way.run(one)
        return Side(peer.name, way.name, len(texts)), lambda: Run([timed(lambda x=x: way.run(x)) for x in prepared])  # type: ignore[misc]

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


def _round(place: float, *, up: bool) -> int:
    return math.ceil(place) if up else math.floor(place)


def window_of(tagger: Tagger, words: Sequence[str]) -> IntArray:
    """Return the tokens of a text, (n,) int64: at most the last window of them."""
    return tagger.tokenizer.encode(" ".join(words)).ids[-tagger.config.window :].astype(np.int64)
