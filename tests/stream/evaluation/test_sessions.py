"""Sessions of several segments: against the engine's own revisions, counters and a plain count of the dense encoder."""

import random

import numpy as np
import pytest
from msgspec.structs import asdict

from encoder.restart.policies import parse_policy
from stream.engine.engine import Engine
from stream.evaluation.replay.examples import sessions_of
from stream.evaluation.replay.stream_replay import count_dense_flops
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Update
from tests.stream.evaluation.replays import evaluate_policy, replay_words
from tests.stream.evaluation.test_policy_evaluation import example, labels_of_spans
from tests.stream.hybrid import shared_tagger as tiny_tagger
from tests.tiny import LABELS, WORDS

POLICIES = ["always", "never", "last:2", "entropy:0.5"]


def made_up(sessions, segments, longest, seed=0):
    rng = random.Random(seed)
    words = [*WORDS, "u.s.", "may", "river"]

    def one(session):
        made = example([rng.choice(words) for _ in range(rng.randint(1, longest))])
        gold = np.array([rng.choice([0, 0, 0, 1, 3]) for _ in made.ends], np.int32)
        return type(made)(made.text, made.ends, gold, session)

    return [one(str(i)) for i in range(sessions) for _ in range(rng.randint(1, segments))]


def engine_says(policy, examples):
    """Rows of each segment, then its closed labels, and the engine's counters: one session after the other."""
    engine, charts, offset = Engine(tiny_tagger(), policy, whole_words=False), [], 0
    for name, session in enumerate(sessions_of(examples)):
        for segment, made in enumerate(session):
            rows, spans = [], ()
            for t in [*range(len(made.ends)), None]:
                text = made.text if t is None else made.text[: made.ends[t]]
                update = Update(session=str(name), segment=str(segment), text=text, final=t is None)
                engine.submit(update, offset)
                offset += 1
                for revision in engine.step().revisions:
                    spans = revision.spans
                rows.append(labels_of_spans(spans, made, len(made.ends) if t is None else t + 1, LABELS))
            charts.append(rows)
    return charts, engine.stats


@pytest.mark.parametrize("policy", POLICIES)
def test_sessions_of_several_segments_are_what_the_engine_makes_of_them(policy):
    examples = made_up(3, 5, 14)
    assert any(len(session) > 2 for session in sessions_of(examples))
    replay = replay_words(HybridLabeller(tiny_tagger()), parse_policy(policy), examples, closing=True)
    charts = replay.run()
    told, stats = engine_says(parse_policy(policy), examples)
    for chart, (*rows, closed) in zip(charts, told, strict=True):
        assert [row.tolist() for row in chart.rows] == rows
        assert chart.closed.tolist() == closed
    assert replay.flops + replay.closing_flops == stats.flops
    assert sum(w.words for x in charts for w in [*x.work, x.closing]) == stats.words_recomputed


def test_only_the_last_segment_can_be_left_open():
    examples = made_up(6, 4, 5)
    replay = replay_words(HybridLabeller(tiny_tagger()), parse_policy("never"), examples, closing=False)
    closed = [chart.closed is not None for chart in replay.run()]
    assert closed == [part is not session[-1] for session in sessions_of(examples) for part in session]


def test_the_dense_encoder_sees_the_sessions_last_tokens():
    tagger, examples = tiny_tagger(), made_up(5, 6, 14)
    replay = replay_words(HybridLabeller(tagger), parse_policy("never"), examples, closing=True, tagger=tagger)
    replay.run()
    slow = slow_open = 0.0
    for session in sessions_of(examples):
        said = []
        for made in session:
            for end in made.ends:
                own = tagger.tokenizer.encode(made.text[:end]).ids
                slow += count_dense_flops(tagger.config, np.array([len([*said, *own][-tagger.config.window :])]))
                slow_open += count_dense_flops(tagger.config, np.array([len(own[-tagger.config.window :])]))
            said += tagger.tokenizer.encode(made.text).ids.tolist()
    assert replay.dense_flops == (pytest.approx(slow), pytest.approx(slow_open))


def test_sessions_that_stand_apart_do_not_see_each_other():
    """The metrics do not depend on the order of sessions, nor on what else is in the batch."""
    tagger, examples = tiny_tagger(), made_up(5, 4, 8)
    one = evaluate_policy(tagger, "last:2", examples, name="x", closing=True)
    backwards = [made for session in reversed(sessions_of(examples)) for made in session]
    other = evaluate_policy(tagger, "last:2", backwards, name="x", closing=True)
    for a, b in zip(one, other, strict=True):
        assert asdict(a.metrics) == pytest.approx(asdict(b.metrics))


def test_a_session_saves_more_against_a_rerun_over_the_session_than_over_the_segment():
    found = evaluate_policy(tiny_tagger(), "last:2", made_up(5, 6, 10), name="x", closing=False)[0].metrics
    assert found.flops_saved > found.flops_saved_open
    alone = [type(x)(x.text, x.ends, x.gold) for x in made_up(5, 6, 10)]
    found = evaluate_policy(tiny_tagger(), "last:2", alone, name="x", closing=False)[0].metrics
    assert found.flops_saved == pytest.approx(found.flops_saved_open)
