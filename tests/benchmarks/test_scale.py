"""The bench of a group: copies of sessions are restored as what they are copies of, and what its model says."""

import pytest

from benchmarks.scale.model import GroupCosts, fit_restores, model_group, model_groups
from benchmarks.scale.restore import measure_first_updates
from benchmarks.scale.states import NAME, copy_records, make_models
from benchmarks.scale.takeover import simulate_takeover
from consumers.common.settings import EngineSettings
from consumers.kafka.output.changelog import read_changelog
from tests.consumers.fakes import fake_engine

COSTS = GroupCosts(
    worker_speakers=400.0,
    restore_s=1e-4,
    fixed_s=0.1,
    rebalance_s=0.5,
    start_s=2.0,
    rebuild_s=0.02,
)


def fake(settings):
    return fake_engine(["ner"], "", coalesce=True)


@pytest.fixture(scope="module")
def models():
    return make_models(fake_engine(["ner"], "", coalesce=False), 1.0, 2)


def test_copies_of_a_session_are_restored_under_their_own_names(models):
    records = [x for number in range(5) for x in copy_records(models, number)]
    restored = read_changelog(enumerate(records), "", "", "").sessions
    assert list(restored) == [NAME.format(number) for number in range(5)]
    for number, saved in enumerate(restored.values()):
        model = restored[NAME.format(number % 2)]
        assert (saved.seq, saved.counters, dict(saved.segments)) == (model.seq, model.counters, dict(model.segments))
        assert any(x.closed for x in saved.segments.values())
        assert saved.segments[models[number % 2].last.segment].text == models[number % 2].last.text


def test_a_takeover_counts_what_comes_later_than_the_deadline(models, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.scale.takeover.build_engine", lambda settings: fake_engine(["ner"], "", coalesce=True)
    )
    in_time, late = (
        simulate_takeover(EngineSettings(), models, 3, 16.0, 0.5, pause, 3.0, surge=False) for pause in (0.0, 3.0)
    )
    assert (in_time.own, in_time.moved, late.moved) == (4, 2, 2)
    assert in_time.late == in_time.late_own == late.late_own == 0
    assert 0 < late.late <= late.answered
    assert late.max_ms >= 1000 > in_time.max_ms


def test_first_updates_are_those_of_restored_sessions(models, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.scale.restore.build_engine", lambda settings: fake_engine(["ner"], "", coalesce=True)
    )
    found = measure_first_updates(EngineSettings(), models, 6)
    assert min(found.rebuilt_ms, found.first_ms, found.next_ms) > 0


def test_a_departure_moves_the_sessions_of_one_worker_to_all_others():
    row = model_group(COSTS, 4, 12_000)
    assert row.departure_s == pytest.approx(0.6 + 1000 * 1e-4)
    assert row.return_s == pytest.approx(0.6 + 3000 * 1e-4)
    assert row.rebuild_s == pytest.approx(1000 * 0.02)
    assert row.rolling_s == pytest.approx(4 * (0.7 + 2.0 + 0.9))
    assert (row.speakers, row.words_per_second) == (1600, 4000.0)


def test_more_workers_carry_more_and_pause_for_less():
    two, four, eight = model_groups(COSTS, (2, 4, 8), (100_000,))
    assert two.departure_s > four.departure_s > eight.departure_s > COSTS.rebalance_s
    assert 4 * two.words_per_second == 2 * four.words_per_second == eight.words_per_second


@pytest.mark.parametrize(
    ("points", "fixed", "slope"),
    [
        ([(1000, 0.3), (10_000, 2.1)], 0.1, 2e-4),
        ([(10_000, 2.0), (1000, 0.1)], 0.0, 1.9 / 9000),
        ([(500, 1.0)], 0, 2e-3),
    ],
)
def test_restores_are_fitted_by_a_line_that_does_not_begin_below_0(points, fixed, slope):
    found = fit_restores(points)
    assert found == pytest.approx((fixed, slope))
