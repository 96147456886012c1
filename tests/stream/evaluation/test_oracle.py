"""The oracle against one that tries both ways at each step from the very beginning, one example at a time."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.restart.policies import Always
from encoder.restart.standing import PolicyBatch
from stream.evaluation.replay.examples import LabelledText, sessions_of
from stream.evaluation.replay.oracle import OracleReplay
from stream.labelling.hybrid import HybridLabeller
from tests.stream.evaluation.replays import evaluate_policy, replay_words
from tests.stream.evaluation.test_policy_evaluation import example, made_up, within_window
from tests.stream.fake_tagger import NAMES as FAKE_NAMES
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller
from tests.stream.hybrid import shared_tagger as tiny_tagger
from tests.tiny import LABELS


class Scripted:
    """A policy that does as it is told, step by step: full or append."""

    def __init__(self, script):
        self.script = list(script)

    def restart_points(self, batch: PolicyBatch) -> list[int]:
        return [0 if self.script.pop(0) else standing for standing in batch.standing.tolist()]


def with_gold(examples):
    """Gold that is mostly what a full restart says."""
    rng = random.Random(1)
    replay = replay_words(HybridLabeller(tiny_tagger()), Always(), examples, closing=False)
    for made, chart in zip(examples, replay.run(), strict=True):
        gold = [label if rng.random() < 0.9 else rng.randrange(5) for label in chart.final.tolist()]
        yield LabelledText(made.text, made.ends, np.array(gold, np.int32))


def run_script(labeller, names, made, script):
    policy = Scripted([*script, *[False] * len(made.ends)])
    short = LabelledText(made.text, made.ends[: len(script)], made.gold[: len(script)])
    replay = replay_words(labeller, policy, [short], names, closing=False)
    return replay.run()[0], replay.flops


def errors(row, made):
    return int((row != made.gold[: len(row)]).sum())


def slow_oracle(labeller, names, made):
    script = []
    for _ in made.ends:
        rows = [run_script(labeller, names, made, [*script, full])[0].rows[-1] for full in (False, True)]
        script.append(errors(rows[1], made) < errors(rows[0], made))
    return script


def compare(labeller, names, examples):
    """Returns how many restarts there were."""
    replay = OracleReplay(labeller, examples, names, closing=False)
    charts = replay.run()
    flops = restarts = 0
    for made, chart in zip(examples, charts, strict=True):
        script = slow_oracle(labeller, names, made)
        slow, cost = run_script(labeller, names, made, script)
        assert [row.tolist() for row in chart.rows] == [row.tolist() for row in slow.rows]
        assert chart.work == slow.work
        flops, restarts = flops + cost, restarts + sum(script)
    assert isinstance(labeller, FakeLabeller) or replay.flops == flops
    return restarts


SAID = st.lists(st.tuples(st.sampled_from(VOCABULARY), st.integers(0, 4)), min_size=1, max_size=7)


@given(st.lists(SAID, min_size=1, max_size=3))
def test_the_oracle_restarts_where_that_removes_errors(said):
    examples = []
    for pairs in said:
        made = example([word for word, _ in pairs])
        examples.append(LabelledText(made.text, made.ends, np.array([label for _, label in pairs], np.int32)))
    compare(FakeLabeller(), FAKE_NAMES, examples)


def test_the_oracle_over_the_encoder_costs_what_its_own_steps_cost():
    examples = list(with_gold(within_window(tiny_tagger(), made_up(60, 6))))
    assert compare(HybridLabeller(tiny_tagger()), LABELS, examples[:10]) > 2


def test_the_oracle_removes_errors_with_every_restart_and_may_be_closed():
    tagger = tiny_tagger()
    examples = list(with_gold(within_window(tagger, made_up(40, 10))))
    open_, closed = (x.metrics for x in evaluate_policy(tagger, "oracle", examples, name="x", closing=True))
    always = evaluate_policy(tagger, "always", examples, name="x", closing=False)[0].metrics
    assert open_.r_pertinence == 1  # what is right is never revised: that would remove no error
    assert 0 < open_.full_restart_rate < always.full_restart_rate
    assert open_.flops_saved > always.flops_saved
    assert closed.offline_f1 == pytest.approx(always.offline_f1)


def test_the_oracle_goes_through_sessions_of_several_segments():
    """With what `always` says as gold, restarts go on until nothing is wrong: every row is the gold row or full."""
    examples = [LabelledText(x.text, x.ends, x.gold, str(i // 3)) for i, x in enumerate(made_up(12, 6))]
    tagger = tiny_tagger()
    always = replay_words(HybridLabeller(tagger), Always(), examples, closing=True).run()
    examples = [LabelledText(x.text, x.ends, c.final, x.session) for x, c in zip(examples, always, strict=True)]
    charts = OracleReplay(HybridLabeller(tagger), examples, LABELS, closing=True).run()
    assert len(sessions_of(examples)) == 4
    for made, chart, full in zip(examples, charts, always, strict=True):
        assert chart.closed.tolist() == full.closed.tolist()
        for row, whole in zip(chart.rows, full.rows, strict=True):
            assert errors(row, made) <= errors(whole, made)
