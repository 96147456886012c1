import json

import msgspec
import numpy as np
import pytest

from encoder.checkpoints.calibration import (
    FILE,
    Calibration,
    CalibrationError,
    Certificate,
    LabelPromise,
    LabelRisk,
    LevelPromise,
    Promise,
    SettledThreshold,
    SpanConfidence,
    read_calibration_file,
    save_calibration,
)
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.checkpoints.location import CheckpointError
from encoder.heads.span_model import MORE_FEATURES, span_weights
from encoder.heads.stability import stability_of
from encoder.heads.stability_head import HeadStability as Head
from encoder.restart.policies import Last, parse_policy
from encoder.restart.policy_text import DEFAULT_PRICE, FALLBACK, PolicyError, most_cautious_policy, resolve_policy
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from encoder.tagger import load_single_tagger, load_tagger, make_heads
from tests.encoder.heads.reference import predict
from tests.tiny import LABELS, tiny_checkpoint

CERTIFICATE = Certificate(
    delta=0.01, epsilon=0.05, risk=0.002, bound=0.009, p_value=0.04, streaming_em=0.8, flops_saved=0.7,
    data="made/up.conll", data_digest="00", unit="sequence", units=900, sequences=900, words=9000, options="",
    number_format="float32",
)  # fmt: skip
FOUND = Calibration(tau=0.97, scale=0.8, shift=0.3, certificate=CERTIFICATE)
PROMISE = Promise(
    epsilon=0.05, policy="price:0.005", data="made/up.conll", data_digest="00", unit="document", units=90, options="",
    number_format="float32",
    levels={
        "medium": LevelPromise(
            show=0.55, change=0.8,
            labels={"person": LabelPromise(alpha=0.12, share=0.08, sessions=80, spans=900, taken_back=70)},
        )
    },
)  # fmt: skip
SETTLED = SettledThreshold(
    threshold=0.97, alpha=0.01, risk=0.004, delay=1.9, delay_p95=6.0,
    labels={"person": LabelRisk(threshold=0.98, risk=0.012, sessions=120)},
    policy="price:0.005", show=0.55, change=0.8, data="made/up.conll", data_digest="00", unit="document", units=300,
    options="", number_format="float32",
)  # fmt: skip


def confidence(labels=LABELS, **changed):
    row = [0.25] * (span_weights(labels) + MORE_FEATURES)
    given = {"weights": [row, row], "sets": ["a", "b"], "texts": 9, "spans": 20, "policy": "last:3"}
    return SpanConfidence(**{"number_format": "float32"} | given | changed)


@pytest.fixture
def folder(tmp_path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    return tmp_path / "tiny"


def store(folder, found=FOUND):
    return save_calibration(folder, load_checkpoint(str(folder), calibrated=False).identity(), {"": found})


def test_settled_text_has_a_place_of_its_own_in_the_file(folder):
    identity = load_checkpoint(str(folder), calibrated=False).identity()
    save_calibration(folder, identity, {"": FOUND}, {"": PROMISE})
    save_calibration(folder, identity, settled={"": SETTLED})
    checkpoint = load_checkpoint(str(folder))
    assert (checkpoint.calibration, checkpoint.promises) == ({"": FOUND}, {"": PROMISE})
    assert checkpoint.settled == {"": SETTLED}
    assert load_tagger(str(folder)).settled == {"tiny": SETTLED}


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.5}, {"alpha": 0.0}, {"risk": -1}, {"threshold": "high"}, {"secret": 1}, {"labels": 3}]
)
def test_a_malformed_threshold_of_settled_text_is_refused(folder, wrong):
    identity = load_checkpoint(str(folder), calibrated=False).identity()
    path = save_calibration(folder, identity, settled={"": SETTLED})
    stored = json.loads(path.read_text())
    stored["settled"][""] |= wrong
    path.write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="delete it, or run `hearken calibrate` again"):
        load_checkpoint(str(folder))


def test_it_comes_back_with_the_checkpoint_and_does_not_change_what_it_is(folder):
    before = load_checkpoint(str(folder))
    assert before.calibration == {}
    path = store(folder)
    written = path.read_bytes()
    after = load_checkpoint(str(folder))
    assert after.calibration == {"": FOUND}
    assert after.identity() == before.identity()
    assert load_checkpoint(str(folder), calibrated=False).calibration == {}
    assert store(folder).read_bytes() == written


def test_calibrations_of_other_taggers_stay(folder):
    identity = load_checkpoint(str(folder)).identity()
    save_calibration(folder, identity, {"ner": FOUND})
    save_calibration(folder, identity, {"claims": msgspec.structs.replace(FOUND, tau=0.5)})
    assert {name: x.tau for name, x in read_calibration_file(folder, identity).taggers.items()} == {
        "ner": 0.97,
        "claims": 0.5,
    }


