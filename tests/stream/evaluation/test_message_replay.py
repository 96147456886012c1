"""Recorded streams: against the engine's own counters and labels, message by message."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from encoder.restart.policies import parse_policy
from stream.engine.engine import Engine
from stream.evaluation.metrics.chart_metrics import find_edits
from stream.evaluation.policy_evaluation import evaluate_policies, measure_agreement
from stream.evaluation.replay.stream_replay import count_dense_flops, ignore_progress, word_ends
from stream.messages.types import Delete, End, Update, WordTime
from tests.stream.evaluation.replays import replay_messages
from tests.stream.helpers import update
from tests.stream.hybrid import shared_tagger as tiny_tagger
from tests.stream.streams import GROWING, messages, steps
from tests.tiny import LABELS, WORDS

POLICIES = ["always", "never", "last:2", "entropy:0.5"]
STREAMS = steps([*WORDS[:6], "u.s.", "may"], [*GROWING, "delete"], most=15)


def spelt_out(script):
    """Messages whose finals repeat the text: an update and its closing are then two steps for everybody."""
    told = []
    for message in messages(script):
        if isinstance(message, Update) and message.final:
            told.append(msgspec.structs.replace(message, final=False))
        told.append(message)
    names = dict.fromkeys(message.session for message in told)
    ended = {message.session for message in told if isinstance(message, End)}
    return told + [End(session=name) for name in names if name not in ended]


def engine_stats(policy, told):
    engine = Engine(tiny_tagger(), parse_policy(policy), whole_words=False)
    for offset, message in enumerate(told):
        engine.submit(message, offset)
        while engine.pending:
            engine.step()
    return engine.stats


@settings(max_examples=6, deadline=None)
@given(STREAMS)
@pytest.mark.parametrize("policy", POLICIES)
def test_flips_and_work_are_the_engines(policy, script):
    told = spelt_out(script)
    replay = replay_messages(parse_policy(policy), told)
    charts, stats = replay.run(), engine_stats(policy, told)
    assert replay.flops + replay.closing_flops == stats.flops
    by_input = [x for chart in charts for x in find_edits(chart).by_input.tolist()]
    assert (sum(by_input), len(by_input)) == (stats.flips_input, stats.flips_input + stats.flips_model)
    work = [w for chart in charts for w in [*chart.work, *([chart.closing] if chart.closing else [])]]
    assert sum(w.words for w in work) == stats.words_recomputed
    updates = [w for chart in charts for w in chart.work]
    assert sum(w.kind == "local" for w in updates) == stats.local_restarts
    assert sum(w.kind == "full" for w in updates) == stats.full_restarts


@settings(max_examples=6, deadline=None)
@given(STREAMS)
def test_closed_labels_agree_with_those_of_full_restarts(script):
    told = spelt_out(script)
    results = evaluate_policies(
        tiny_tagger(), dict.fromkeys(POLICIES, ignore_progress), messages=told, name="tiny", closing=True
    )
    for result in results:
        if result.closing:  # open segments do not know yet what closed while they were open
            assert (result.agreement.words, result.agreement.segments, result.agreement.f1) == (1, 1, 1)


def test_the_dense_encoder_is_rerun_on_every_update():
    tagger = tiny_tagger()
    told = [
        update("a", "we met"),
        update("a", "we met ms rice"),
        Update(session="s", segment="a", text="we met", final=True),
    ]
    told += [update("b", "in rome in rome in rome in rome in rome in rome in rome in rome")]
    replay = replay_messages(parse_policy("never"), told)
    replay.run()
    window = tagger.config.window
    assert window == 16
    assert replay.dense_flops[0] == count_dense_flops(tagger.config, np.array([2, 4, 2, window]))
    assert replay.dense_flops[1] == count_dense_flops(tagger.config, np.array([2, 4, 2, 16]))
    told[-1] = update("b", "in rome")
    replay = replay_messages(parse_policy("never"), told)
    replay.run()
    assert replay.dense_flops[0] - replay.dense_flops[1] == count_dense_flops(
        tagger.config, np.array([4])
    ) - count_dense_flops(tagger.config, np.array([2]))


def test_edits_of_closed_segments_are_counted_apart_and_cost():
    told = [
        Update(session="s", segment="a", text="we met", final=True),
        update("a", "met we"),
        Delete(session="s", segment="a"),
    ]
    one, other = (
        replay_messages(parse_policy("never"), told[:1]),
        replay_messages(parse_policy("never"), told),
    )
    assert len(one.run()) == len(other.run()) == 1
    assert other.flops > one.flops
    assert other.dense_flops[0] == 2 * one.dense_flops[0]


def test_refused_messages_are_left_out():
    told = [update("a", "we met"), Delete(session="s", segment="unknown"), update("a", "we met ms rice")]
    replay = replay_messages(parse_policy("never"), told)
    assert [len(row) for row in replay.run()[0].rows] == [2, 4]


def test_a_word_is_over_when_the_word_that_holds_it_is():
    said = (WordTime(1.0, 1.5), WordTime(1.5, 2.25))
    told = [
        Update(session="s", segment="a", text="the", time=1.5, words=said[:1]),
        Update(session="s", segment="a", text="the u.s.", time=3.0, words=said),
    ]
    [chart] = replay_messages(parse_policy("never"), told).run()
    assert chart.update_times == [1.5, 3.0]
    assert chart.word_ends == [1.5, 2.25, 2.25, 2.25, 2.25]
    assert word_ends("a b", (), chart_reading(["a", "b"])) == [None, None]


def chart_reading(words):
    from tests.stream.evaluation.test_policy_evaluation import reading

    return reading(" ".join(words), words, ["O"] * len(words))


def test_agreement_by_hand():
    finals = [np.array([1, 2, 0], np.int32), np.array([0, 3], np.int32)]
    found = measure_agreement(finals, [np.array([1, 0, 0], np.int32), np.array([0, 3], np.int32)], LABELS)
    assert (found.words, found.segments, found.f1) == (0.8, 0.5, 0.5)
