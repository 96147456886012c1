"""The search for a core's capacity: its speakers are live speech, and what it finds is what was carried."""

from collections import defaultdict
from itertools import pairwise
from random import Random

import pytest

from consumers.runtime.capacity import (
    LONGEST,
    SHORTEST,
    WORDS_A_SECOND,
    find_capacity,
    measure_speakers,
    speaker_messages,
)
from stream.overload.governor import Governor
from tests.consumers.fakes import fake_engine


@pytest.mark.parametrize("limit", [0, 1, 63, 64, 65, 100, 777, 5000])
@pytest.mark.parametrize("first", [1, 64])
def test_the_search_finds_what_is_carried(limit: int, first: int) -> None:
    tried: list[int] = []

    def carries(count: int) -> bool:
        tried.append(count)
        return count <= limit

    found = find_capacity(carries, first, 4000)
    assert found <= min(limit, 4000)
    assert found >= min(limit, 4000) * 0.93 - 1
    assert len(tried) == len(set(tried))
    assert max(tried) <= 4000


@pytest.mark.parametrize("midway", [False, True])
def test_a_speaker_says_word_after_word_and_closes_each_segment(midway: bool) -> None:
    words = (str(number) for number in range(10_000))
    said = list(speaker_messages("s", Random(3), 600.0, words, midway=midway))
    assert [at for at, _ in said] == sorted(at for at, _ in said)
    segments: defaultdict[str, list[str]] = defaultdict(list)
    closed: dict[str, str] = {}
    for _, update in said:
        assert update.segment not in closed
        segments[update.segment].append(update.text)
        if update.final:
            closed[update.segment] = update.text
    assert len(segments) - len(closed) <= 1
    for texts in segments.values():
        for before, after in pairwise(texts):
            assert after.startswith(before)
            assert len(after.split()) - len(before.split()) in (0, 1)
    lengths = [len(text.split()) for text in closed.values()][1:]  # the first one may have begun before
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST
    assert sum(not update.final for _, update in said) / 600 == pytest.approx(WORDS_A_SECOND, rel=0.1)
    assert (said[0][0] == 0.0) == midway


def test_a_run_gives_every_session_back_and_its_shares_add_up() -> None:
    engine = fake_engine(["ner"], "", coalesce=True)
    for name in ("a", "b"):
        run = measure_speakers(engine, 5, 1.0, name)
        assert 0 < run.p50_ms <= run.p99_ms
        assert 0 < run.core_share <= 1
        assert sum(run.phases.values()) == pytest.approx(1, abs=0.02)
        assert run.carried(60_000)
        assert not run.carried(0.0)
    assert engine.intake.session_count == 0
    assert engine.stats.sessions == 10
    assert engine.stats.failures == 0


def test_a_run_begins_without_the_overload_of_the_run_before() -> None:
    """One engine serves all runs; after a run with too many speakers a few must still be found to be carried."""
    engine = fake_engine(["ner"], "", coalesce=True)
    engine.pricing.governor = governor = Governor(0.5)
    governor.observe(2.0, 0.0)
    governor.observe(9.0, 7.0)
    assert governor.overloaded
    measure_speakers(engine, 2, 0.3, "after")
    assert not engine.pricing.restarts_limited
    assert engine.pricing.governor.target == 0.5