def test_one_of_other_weights_is_refused_and_replaced(folder):
    save_calibration(folder, b"12345678", {"": FOUND, "other": FOUND})
    with pytest.raises(CheckpointError, match=r"of other weights.*hearken calibrate"):
        load_checkpoint(str(folder))
    store(folder)
    assert load_checkpoint(str(folder)).calibration == {"": FOUND}


def test_writing_a_checkpoint_takes_the_old_ones_calibration_away(folder):
    store(folder)
    made = tiny_checkpoint(seed=1, stability=8)
    save_checkpoint(folder, made.config, made.weights, made.tokenizer)
    assert load_checkpoint(str(folder)).calibration == {}


def test_promises_and_calibrations_stay_beside_each_other(folder):
    identity = load_checkpoint(str(folder)).identity()
    save_calibration(folder, identity, {"": FOUND})
    assert load_checkpoint(str(folder)).promises == {}
    save_calibration(folder, identity, promises={"": PROMISE})
    save_calibration(folder, identity, promises={"other": PROMISE})
    loaded = load_checkpoint(str(folder))
    assert loaded.calibration == {"": FOUND}
    assert loaded.promises == {"": PROMISE, "other": PROMISE}
    assert loaded.identity() == identity
    assert load_checkpoint(str(folder), calibrated=False).promises == {}
    assert load_tagger(str(folder)).promises[loaded.name] == PROMISE


def test_confidence_in_spans_takes_the_place_of_the_trained_one_and_of_what_was_measured_with_that(folder):
    identity = load_checkpoint(str(folder)).identity()
    save_calibration(folder, identity, {"": FOUND}, {"": PROMISE, "other": PROMISE}, {"": SETTLED, "other": SETTLED})
    assert load_checkpoint(str(folder)).span_models() == [None]
    save_calibration(folder, identity, spans={"": confidence()})
    loaded = load_checkpoint(str(folder))
    assert (loaded.calibration, loaded.promises) == ({"": FOUND}, {"other": PROMISE})
    assert loaded.settled == {"other": SETTLED}
    assert loaded.identity() == identity
    (model,) = loaded.span_models()
    assert model.weights.tolist() == confidence().weights
    save_calibration(folder, identity, promises={"": PROMISE})
    assert load_tagger(str(folder)).heads[0].spans.weights.tolist() == confidence().weights
    assert load_checkpoint(str(folder), calibrated=False).span_models() == [None]


def test_confidence_in_spans_that_does_not_fit_is_refused(folder):
    identity = load_checkpoint(str(folder)).identity()
    save_calibration(folder, identity, spans={"": confidence(("O", "B-x", "I-x"))})
    with pytest.raises(CheckpointError, match=r"has \d+ weights, not \d+; calibrate it again"):
        load_checkpoint(str(folder))
    for wrong in ([[1.0]], [[1.0], [1.0, 2.0]], [[1.0], [float("nan")]]):
        with pytest.raises(CalibrationError, match="two rows"):
            confidence(weights=wrong)


def test_files_from_before_there_were_promises_stay_readable(folder):
    path = store(folder)
    stored = json.loads(path.read_bytes())
    del stored["promises"]
    path.write_text(json.dumps(stored), encoding="utf-8")
    loaded = load_checkpoint(str(folder))
    assert (loaded.calibration, loaded.promises) == ({"": FOUND}, {})


@pytest.mark.parametrize("change", [{"alpha": 0}, {"alpha": 1}, {"alpha": None}, {"more": 1}, {"spans": "x"}])
def test_a_damaged_promise_is_named(folder, change):
    path = save_calibration(folder, load_checkpoint(str(folder)).identity(), promises={"": PROMISE})
    stored = json.loads(path.read_bytes())
    stored["promises"][""]["levels"]["medium"]["labels"]["person"] |= change
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"{FILE}.*hearken calibrate"):
        load_checkpoint(str(folder))


def test_a_promise_of_one_of_several_heads_is_found_by_its_name(tmp_path):
    checkpoint = tiny_checkpoint(labels=("O",), taggers={"a": LABELS, "b": ("O", "B-x")}, stability=8)
    save_checkpoint(tmp_path / "two", checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    save_calibration(tmp_path / "two", load_checkpoint(str(tmp_path / "two")).identity(), promises={"b": PROMISE})
    assert load_tagger(str(tmp_path / "two")).promises == {"b": PROMISE}
    assert load_single_tagger(f"{tmp_path / 'two'}:b").promises == {"b": PROMISE}
    assert load_single_tagger(f"{tmp_path / 'two'}:a").promises == {}


@pytest.mark.parametrize("change", [{"tau": 2}, {"scale": 0}, {"scale": -1}, {"more": 1}, {"tau": "x"}])
def test_a_damaged_one_is_named(folder, change):
    path = store(folder)
    stored = json.loads(path.read_bytes())
    stored["taggers"][""] |= change
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"{FILE}.*hearken calibrate"):
        load_checkpoint(str(folder))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(CalibrationError, match="cannot be written"):
        save_calibration(tmp_path / "nowhere", b"12345678", {"": FOUND})


