"""When text scores are published: crossings with a margin while open, exact ones at the close; wrong settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.revisions.score_thresholds import ScoreThresholds, ThresholdError, parse_thresholds

HALF = ScoreThresholds()


@pytest.mark.parametrize(
    ("seen", "now", "news"),
    [
        (0.2, 0.54, False),
        (0.2, 0.55, True),
        (0.5, 0.46, False),
        (0.5, 0.45, True),
        (0.54, 0.9, False),
        (0.46, 0.1, False),
        (0.51, 0.49, False),
    ],
)
def test_a_crossing_counts_when_it_is_clear(seen: float, now: float, news: bool) -> None:
    assert HALF.is_news("t", {"rude": seen}, {"rude": now}, closed=False) == news
    assert HALF.is_news("t", {"rude": seen, "kind": 0.1}, {"rude": now, "kind": 0.3}, closed=False) == news
    assert HALF.is_news("t", {"rude": seen}, {"rude": now}, closed=True)


@given(st.lists(st.integers(4550, 5449), min_size=1, max_size=30))
def test_a_score_that_trembles_around_its_threshold_is_told_once(values: list[int]) -> None:
    seen, told = {"rude": 0.9}, 0
    for value in [3000, *values]:
        now = {"rude": value / 10_000}
        if HALF.is_news("t", seen, now, closed=False):
            seen, told = now, told + 1
    assert told == 1


@pytest.mark.parametrize(("threshold", "beyond"), [(0.98, 0.99), (0.97, 0.985), (0.5, 0.55), (0.01, 0.06)])
def test_every_threshold_can_be_crossed_both_ways(threshold: float, beyond: float) -> None:
    high = ScoreThresholds(threshold)
    assert high.is_news("t", {}, {"rude": beyond}, closed=False)
    assert not high.is_news("t", {}, {"rude": (threshold + beyond) / 2 - 0.001}, closed=False)
    assert high.is_news("t", {"rude": beyond}, {}, closed=False)


def test_a_score_that_is_gone_counts_as_nothing() -> None:
    """The text became empty, or another checkpoint has other scores."""
    assert HALF.crossed("t", {"rude": 0.8, "kind": 0.1}, {}) == ("rude",)
    assert HALF.crossed("t", {"rude": 0.8}, {"insult": 0.6}) == ("insult", "rude")
    assert HALF.is_news("t", {"kind": 0.1}, {}, closed=False) is False


def test_each_score_has_its_own_threshold_where_one_is_named() -> None:
    found = parse_thresholds("0.4, talk:rude=0.7,rude=0.6,threat = 0.2")
    assert [found.of(*x) for x in [("talk", "rude"), ("other", "rude"), ("talk", "threat"), ("talk", "else")]] == [
        0.7,
        0.6,
        0.2,
        0.4,
    ]
    assert parse_thresholds("rude=0.7").default == 0.5
    found.check_names({"talk": ("rude",), "other": ("threat",)})
    assert found.crossed("talk", {}, {"rude": 0.65, "threat": 0.3}) == ("threat",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "threshold above 0"),
        ("0", "threshold above 0"),
        ("1", "below 1"),
        ("nan", "below 1"),
        ("high", "'high' is neither"),
        ("rude=", "'rude=' is neither"),
        ("=0.5", "'=0.5' is neither"),
        ("rude:0.5", "'rude:0.5' is neither"),
        ("0.5,", "neither"),
        ("rude=0.5,rude=0.6", "'rude' is given twice"),
        ("0.5,0.6", "two default"),
    ],
)
def test_wrong_thresholds_are_refused(text: str, told: str) -> None:
    with pytest.raises(ThresholdError, match=told):
        parse_thresholds(text)


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ThresholdError, match="'rud' is no text score: the taggers have talk:rude, talk:threat"):
        parse_thresholds("rud=0.5").check_names({"talk": ("rude", "threat")})
    with pytest.raises(ThresholdError, match="'other:rude'"):
        parse_thresholds("other:rude=0.5").check_names({"talk": ("rude",)})
    with pytest.raises(ThresholdError, match="no tagger here has text scores"):
        parse_thresholds("rude=0.5").check_names({})
