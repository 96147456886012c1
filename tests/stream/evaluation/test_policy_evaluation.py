import json
import random

import msgspec
import numpy as np
import pytest

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.model.config import ConfigError
from encoder.restart.policies import parse_policy
from encoder.restart.policy_text import PolicyError
from encoder.tagger import load_tagger
from stream.engine.engine import Engine
from stream.evaluation.metrics.report import EvaluationReport
from stream.evaluation.plots.frontier import plot_frontier, plot_report
from stream.evaluation.policy_evaluation import EvaluationTask, run_evaluation
from stream.evaluation.replay.examples import EvaluationError, LabelledFile, LabelledText, begin_table, word_labels
from stream.evaluation.replay.stream_replay import count_dense_flops
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import Labelling, PlanWork
from stream.messages.types import Update
from tests.stream.evaluation.replays import evaluate_policy, replay_words
from tests.stream.fake_tagger import NAMES as FAKE_NAMES
from tests.stream.fake_tagger import FakeLabeller
from tests.tiny import LABELS, WORDS, tiny_checkpoint

POLICIES = ["always", "never", "last:2", "entropy:0.5"]


def example(words, tags=None, names=LABELS):
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    gold = np.array([names.index(tag) for tag in tags] if tags else [0] * len(words), np.int32)
    return LabelledText(" ".join(words), ends.astype(np.int32), gold)


def made_up(count, longest, seed=0):
    """Sentences with words of several parts among them."""
    rng = random.Random(seed)
    words = [*WORDS, "u.s.", "rice's", "may", "(rome)", "river", "said", "peru,"]
    return [example([rng.choice(words) for _ in range(rng.randint(1, longest))]) for _ in range(count)]


def within_window(tagger, examples):
    """Keep those that fit one window: beyond it, every policy computes whole windows now and then."""
    kept = [x for x in examples if len(tagger.tokenizer.encode(x.text).ids) <= tagger.config.window]
    assert len(kept) >= 20
    return kept


def tiny_folder(folder, **changes):
    made = tiny_checkpoint(**changes)
    save_checkpoint(folder, made.config, made.weights, made.tokenizer)
    return str(folder)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_tagger(tiny_folder(tmp_path_factory.mktemp("tiny")), number_format="float32")


# The charts against the engine's own revisions.


def charts_of_revisions(tagger, policy, examples, names, closing):
    """What a reader of the revisions sees after each word; labels by the last character of each word."""
    engine, offset = Engine(tagger, policy, whole_words=False), 0
    rows = [[] for _ in examples]
    spans = [()] * len(examples)
    for t in range(max(len(x.ends) for x in examples)):
        for i, made in enumerate(examples):
            if t < len(made.ends):
                final = closing and t == len(made.ends) - 1
                text = made.text[: made.ends[t]]
                engine.submit(Update(session=str(i), segment="1", text=text, final=final), offset)
                offset += 1
        while engine.pending:
            for revision in engine.step().revisions:
                spans[int(revision.session)] = revision.spans
        for i, made in enumerate(examples):
            if t < len(made.ends):
                rows[i].append(labels_of_spans(spans[i], made, t + 1, names))
    return rows


def labels_of_spans(spans, made, words, names):
    labels = []
    for i in range(words):
        start, end = int(made.ends[i - 1]) + 1 if i else 0, int(made.ends[i])
        under = [span for span in spans if span.start < end <= span.end]
        labels.append(names.index(("B-" if under[0].start >= start else "I-") + under[0].label) if under else 0)
    return labels


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("closing", [False, True])
def test_charts_are_what_the_engines_revisions_show(tiny, policy, closing):
    """Sentences up to several windows long, so that windows slide and sessions are anchored again."""
    examples = made_up(12, 40)
    charts = replay_words(HybridLabeller(tiny), parse_policy(policy), examples, closing=closing).run()
    revised = charts_of_revisions(tiny, parse_policy(policy), examples, LABELS, closing)
    assert any(any(row) for rows in revised for row in rows)
    for chart, rows in zip(charts, revised, strict=True):
        assert [row.tolist() for row in chart.standing] == rows


@pytest.mark.parametrize("closing", [False, True])
def test_charts_of_the_fake_labeller_are_what_its_revisions_show(closing):
    examples = made_up(20, 12, seed=1)
    charts = replay_words(FakeLabeller(), parse_policy("never"), examples, FAKE_NAMES, closing=closing).run()
    revised = charts_of_revisions(FakeLabeller(), parse_policy("never"), examples, FAKE_NAMES, closing)
    for chart, rows in zip(charts, revised, strict=True):
        assert [row.tolist() for row in chart.standing] == rows


# What a policy costs and what it gives.