def test_the_tagger_scales_its_stability_and_knows_its_threshold(folder):
    store(folder)
    assert load_tagger(str(folder)).default_policy == "stability:0.97"
    assert load_tagger(str(folder), calibrated=False).default_policy == DEFAULT_PRICE
    plain, scaled = (make_heads(load_checkpoint(str(folder), calibrated=x))[0].stability for x in (False, True))
    rng = np.random.default_rng(0)
    n, labels = 20, plain.labels
    arguments = (
        rng.normal(size=(n, labels + 8)).astype(np.float32),
        rng.integers(0, labels, n).astype(np.int32),
        rng.random(n).astype(np.float32),
        rng.random(n).astype(np.float32),
        rng.integers(0, 5, n).astype(np.int32),
    )
    unseen = rng.integers(0, 5, n).astype(np.int32)
    raw, found = (stability_of(predict(x, *arguments), unseen) for x in (plain, scaled))
    odds = np.log(raw / (1 - raw))
    assert found == pytest.approx(1 / (1 + np.exp(-(0.8 * odds + 0.3))), abs=1e-5)


def test_without_a_head_the_labels_probability_is_scaled():
    p = np.array([0.2, 0.9], np.float32)
    none = np.zeros(2, np.int32)
    settled = predict(Head(None, 3, 2.0, 1.0), np.zeros((2, 3), np.float32), none, p, p, none)
    assert settled.base == pytest.approx(2 * np.log(p / (1 - p)) + 1, abs=1e-5)
    assert (settled.drift == 0).all()


# The policy without a number.


def test_a_policy_without_its_number_is_the_taggers_own_and_the_default_where_there_is_one():
    own = f"stability:{float(str(np.float32(0.9448604)))!r}"
    assert resolve_policy("stability", own) == resolve_policy("default", own) == own
    assert resolve_policy("price", "price:0.02") == resolve_policy("default", "price:0.02") == "price:0.02"
    assert parse_policy(resolve_policy("default", None)) == parse_policy(FALLBACK) == Last(3)
    assert resolve_policy("last:2", own) == "last:2"


def test_taggers_that_are_restarted_together_are_as_cautious_as_the_most_cautious():
    assert most_cautious_policy(["price:0.02", "price:0.005"]) == "price:0.005"
    assert most_cautious_policy(["stability:0.9", "stability:0.99"]) == "stability:0.99"
    assert most_cautious_policy(["stability:0.9", "price:0.02"]) is None
    assert most_cautious_policy(["price:0.02", None]) is None


def test_a_head_without_a_calibration_has_the_default_price(tmp_path):
    checkpoint = tiny_checkpoint(labels=("O",), taggers={"a": LABELS, "b": ("O", "B-x")}, stability=8)
    save_checkpoint(tmp_path / "two", checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    assert load_tagger(str(tmp_path / "two")).default_policy == DEFAULT_PRICE
    save_calibration(tmp_path / "two", load_checkpoint(str(tmp_path / "two")).identity(), {"b": FOUND})
    assert load_tagger(str(tmp_path / "two")).default_policy is None  # of two kinds
    assert load_single_tagger(f"{tmp_path / 'two'}:b").default_policy == "stability:0.97"


def test_alone_is_what_the_head_is_on_its_trunk(tmp_path):
    """Columns of one head, read alone or beside another: the same labels and stabilities."""
    checkpoint = tiny_checkpoint(labels=("O",), taggers={"a": LABELS, "b": ("O", "B-x")}, stability=8)
    whole = HybridEncoder(checkpoint, kernels="torch", number_format="float32")
    ids = np.arange(3, 12, dtype=np.int32)
    columns = whole.step([Pass(whole.open_slot(), 0, ids, 0, 0)]).logits
    for head in make_heads(checkpoint):
        alone = HybridEncoder(checkpoint.single_head(head.name), kernels="torch", number_format="float32")
        got = alone.step([Pass(alone.open_slot(), 0, ids, 0, 0)]).logits
        np.testing.assert_allclose(got, columns[:, head.first : head.end], atol=1e-5)


def test_a_policy_without_a_number_needs_a_calibration():
    with pytest.raises(PolicyError, match=r"hearken calibrate.*stability:0\.98"):
        resolve_policy("stability", None)
    with pytest.raises(PolicyError, match=r"hearken calibrate.*price:"):
        resolve_policy("price", "stability:0.9")
    with pytest.raises(PolicyError, match="sometimes"):
        resolve_policy("sometimes", "stability:0.5")
