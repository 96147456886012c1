"""What readers are shown under each level, measured: against the revisions of engines that run at that level."""

import numpy as np
import pytest
from hypothesis import given, settings

from encoder.restart.policies import Last, parse_policy
from stream.engine.engine import Engine
from stream.evaluation.metrics.chart_metrics import Chart, SegmentRevisions
from stream.evaluation.metrics.corpus_metrics import CorpusTally
from stream.evaluation.plots.emission import frontier
from stream.evaluation.policy_evaluation import evaluate_policies
from stream.evaluation.replay.shown_spans import EmissionLevels, span_labels
from stream.evaluation.replay.stream_replay import ignore_progress
from stream.messages.types import Update
from stream.revisions.emission import LOW, Emission
from tests.stream.evaluation.replays import evaluate_policy, replay_messages, replay_words
from tests.stream.evaluation.test_message_replay import STREAMS, spelt_out
from tests.stream.evaluation.test_policy_evaluation import example, labels_of_spans
from tests.stream.fake_tagger import NAMES, VOCABULARY, FakeLabeller
from tests.stream.helpers import drain, revisions_of
from tests.stream.hybrid import shared_tagger as tiny_tagger
from tests.stream.streams import messages, steps
from tests.tiny import LABELS

FAKE_LEVELS = [LOW, Emission(0.5, 0.5), Emission(0.97, 0.93), Emission(0.93, 0.97), Emission(1, 1)]
TINY_LEVELS = [LOW, Emission(0.25, 0.25), Emission(0.3, 0.2), Emission(1, 1)]
"""The tiny tagger is about .2 to .4 sure of anything."""


def counts(revisions):
    """Spans added; retracted or shortened, and grown, by the model."""
    added = flipped = grown = 0
    for x in revisions:
        now = {span.id: span for span in x.spans}
        added += len(x.added)
        flipped += sum(gone.cause == "model" for gone in x.retracted)
        for change in [c for c in x.changed if c.cause == "model"]:
            was, span = range(change.was.start, change.was.end), now[change.id]
            grows = set(was) <= set(range(span.start, span.end))
            flipped, grown = flipped + (not grows), grown + grows
    return SegmentRevisions(added, flipped, grown)


@settings(max_examples=20)
@given(steps(VOCABULARY, ("append", "append", "close", "close whole"), sessions=1, most=20))
def test_charts_of_a_level_are_what_an_engine_at_that_level_shows(script):
    texts = {}
    for x in messages(script):
        texts[x.segment] = x.text.split()
    examples = [example(words, names=NAMES) for words in texts.values() if words]
    if not examples:
        return
    examples = [type(x)(x.text, x.ends, np.zeros(len(x.ends), np.int32), "one") for x in examples]
    levels = EmissionLevels(NAMES, FAKE_LEVELS)
    replay = replay_words(FakeLabeller(), Last(2), examples, NAMES, closing=True, levels=levels)
    found = replay.run()
    for emission, charts in zip(FAKE_LEVELS, replay.charts_shown, strict=True):
        engine, offset = Engine(FakeLabeller(), Last(2), emission=emission), 0
        for number, (made, chart) in enumerate(zip(examples, charts, strict=True)):
            rows, told, spans = [], [], ()
            for t in [*range(len(made.ends)), None]:
                text = made.text if t is None else made.text[: made.ends[t]]
                engine.submit(Update(session="s", segment=str(number), text=text, final=t is None), offset)
                offset += 1
                told += revisions_of(drain(engine))
                spans = told[-1].spans if told else ()
                rows.append(labels_of_spans(spans, made, len(made.ends) if t is None else t + 1, NAMES))
            assert [row.tolist() for row in [*chart.rows, chart.closed]] == rows
            assert chart.closed_seen == counts(told)
            assert chart.seen == counts(x for x in told if not x.final)
    for chart, shown in zip(found, replay.charts_shown[0], strict=True):
        assert [x.tolist() for x in (*chart.rows, chart.closed)] == [x.tolist() for x in (*shown.rows, shown.closed)]


