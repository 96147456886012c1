"""The stability head: packed equals dense, what it costs, and what it is trained on."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from encoder.heads.stability import StabilityLogit, stability_of
from encoder.heads.stability_head import StabilityWeights, make_features
from encoder.heads.viterbi import NO_LABEL, Decoder
from encoder.model.config import HybridConfig
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from encoder.session.pool import SessionPool, run_plans
from encoder.tagger import make_heads
from encoder.tokenizer.incremental import IncrementalTokenizer
from encoder.train.config import StabilityStage, read_train_config
from encoder.train.data.batches import TrainingExample
from encoder.train.data.sequence import TextSequence, holdout_position
from encoder.train.run import run_training
from encoder.train.stages.live_states import LiveStates, StateCollector
from encoder.train.stages.stability import draw_points, fit
from tests.encoder.heads.reference import stability_without_head
from tests.tiny import LABELS, tiny_checkpoint, tiny_config, tiny_tokenizer

SETS = {"a": LABELS, "b": ("O", "B-x", "I-x")}


def test_columns_are_scores_and_hidden_units_of_each_tagger():
    checkpoint = tiny_checkpoint(labels=("O",), taggers=SETS, stability=8)
    encoder = HybridEncoder(checkpoint, kernels="torch", number_format="float32")
    ids = np.arange(3, 12, dtype=np.int32)
    got = torch.from_numpy(encoder.step([Pass(encoder.open_slot(), 0, ids, 0, 0)]).logits)
    model = checkpoint.dense_model()
    at = torch.arange(9)[None]
    with torch.inference_mode():
        hidden = model.hidden_states(torch.from_numpy(ids.astype(np.int64))[None], at, torch.full((1, 9), 8))[-1][0]
        scores = model.head(hidden)
        wanted = [scores[:, :5], model.stability[0].hidden(hidden), scores[:, 5:], model.stability[1].hidden(hidden)]
    torch.testing.assert_close(got, torch.cat(wanted, dim=1), atol=2e-4, rtol=1e-4)
    assert [(x.name, x.labels, x.end - x.first) for x in make_heads(checkpoint)] == [
        ("a", LABELS, len(LABELS) + 8),
        ("b", SETS["b"], 3 + 8),
    ]


def test_without_a_head_the_probability_stands_for_it():
    p = np.array([0.0, 0.25, 0.99, 1.0], np.float32)
    assert stability_of(stability_without_head(p), np.array([0, 9, 1, 3], np.int32)) == pytest.approx(p, abs=2e-6)


def test_it_drifts_with_what_is_unseen():
    settled = StabilityLogit(np.full(3, 2.0, np.float32), np.array([-1.0, 0.0, 1.0], np.float32))
    before, after = (stability_of(settled, np.full(3, n, np.int32)) for n in (0, 5))
    assert before == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert after == pytest.approx(1 / (1 + np.exp(-2.0 - np.log(6) * np.array([-1, 0, 1]))), rel=1e-5)


@pytest.mark.parametrize("taggers", [{}, dict.fromkeys("abc", LABELS)])
def test_it_costs_less_than_one_percent(taggers):
    """FLOPs of one appended and three computed words, with heads and without."""
    flops = []
    for units in (0, StabilityStage().units):
        config = tiny_config(
            **_full_shape(), labels=LABELS if not taggers else ("O",), taggers=taggers, stability=units
        )
        encoder = HybridEncoder(_empty(config), max_sessions=1, kernels="torch", number_format="float32")
        slot = encoder.open_slot()
        encoder.step([Pass(slot, 0, np.zeros(12, np.int32), 0, 0)])
        flops.append(encoder.flops([Pass(slot, 12, np.zeros(1, np.int32), 0, 10)]))
    assert 0 < flops[1] / flops[0] - 1 < 0.01


def _full_shape() -> dict[str, int]:
    real = HybridConfig()
    return {name: getattr(real, name) for name in ("layers", "causal_layers", "hidden", "heads", "intermediate")}


def _empty(config: HybridConfig) -> Checkpoint:
    from encoder.model.dense import HybridModel

    weights = {name: weight.numpy() for name, weight in HybridModel(config).state_dict().items()}
    return Checkpoint("empty", config, weights, tiny_tokenizer())


# states


def example(rng: random.Random, words: int) -> TrainingExample:
    counts = [rng.choice((1, 1, 2)) for _ in range(words)]
    word = np.repeat(np.arange(words), counts)
    ids = np.array([rng.randrange(3, 30) for _ in word], np.int64)
    return TrainingExample(ids, np.zeros(len(ids), np.int64), word, *np.zeros((2, len(ids)), np.int64))


@pytest.fixture(scope="module")
def collector() -> StateCollector:
    return StateCollector(tiny_checkpoint(), 0, _starts_word())


def _starts_word():
    return IncrementalTokenizer(tiny_tokenizer()).starts_word()


def whole_labels(examples: list[TrainingExample]) -> list[np.ndarray]:
    """Labels of whole texts, each read by a session of its own."""
    checkpoint = tiny_checkpoint()
    pool = SessionPool(HybridEncoder(checkpoint, kernels="torch", number_format="float32"), starts_word=_starts_word())
    found = []
    for one in examples:
        (rows,) = run_plans(pool, [pool.open_session().plan_update("u", one.ids.astype(np.int32), 0, 0)])[0]
        last = np.flatnonzero(np.r_[one.word[1:] != one.word[:-1], True])
        logits = rows.logits[last]
        ends = np.array([0, len(last)], np.int64)
        found.append(Decoder(LABELS).decode(logits, ends, np.array([NO_LABEL], np.int32)).labels)
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 7), min_size=1, max_size=6), st.booleans())
def test_every_word_is_of_one_state_at_every_step(
    collector: StateCollector, seed: int, lengths: list[int], twins: bool
):
    """Every word is of one row at every step, and a row is looked at within its life."""
    rng = random.Random(seed)
    texts = [example(rng, n) for n in lengths]
    states = collector.collect(texts, partial(draw_points, trained=False), None, rng, twins=twins)
    assert states.text.max() + 1 == len(texts)
    for number, text in enumerate(sorted(texts, key=lambda e: len(e.ids))):
        words = int(text.word[-1]) + 1
        assert states.weight[states.text == number].sum() == words * (words + 1) / 2
    assert (states.unseen >= 0).all()
    assert (states.unseen < states.weight).all()
    if not twins:
        assert (states.agrees == states.stands).all()


def test_what_stands_is_the_label_of_the_whole_text(collector: StateCollector):
    """Rows of an append-only session, in order: word i is computed at step i and left alone to the end."""
    rng = random.Random(4)
    texts = [example(rng, n) for n in (3, 6, 9)]
    never = lambda rng: len  # noqa: E731  (a rule: as many words as stand, so none again)
    states = collector.collect(texts, never, None, rng)
    for number, (text, final) in enumerate(zip(texts, whole_labels(texts), strict=True)):
        mine = states.text == number
        assert states.weight[mine].tolist() == list(range(len(final), 0, -1))
        assert (states.stands[mine] == (states.labels[mine] == final)).all()
        beginnings = whole_labels([_begin(text, n) for n in range(1, len(final) + 1)])
        twin = collector.collect([text], never, None, random.Random(number), twins=True)
        steps = np.arange(len(final)) + twin.unseen
        wanted = [beginnings[t][i] for i, t in enumerate(steps)]
        assert (twin.agrees == (twin.labels == np.array(wanted))).all()
    assert 0 < states.stands.mean() < 1


def _begin(text: TrainingExample, words: int) -> TrainingExample:
    end = int(np.searchsorted(text.word, words))
    return TrainingExample(text.ids[:end], text.labels[:end], text.word[:end], text.sentence[:end], text.known[:end])


def test_the_last_segment_is_fed_behind_closed_ones(collector: StateCollector):
    """Only words of the last segment are rows, and what stands is its label behind the closed segments."""
    rng = random.Random(5)
    parts = [[example(rng, n) for n in lengths] for lengths in ((4, 2, 5), (3, 6), (7,))]
    never = lambda rng: len  # noqa: E731
    states = collector.collect([_joined(x) for x in parts], never, None, rng)
    pool = SessionPool(
        HybridEncoder(tiny_checkpoint(), kernels="torch", number_format="float32"), starts_word=_starts_word()
    )
    differs = False
    for number, segments in enumerate(sorted(parts, key=lambda x: sum(len(y.ids) for y in x))):
        session = pool.open_session()
        for i, one in enumerate(segments):
            (rows,) = run_plans(pool, [session.plan_update(i, one.ids.astype(np.int32), 0, 0)])[0]
            run_plans(pool, [session.plan_close(i)])
        last = np.flatnonzero(np.r_[one.word[1:] != one.word[:-1], True])
        ends = np.array([0, len(last)], np.int64)
        final = Decoder(LABELS).decode(rows.logits[last], ends, np.array([NO_LABEL], np.int32)).labels
        mine = states.text == number
        assert states.weight[mine].tolist() == list(range(len(final), 0, -1))
        assert (states.stands[mine] == (states.labels[mine] == final)).all()
        differs |= final.tolist() != whole_labels([one])[0].tolist()
    assert differs  # the closed segments are seen


def _joined(segments: list[TrainingExample]) -> TrainingExample:
    words = np.cumsum([0, *(int(x.word[-1]) + 1 for x in segments)])
    ids, labels, known = (np.concatenate([getattr(x, name) for x in segments]) for name in ("ids", "labels", "known"))
    word = np.concatenate([x.word + n for x, n in zip(segments, words, strict=False)])
    return TrainingExample(
        ids, labels, word, np.repeat(np.arange(len(segments)), [len(x.ids) for x in segments]), known
    )


def test_the_head_learns_what_decides():
    rng = np.random.default_rng(0)
    n = 6000
    hidden = rng.normal(size=(n, 16)).astype(np.float16)
    logits = rng.normal(size=(n, 3)).astype(np.float32)
    labels = logits.argmax(1).astype(np.int32)
    nothing = np.zeros(n, np.float32)
    features = make_features(logits, labels, nothing, nothing, np.zeros(n, np.int32))
    stands = hidden[:, 0] > -0.5
    ones = np.ones(n, np.float32)
    states = LiveStates(
        hidden, labels, features, np.zeros(n, np.int32), ones, stands, stands, np.arange(n, dtype=np.int32)
    )
    head = fit(states, 16, 3, StabilityStage(units=16, epochs=60, lr=5e-3), seed=1)
    with torch.inference_mode():
        out = head(
            head.hidden(torch.from_numpy(hidden).float()), torch.from_numpy(labels).long(), torch.from_numpy(features)
        )
    assert ((out[:, 0].numpy() > 0) == stands).mean() > 0.95


# the stage

NAMES = ("we", "met", "ms", "rice", "in", "paris")


def _write(path: Path, count: int) -> None:
    rng = random.Random(0)
    lines = []
    for _ in range(count):
        words = [rng.choice(NAMES) for _ in range(5)]
        lines += [f"{w}\t{'B-place' if w == 'paris' else 'O'}\n" for w in words] + ["\n"]
    path.write_text("".join(lines))


@pytest.mark.parametrize("how", ["held = 0.3", "folds = 2", 'held = 0.3\n        target = "now"'])
def test_a_run_ends_with_a_head_that_loads(tmp_path: Path, how: str):
    config = tiny_config(labels=("O",))
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "base", config, dict(_empty(config).weights), tiny_tokenizer())
    _write(tmp_path / "train.conll", 80)
    (tmp_path / "run.toml").write_text(
        f"""
        out = "{tmp_path / "out"}"
        against_o = {{ "" = 100.0 }}
        start = "{tmp_path / "base"}"
        [tagger]
        epochs = 2
        batch_tokens = 128
        [stability]
        {how}
        epochs = 2
        words = 200
        [[train]]
        path = "{tmp_path / "train.conll"}"
        """
    )
    written = run_training(read_train_config(tmp_path / "run.toml"))
    assert written.name == "stable"
    stable, plain = load_checkpoint(str(written)), load_checkpoint(str(written.parent / "tagger"))
    assert (stable.config.stability, plain.config.stability) == (StabilityStage().units, 0)
    assert all(np.array_equal(stable.weights[name], weight) for name, weight in plain.weights.items())
    (head,) = make_heads(stable)
    assert isinstance(head.stability.head, StabilityWeights)
    assert plain.weights["head.bias"][0] < -90
    assert (written.parent / "fold2" / "tagger").exists() == (how == "folds = 2")


def test_a_document_is_held_back_whole():
    places = {holdout_position(TextSequence("doc", (w,), ("O",)), 1) for w in NAMES}
    assert len(places) == 1
    alone = [holdout_position(TextSequence("", (w,), ("O",)), 1) for w in NAMES]
    assert len(set(alone)) == len(NAMES)
    assert alone != [holdout_position(TextSequence("", (w,), ("O",)), 2) for w in NAMES]


def test_text_scores_of_other_taggers_change_no_state():
    """Their columns lie between those of the label scores."""
    scored = tiny_checkpoint(labels=("O",), taggers=SETS, text_scores={"a": ("x", "y")})
    plain = replace(scored, config=msgspec.structs.replace(scored.config, text_scores={}))
    plain = replace(plain, weights={k: v for k, v in scored.weights.items() if not k.startswith("text_scores.")})
    texts = [example(random.Random(2), n) for n in (4, 7)]
    found = []
    for checkpoint in (scored, plain):
        made = StateCollector(checkpoint, 1, IncrementalTokenizer(checkpoint.tokenizer).starts_word())
        found.append(made.collect(texts, partial(draw_points, trained=False), None, random.Random(3)))
    assert (found[0].labels == found[1].labels).all()
    assert (found[0].features == found[1].features).all()