def test_policies_differ_as_they_must(tiny):
    examples = within_window(tiny, made_up(40, 12))
    always, never, last, entropy = (
        evaluate_policy(tiny, policy, examples, name="tiny", closing=True) for policy in POLICIES
    )
    calm, closed = (result.metrics for result in never)
    assert (calm.eo, calm.flips_per_word, calm.restart_rate, calm.words_recomputed) == (0, 0, 0, 1)
    assert calm.rc == 1
    assert calm.active_restarts is None
    assert closed.closing_words == pytest.approx(1, abs=0.1)  # a segment of one word need not be computed again
    assert closed.flips_per_word > 0
    full = always[0].metrics
    assert full.closing_words is full.closing_rate is None
    assert always[1].metrics.closing_words == always[1].metrics.closing_rate == 0
    assert full.full_restart_rate == full.restart_rate > 0.8
    assert full.flips_per_word > 0
    assert 1 < last[0].metrics.words_recomputed < full.words_recomputed
    assert calm.flops_saved > last[0].metrics.flops_saved > full.flops_saved > 0
    assert closed.flops_saved < calm.flops_saved
    assert entropy[0].metrics.words_recomputed <= full.words_recomputed


@pytest.mark.parametrize("policy", POLICIES)
def test_whatever_the_policy_closed_labels_are_those_of_a_full_restart(tiny, policy):
    examples = within_window(tiny, made_up(40, 12))
    charts = replay_words(HybridLabeller(tiny), parse_policy("always"), examples, closing=False).run()
    whole = [LabelledText(x.text, x.ends, chart.final) for x, chart in zip(examples, charts, strict=True)]
    growing, closed = (x.metrics for x in evaluate_policy(tiny, policy, whole, name="tiny", closing=True))
    assert closed.offline_em == closed.offline_f1 == 1
    assert 0 < closed.streaming_em < 1
    assert (growing.offline_em == 1) == (policy == "always")


def test_the_bidirectional_baseline_saves_nothing(tmp_path):
    baseline = load_tagger(tiny_folder(tmp_path, causal_layers=0), number_format="float32")
    examples = within_window(baseline, made_up(40, 9))
    metrics = evaluate_policy(baseline, "always", examples, name="b", closing=False)[0].metrics
    assert metrics.flops_saved == pytest.approx(0, abs=1e-12)
    assert metrics.full_restart_rate == pytest.approx(1 - metrics.segments / metrics.words)


def test_dense_flops_count_each_product(tiny):
    """Two passes of 3 and 5 tokens: every multiply-add is two operations."""
    h, i, labels = 32, 64, len(LABELS)

    def one(n):
        layer = n * (h * 3 * h + h * h + h * i + i * h) + n * n * h + n * n * h
        return 2 * (4 * layer + n * h * labels)

    assert count_dense_flops(tiny.config, np.array([3, 5])) == one(3) + one(5)


def test_tokens_and_words_of_the_tagger_are_counted_as_they_arrive(tiny):
    made = [example(["ms", "u.s.", "rice"])]
    replay = replay_words(HybridLabeller(tiny), parse_policy("never"), made, closing=True, tagger=tiny)
    [chart] = replay.run()
    assert chart.arrived == 6
    assert replay.dense_flops[0] == count_dense_flops(tiny.config, np.array([1, 5, 6]))


# Words of a file against words of the tagger.


def reading(text, parts, labels):
    starts, at = [], 0
    for part in parts:
        at = text.index(part, at)
        starts.append(at)
        at += len(part)
    ends = [start + len(part) for start, part in zip(starts, parts, strict=True)]
    numbers = np.array([LABELS.index(label) for label in labels], np.int32)
    ones = np.ones(len(parts), np.float32)
    return Labelling(np.array(starts), np.array(ends), numbers, ones, ones, (), PlanWork())


@pytest.mark.parametrize(
    ("words", "parts", "labels", "expected"),
    [
        (["u.s.", "open"], ["u", ".", "s", ".", "open"], ["B-place"] + ["I-place"] * 4, ["B-place", "I-place"]),
        (["pre-rice"], ["pre", "-", "rice"], ["O", "O", "B-person"], ["B-person"]),
        (["rome,"], ["rome", ","], ["B-place", "O"], ["O"]),
        (["a/b"], ["a", "/", "b"], ["B-place", "B-place", "I-place"], ["B-place"]),
        (["ms", "rice"], ["ms", "rice"], ["B-person", "I-person"], ["B-person", "I-person"]),
        (["ms", "rice"], ["ms", "rice"], ["B-person", "B-person"], ["B-person", "B-person"]),
        (["\u200b", "rome"], ["rome"], ["B-place"], ["O", "B-place"]),
        (["\u200b"], [], [], ["O"]),
    ],
)
def test_a_word_has_the_label_of_its_last_part(words, parts, labels, expected):
    made = example(words)
    found = word_labels(reading(made.text, parts, labels), made.ends, begin_table(LABELS))
    assert [LABELS[i] for i in found] == expected