@settings(max_examples=10, deadline=None)
@given(STREAMS)
def test_recorded_streams_are_shown_as_an_engine_shows_them(script):
    told = spelt_out(script)
    replay = replay_messages(parse_policy("last:2"), told, EmissionLevels(LABELS, TINY_LEVELS))
    found = replay.run()
    for emission, charts in zip(TINY_LEVELS, replay.charts_shown, strict=True):
        engine = Engine(tiny_tagger(), parse_policy("last:2"), emission=emission, whole_words=False)
        for offset, message in enumerate(told):
            engine.submit(message, offset)
        revisions = revisions_of(drain(engine))
        seen = [chart.closed_seen or chart.seen for chart in charts]
        assert SegmentRevisions(*np.sum(seen or [SegmentRevisions()], axis=0).tolist()) == counts(revisions)
        assert [x.final.tolist() for x in charts if x.closed is not None] == [
            x.final.tolist() for x in found if x.closed is not None
        ]
    assert [[x.tolist() for x in chart.rows] for chart in replay.charts_shown[0]] == [
        [x.tolist() for x in chart.rows] for chart in found
    ]


def test_what_is_counted():
    def labels(*spans):
        return span_labels(spans, 4, NAMES)

    rows = [labels((0, 1, "place"))[:2], labels((0, 2, "person"))[:3], labels((0, 2, "person"), (3, 4, "place"))]
    chart = Chart(rows, seen=SegmentRevisions(3, 1, 1))
    tally = CorpusTally(NAMES)
    tally.add(chart)
    measured = tally.result()
    assert (measured.spans_shown, measured.span_flips, measured.span_growths) == (3, 1 / 3, 1 / 3)
    assert (measured.flips_per_word, measured.taken_back_per_word) == (2 / 4, 1 / 4)  # a label where none was, is new
    assert measured.shown_at_close is None
    tally = CorpusTally(NAMES)
    tally.add(
        Chart(
            rows,
            seen=SegmentRevisions(3, 1, 1),
            closed=labels((0, 2, "person"), (2, 3, "place")),
            closed_seen=SegmentRevisions(4, 2),
        )
    )
    assert tally.result().shown_at_close == 1 / 2
    assert tally.result().spans_shown == 4


def test_labels_of_spans():
    assert [NAMES[i] for i in span_labels([(0, 2, "person"), (2, 3, "person")], 4, NAMES)] == [
        "B-person", "I-person", "B-person", "O"
    ]  # fmt: skip


@pytest.mark.parametrize("closing", [False, True])
def test_results_have_one_entry_a_level_and_low_is_what_was_found(closing):
    examples = [example(["we", "met", "ms", "rice", "in", "rome"]), example(["rome", "in", "rice"])]
    low, strict = ({}, {})
    for level, into in (("low", low), ("1:1", strict)):
        for x in evaluate_policy(
            tiny_tagger(), "last:2", examples, name="t", closing=closing, stability=["low", "1:1"]
        ):
            into |= {x.closing: x.metrics} if x.emission == level else {}
    found = evaluate_policy(tiny_tagger(), "last:2", examples, name="t", closing=closing)
    assert [x.emission for x in found] == [""] * len(found)
    for x in found:
        assert x.metrics.flips_per_word == low[x.closing].flips_per_word
        assert x.metrics.streaming_f1 == low[x.closing].streaming_f1
        assert x.metrics.flops_saved == strict[x.closing].flops_saved
    assert strict[False].spans_shown == 0
    assert strict[closing].shown_at_close == (1.0 if closing else None)


def test_recorded_streams_have_delays_in_seconds_by_level():
    told = [
        Update(session="s", segment="u", text=" ".join(SAID[: i + 1]), time=float(i), final=i == len(SAID) - 1)
        for i in range(len(SAID))
    ]
    results = evaluate_policies(
        tiny_tagger(), {"last:2": ignore_progress}, messages=told, name="t", closing=True, stability=["low", "1:1"]
    )
    delays = {x.emission: x.metrics.delay_seconds_mean for x in results if x.closing}
    assert delays["1:1"] > delays["low"]


SAID = ["in", "rome", "ms", "rice", "met", "we", "in", "rome", "ms", "rice"]


def test_the_frontier_leaves_out_what_is_beaten_in_both():
    assert frontier([(3, 1), (1, 5), (2, 5), (2, 2), (4, 1), (2, 4)]) == [(1, 5), (2, 2), (3, 1)]
