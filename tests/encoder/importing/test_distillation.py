"""What an import costs is measured right, healing wins some of it back, and a killed healing goes on."""

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from encoder.checkpoints.huggingface.folder import ImportRefused
from encoder.importing import distillation as heal
from encoder.importing.distillation import hold_out, read_unlabelled
from encoder.importing.fidelity import ReferenceOutputs, _count_beginnings, first_pieces, measure_rounding, text_batches
from encoder.importing.run import ImportOptions, ImportReport, run_import
from encoder.importing.source_model import SourceModel, make_hybrid, read_original
from encoder.model.config import ConfigError
from encoder.model.dense import HybridModel
from encoder.train.data.batches import WordPieces
from encoder.train.data.sequence import TextSequence
from encoder.train.stages import loop
from tests.encoder.foreign import write_foreign
from tests.encoder.heads.reference import decode_reference
from tests.encoder.replay import dense_scores

SAID = ("we", "met", "ms", "rice", "in", "paris", "and", "mona", "in", "rome", "she", "went", "to", "ruritania")


def sentences(count: int) -> list[TextSequence]:
    rng = random.Random(3)
    made = [tuple(rng.choice(SAID) for _ in range(rng.randint(2, 9))) for _ in range(count)]
    return [TextSequence("d", words, ("O",) * len(words)) for words in made]


def write_text(path: Path, count: int = 60) -> Path:
    path.write_text("\n".join(" ".join(s.words) for s in sentences(count)) + "\n\n")
    return path


def hybrid(original: SourceModel, causal_layers: int = 1) -> HybridModel:
    config, weights = make_hybrid(original, causal_layers, None)
    model = HybridModel(config).eval()
    model.load_state_dict(weights)
    return model


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5))
def test_first_pieces_follow_the_last_ones_before(rows: list[list[bool]]) -> None:
    wanted = []
    for r, row in enumerate(rows):
        begin = 0
        for t, ends in enumerate(row):
            if ends:
                wanted.append((r, begin, t))
                begin = t + 1
    found = zip(*(x.tolist() for x in first_pieces(torch.tensor(rows))), strict=True)
    assert list(found) == wanted