def test_reading_examples(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# doc = x\nMs\tB-PER\nRice\tI-PER\n\nin\tO\nRome\tB-LOC\n\nmore\tO\n", encoding="utf-8")
    first, second = LabelledFile(data=path, rename={"PER": "person", "LOC": ""}, limit=2).read_examples(LABELS)
    assert (first.text, first.ends.tolist(), first.gold.tolist()) == ("Ms Rice", [2, 7], [1, 2])
    assert (second.text, second.gold.tolist()) == ("in Rome", [0, 0])


def test_jsonl_keeps_its_own_characters(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": " Ms  Rice's\tcar", "spans": [[1, 9, "PER"], [12, 15, "CAR"]]},
        {"text": "  "},
        {"text": "in Rome.", "spans": [[3, 7, "place"]]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    first, second = LabelledFile(data=path, rename={"PER": "person", "CAR": ""}).read_examples(LABELS)
    assert first.text == rows[0]["text"]
    assert [first.text[:end].split()[-1] for end in first.ends] == ["Ms", "Rice", "Rice'", "Rice's", "car"]
    assert [LABELS[i] for i in first.gold] == ["B-person", "I-person", "O", "O", "O"]
    assert first.marks == ((1, 9),)
    assert (second.text, second.marks) == ("in Rome.", ((3, 7),))


def test_joined_documents_are_sessions_of_long_segments(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# doc = x\nMs\tB-person\n.\tO\n\n# doc = x\nin\tO\nRome\tB-place\n", encoding="utf-8")
    [joined] = LabelledFile(data=path, spoken=True, join=5).read_examples(LABELS)
    assert (joined.text, joined.gold.tolist(), joined.marks) == ("Ms in Rome", [1, 0, 3], None)
    apart = LabelledFile(data=path, spoken=True, join=2).read_examples(LABELS)
    assert [(x.text, x.session) for x in apart] == [("Ms", "1"), ("in Rome", "1")]
    alone = LabelledFile(data=path, spoken=True).read_examples(LABELS)
    assert [(x.text, x.session) for x in alone] == [("Ms", ""), ("in Rome", "")]
    path.write_text(".\tO\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="leave --spoken out"):
        LabelledFile(data=path, spoken=True).read_examples(LABELS)


def test_character_f1_compares_what_the_last_revision_shows(tiny):
    """Gold characters are made up; those found are read off the engine's own spans."""
    examples = made_up(12, 10)
    marked = [LabelledText(x.text, x.ends, x.gold, marks=((2, 9),) if i % 3 else ()) for i, x in enumerate(examples)]
    closed = evaluate_policy(tiny, "last:2", marked, name="tiny", closing=True)[1].metrics
    scores = []
    for made in marked:
        engine = Engine(tiny, parse_policy("last:2"), whole_words=False)
        engine.submit(Update(session="s", segment="1", text=made.text, final=True), 0)
        [revision] = engine.step().revisions
        found = {i for span in revision.spans for i in range(span.start, span.end)}
        gold = {i for start, end in made.marks for i in range(start, end)}
        scores.append(2 * len(found & gold) / (len(found) + len(gold)) if found and gold else float(found == gold))
    assert 0 < np.mean(scores) < 1
    assert closed.character_f1 == pytest.approx(np.mean(scores))


def test_unknown_types_are_named(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Rome\tB-LOC\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"LOC.*person, place.*--rename LOC="):
        LabelledFile(data=path).read_examples(LABELS)


# The whole of it.


def test_run_evaluation_measures_baseline_and_policies_and_draws_them(tmp_path):
    data = tmp_path / "data.conll"
    lines = ["\n".join(f"{word}\tO" for word in x.text.split()) for x in made_up(5, 8)]
    data.write_text("\n\n".join(lines) + "\n\nrome\tB-place\n", encoding="utf-8")
    tagger = tiny_folder(tmp_path / "hybrid")
    baseline = tiny_folder(tmp_path / "both", causal_layers=0)
    report = run_evaluation(
        EvaluationTask(data=data, taggers=(tagger,), baselines=(baseline,), policies=tuple(POLICIES))
    )
    kinds = [(result.tagger, result.policy, result.closing) for result in report.results]
    expected = [(tagger, policy, closing) for policy in POLICIES for closing in (False, True)]
    assert kinds == [(baseline, "always", False), *expected]
    assert report.sequences == 6
    assert msgspec.json.decode(msgspec.json.encode(report), type=EvaluationReport) == report
    for plot in (plot_report, plot_frontier):
        plot(report, tmp_path / "plot.png")
        assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert [(x.baseline, x.policy) for x in report.summary[:2]] == [(True, "always"), (False, "always")]
    assert [x.policy for x in report.gains] == [policy for policy in POLICIES for _ in (False, True)]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"policies": ("sometimes",)}, PolicyError, "sometimes"),
        ({"baselines": ("hybrid",)}, EvaluationError, "causal_layers = 0"),
        ({"data": "nowhere.conll"}, ConfigError, "nowhere"),
    ],
)
def test_mistakes_are_told(tmp_path, changes, error, message):
    data = tmp_path / "data.conll"
    data.write_text("rome\tB-place\n", encoding="utf-8")
    tagger = tiny_folder(tmp_path / "hybrid")
    wish = {"data": data, "taggers": (tagger,), "baselines": (), "policies": ("never",), "closing": False} | changes
    wish["baselines"] = tuple(tagger for _ in wish["baselines"])
    wish["data"] = tmp_path / wish["data"]
    with pytest.raises(error, match=message):
        run_evaluation(EvaluationTask(**wish))
