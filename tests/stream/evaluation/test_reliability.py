import numpy as np
import pytest

from stream.evaluation.calibration.reliability import (
    BINS,
    Scaling,
    fit_scaling,
    logit,
    measure_reliability,
    scale_across,
)
from stream.evaluation.calibration.stability_replay import StabilityPairs, pool


def made(rng, n, scaling):
    """What is told, where the truth is `scaling` of it."""
    told = (1 / (1 + np.exp(-rng.normal(1.5, 1.5, n)))).astype(np.float32)
    return StabilityPairs(told, rng.random(n) < scaling.apply(told))


@pytest.mark.parametrize("truth", [Scaling(), Scaling(0.6, 0.8), Scaling(1.7, -1.0)])
def test_scale_and_shift_are_found_again(truth):
    found = fit_scaling(made(np.random.default_rng(0), 100_000, truth))
    assert found == pytest.approx(truth, abs=0.04)


def test_scaling_moves_no_word_past_another():
    told = np.sort(np.random.default_rng(1).random(1000).astype(np.float32))
    assert (np.diff(Scaling(0.7, 1.3).apply(told)) >= 0).all()
    assert Scaling().apply(told) == pytest.approx(told, abs=1e-6)
    assert np.isfinite(logit(np.array([0, 1], np.float32))).all()


@pytest.mark.parametrize(
    "pairs",
    [
        StabilityPairs(
            np.array([0.9, 0.8, 0.1, 0.2], np.float32), np.array([False, False, True, True])
        ),  # the wrong way round
        StabilityPairs(np.empty(0, np.float32), np.empty(0, np.bool_)),
    ],
)
def test_nothing_is_scaled_where_that_would_turn_the_order_round(pairs):
    assert fit_scaling(pairs) == Scaling()


def test_it_stays_finite_where_all_labels_stood():
    found = fit_scaling(StabilityPairs(np.linspace(0.2, 0.999, 50, dtype=np.float32), np.ones(50, np.bool_)))
    assert np.isfinite(found).all()
    assert found.scale > 0


def test_a_diagram_by_hand():
    units = [
        StabilityPairs(np.array([0.05, 0.95], np.float32), np.array([False, True])),
        StabilityPairs(np.array([0.01, 1.0, 0.99], np.float32), np.array([True, True, False])),
    ]
    found = measure_reliability(units)
    assert found.pairs == 5
    assert found.share == [0.4, *[0] * (BINS - 2), 0.6]
    assert found.predicted[0] == pytest.approx(0.03)
    assert found.predicted[-1] == pytest.approx(0.98)
    assert (found.stood[0], found.stood[-1]) == (0.5, pytest.approx(2 / 3))
    assert found.ece == pytest.approx(0.4 * 0.47 + 0.6 * (0.98 - 2 / 3), abs=1e-6)
    assert found.stood[1:-1] == found.low[1:-1] == [None] * (BINS - 2)


def test_bands_are_wider_where_labels_of_a_unit_go_together():
    rng = np.random.default_rng(4)
    alone = [made(rng, 1, Scaling()) for _ in range(2000)]
    together = [StabilityPairs(np.repeat(x.stability, 20), np.repeat(x.stood, 20)) for x in alone[:100]]
    narrow, wide = measure_reliability(alone), measure_reliability(together)
    for i in (-1, -2, -3):  # bins that have many
        assert wide.high[i] - wide.low[i] > 2 * (narrow.high[i] - narrow.low[i])
    assert narrow.ece_low <= narrow.ece <= narrow.ece_high * 1.2


def test_what_is_mended_was_not_fitted_to():
    rng = np.random.default_rng(5)
    units = [made(rng, 20, Scaling(0.5, 0.7)) for _ in range(400)]
    mended = scale_across(units, units)
    assert measure_reliability(mended).ece < measure_reliability(units).ece / 3
    # one unit's own labels play no part in its own scale
    other = [units[0]._replace(stood=~units[0].stood), *units[1:]]
    assert (scale_across(other, other)[0].stability == mended[0].stability).all()
    assert [x.stood.tolist() for x in mended] == [x.stood.tolist() for x in units]
    assert len(pool([]).stability) == 0


def test_a_tagger_that_labels_nothing_has_reliability_of_nothing() -> None:
    nothing = StabilityPairs(np.zeros(0, np.float32), np.zeros(0, np.bool_))
    found = measure_reliability([nothing, nothing])
    assert (found.pairs, found.ece) == (0, 0.0)
    assert set(found.low) == set(found.predicted) == {None}