@pytest.mark.parametrize("label_piece", ["first", "last"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_the_gap_is_the_distance_from_transformers_own_states(tmp_path: Path, family: str, label_piece: Any) -> None:
    theirs = write_foreign(tmp_path, family)
    original = read_original(tmp_path)
    model, said = hybrid(original), sentences(12)
    pieces = WordPieces(original.tokenizer, model.config.labels)
    gap = ReferenceOutputs(original, text_batches(said, pieces, model.config), label_piece).gap(model)

    wanted, got, moved, words = [], [], 0, 0
    for sequence in said:
        made = pieces.example([(list(sequence.words), list(sequence.tags))], 0, 99)
        ids, last = torch.from_numpy(made.ids), np.flatnonzero(made.labels == 0)
        first = np.r_[0, last[:-1] + 1]
        with torch.no_grad():
            framed = F.pad(ids, (1, 1))
            framed[0], framed[-1] = original.opening, original.closing
            out = theirs(input_ids=framed[None], output_hidden_states=True)
            steps = torch.arange(len(ids))[None]
            got.append(model.hidden_states(ids[None], steps, torch.full_like(steps, len(ids) - 1))[-1][0])
        wanted.append(out.hidden_states[-1][0, 1:-1])
        order = [{v: k for k, v in theirs.config.id2label.items()}[label] for label in model.config.labels]
        read = out.logits[0, 1:-1][:, order].numpy()[first if label_piece == "first" else last]
        labels = [
            decode_reference(model.config.labels, x, np.array([0, len(x)]), np.array([-1], np.int32)).labels
            for x in (read, dense_scores(model, ids).numpy()[last])
        ]
        moved, words = moved + int((labels[0] != labels[1]).sum()), words + len(last)
    mean = torch.cat(wanted).mean(0)
    squares = float((torch.cat(wanted) - torch.cat(got)).square().mean())
    assert gap.hidden == pytest.approx(squares, rel=1e-4)
    assert gap.share == pytest.approx(squares / float((torch.cat(wanted) - mean).square().mean()), rel=1e-4)
    assert gap.labels == moved / words > 0


def test_rounding_is_that_of_what_is_stored(tmp_path: Path) -> None:
    write_foreign(tmp_path, "bert")
    original = read_original(tmp_path)
    model = hybrid(original)
    save_checkpoint(tmp_path / "x", model.config, model.state_dict(), original.tokenizer)
    stored = load_checkpoint(str(tmp_path / "x")).dense_model()
    said = sentences(5)
    pieces = WordPieces(original.tokenizer, model.config.labels)
    batches = text_batches(said, pieces, model.config)
    assert measure_rounding(stored, stored, batches, True).largest == 0
    found = measure_rounding(model, stored, batches, True)
    wanted = 0.0
    for sequence in said:
        made = pieces.example([(list(sequence.words), list(sequence.tags))], 0, 99)
        scores = [dense_scores(m, torch.from_numpy(made.ids))[made.labels == 0] for m in (model, stored)]
        wanted = max(wanted, float((scores[0] - scores[1]).abs().max()))
    assert found.largest == pytest.approx(wanted, rel=1e-3)
    assert found.largest > 0
    states = measure_rounding(model, stored, batches, False)
    assert states.labels is None
    assert states.largest > 0


def test_spans_that_begin_with_an_i_label_are_noticed(tmp_path: Path) -> None:
    names = ("O", "B-x", "I-x", "B-y", "I-y")
    rows = np.array([0, 0, 0, 0, 1, 1, 1])
    assert _count_beginnings(names, rows, np.array([2, 2, 4, 0, 2, 1, 2])) == (1, 3)
    assert _count_beginnings(names, rows, np.array([1, 2, 2, 0, 3, 4, 0])) == (2, 0)
    write_foreign(tmp_path, "bert")
    original = read_original(tmp_path)
    pieces = WordPieces(original.tokenizer, original.model.config.labels)
    batches = text_batches(sentences(5), pieces, hybrid(original).config)
    with torch.no_grad():
        original.model.head.bias[2] += 100
    assert "100 % of the original's spans" in ReferenceOutputs(original, batches, "first").notes[0]


def test_the_label_loss_is_the_divergence_at_the_piece_that_each_reads(tmp_path: Path) -> None:
    write_foreign(tmp_path, "bert")
    original = read_original(tmp_path)
    model = hybrid(original)
    pieces = WordPieces(original.tokenizer, model.config.labels)
    (batch,) = text_batches(sentences(6), pieces, model.config)
    original.model.requires_grad_(False)
    model.requires_grad_(False)
    shape = (*batch.ids.shape, model.config.hidden)
    wanted, got = (torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    assert float(heal._label_loss(original, model, got, got, batch, "last")) == pytest.approx(0, abs=1e-6)
    total, words = 0.0, 0
    for r in range(len(batch.ids)):
        begin = 0
        for t in np.flatnonzero(batch.labels[r].numpy() == 0):
            p = original.model.head(wanted[r, begin]).softmax(-1)
            q = model.head(got[r, t]).softmax(-1)
            total, words, begin = total + float((p * (p / q).log()).sum()), words + 1, int(t) + 1
    found = float(heal._label_loss(original, model, wanted, got, batch, "first"))
    assert found == pytest.approx(total / words, rel=1e-4)


def options(tmp_path: Path, **changes: Any) -> ImportOptions:
    given_ = {"folder": str(tmp_path / "in"), "out": str(tmp_path / "out"), "heal": str(tmp_path / "text.txt")}
    return ImportOptions(**(given_ | {"epochs": 6.0, "lr": 3e-3, "batch_tokens": 128} | changes))


def weights_of(folder: Path) -> dict[str, Tensor]:
    checkpoint: Checkpoint = load_checkpoint(str(folder))
    return checkpoint.tensors()


def test_healing_brings_the_hybrid_nearer_and_the_report_says_so(tmp_path: Path) -> None:
    write_foreign(tmp_path / "in", "electra")
    write_text(tmp_path / "text.txt", 150)
    report = run_import(options(tmp_path))
    names = [step.name for step in report.steps]
    assert names == ["without special tokens", "labels read at last pieces", "1 causal layers", "healed and rounded"]
    before, after = report.steps[-2].gap, report.steps[-1].gap
    assert after.hidden < 0.8 * before.hidden
    assert after.labels is not None
    assert before.labels is not None
    assert after.labels < before.labels
    assert report.held_out is not None
    assert report.held_out[0] == 15
    saved = msgspec.json.decode((tmp_path / "out" / "import.json").read_bytes(), type=ImportReport)
    assert saved == report
    assert not (tmp_path / "out" / "healing").exists()


def test_without_healing_the_weights_are_the_originals_rounded(tmp_path: Path) -> None:
    write_foreign(tmp_path / "in", "distilbert", tagger=False)
    report = run_import(options(tmp_path, heal=None))
    assert report.steps == ()
    assert report.rounded_on == "random pieces"
    original = read_original(tmp_path / "in")
    for name, tensor in hybrid(original).state_dict().items():
        error = 0.01 if name == "word.weight" else 1e-3
        torch.testing.assert_close(weights_of(tmp_path / "out")[name], tensor, atol=error, rtol=1e-3)
    write_text(tmp_path / "text.txt")
    measured = run_import(options(tmp_path, out=str(tmp_path / "again"), epochs=0.0))
    assert [step.name for step in measured.steps][-1] == "rounded for storage"
    assert not measured.healed
    for name, tensor in weights_of(tmp_path / "again").items():
        assert torch.equal(weights_of(tmp_path / "out")[name], tensor)


def test_a_killed_healing_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_foreign(tmp_path / "in", "bert")
    write_text(tmp_path / "text.txt")
    whole = options(tmp_path, epochs=2.0)
    run_import(whole)
    killed = options(tmp_path, epochs=2.0, out=str(tmp_path / "killed"), save_seconds=0.0)
    save, count = loop._save_state, 0

    def dying(*args: Any) -> None:
        nonlocal count
        save(*args)
        count += 1
        if count == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_save_state", dying)
    with pytest.raises(KeyboardInterrupt):
        run_import(killed)
    with pytest.raises(ImportRefused, match="begun with other options"):
        run_import(options(tmp_path, epochs=3.0, out=killed.out))
    report = run_import(killed)
    assert report.healed
    for name, tensor in weights_of(tmp_path / "out").items():
        torch.testing.assert_close(weights_of(tmp_path / "killed")[name], tensor, rtol=0, atol=0)
    with pytest.raises(ImportRefused, match="holds a checkpoint already"):
        run_import(killed)


def test_a_refused_import_leaves_nothing_behind(tmp_path: Path) -> None:
    write_foreign(tmp_path / "in", "bert")
    with pytest.raises(ConfigError, match=r"text\.txt"):
        run_import(options(tmp_path))
    write_text(tmp_path / "text.csv")
    with pytest.raises(ConfigError, match=r"must end in \.txt"):
        run_import(options(tmp_path, heal=str(tmp_path / "text.csv")))
    (tmp_path / "text.txt").write_text("\u200b\n" * 30)
    with pytest.raises(ConfigError, match="no words"):
        run_import(options(tmp_path))
    with pytest.raises(ImportRefused, match="is a file"):
        run_import(options(tmp_path, out=str(tmp_path / "text.csv")))
    write_text(tmp_path / "text.txt", 19)
    with pytest.raises(ConfigError, match="has 19 sequences"):
        run_import(options(tmp_path))
    write_text(tmp_path / "text.txt")
    with pytest.raises(ConfigError, match="learning rate"):
        run_import(options(tmp_path, lr=2.0))
    assert not (tmp_path / "out").exists()


def test_texts_of_every_kind_are_words_without_labels(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("paris\tB-place\nis\tO\n\n" * 20)
    (tmp_path / "a.jsonl").write_text('{"text": "paris, is", "spans": [[0, 5, "place"]]}\n' * 20)
    (tmp_path / "a.txt").write_text(" paris,  is\n\n" * 20)
    found = [read_unlabelled(tmp_path / name)[0] for name in ("a.conll", "a.jsonl", "a.txt")]
    assert [s.words for s in found] == [("paris", "is"), ("paris", ",", "is"), ("paris,", "is")]
    assert all(set(s.tags) == {"O"} for s in found)
    learned, held = hold_out(read_unlabelled(write_text(tmp_path / "b.txt", 50)), 1)
    assert len(held) == 5
    assert sorted(learned + held, key=repr) == sorted(read_unlabelled(tmp_path / "b.txt"), key=repr)
