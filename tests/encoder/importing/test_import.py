"""Imports equal transformers' own forward; other labels, files and kinds are read right or refused with a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from encoder.checkpoints.huggingface.folder import ImportRefused, read_weights
from encoder.importing.label_head import read_head, read_names
from encoder.importing.source_model import default_causal_layers, make_hybrid, read_original
from encoder.importing.tokenizers import read_tokenizer
from encoder.model.config import ConfigError
from encoder.model.dense import HybridModel
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.passes import Pass
from encoder.tokenizer.incremental import IncrementalTokenizer, TokenizerError
from encoder.train.data.batches import WordPieces
from tests.encoder.foreign import FAMILIES, NAMES, foreign_tokenizer, write_foreign
from tests.encoder.replay import dense_scores
from tests.tiny import tiny_config

EQUAL = {"atol": 1e-5, "rtol": 1e-5}
SHAPES: list[dict[str, Any]] = [
    {},
    {"hidden_size": 30, "num_attention_heads": 5, "num_hidden_layers": 2, "intermediate_size": 41},
    {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "max_position_embeddings": 70},
]


def some_ids(count: int, length: int, vocab: int, seed: int = 1) -> Tensor:
    """Draw ids of ordinary pieces: the first five are special in both tokenizers."""
    return torch.randint(5, vocab, (count, length), generator=torch.Generator().manual_seed(seed))


def our_states(model: HybridModel, ids: Tensor) -> list[Tensor]:
    """Run a dense model over whole texts in both directions."""
    steps = torch.arange(ids.shape[1]).expand(ids.shape)
    with torch.no_grad():
        return model.hidden_states(ids, steps, torch.full_like(ids, ids.shape[1] - 1))


def their_states(model: Any, ids: Tensor, **more: Any) -> tuple[tuple[Tensor, ...], Tensor]:
    with torch.no_grad():
        out = model(input_ids=ids, output_hidden_states=True, **more)
    return out.hidden_states, getattr(out, "logits", torch.zeros(0))


@pytest.mark.parametrize("tagger", [True, False])
@pytest.mark.parametrize("shape", range(len(SHAPES)))
@pytest.mark.parametrize("family", FAMILIES)
def test_the_forward_equals_transformers_in_every_layer(tmp_path: Path, family: str, shape: int, tagger: bool) -> None:
    theirs = write_foreign(tmp_path, family, tagger=tagger, **SHAPES[shape])
    original = read_original(tmp_path)
    ids = some_ids(3, 25, original.model.config.vocab_size)
    wanted, logits = their_states(theirs, ids)
    for ours, want in zip(our_states(original.model, ids), wanted, strict=True):
        torch.testing.assert_close(ours, want, **EQUAL)
    assert original.tagger == tagger
    if tagger:
        labels = original.model.config.labels
        assert labels == ("O", "B-person", "I-person", "B-place", "I-place")
        got = original.model.head(our_states(original.model, ids)[-1])
        torch.testing.assert_close(got, logits[..., [NAMES.index(label) for label in labels]], **EQUAL)


@pytest.mark.parametrize(
    ("family", "activation"),
    [("bert", "gelu_new"), ("electra", "gelu_pytorch_tanh"), ("roberta", "gelu_fast"), ("distilbert", "gelu_python")],
)
def test_forms_of_gelu(tmp_path: Path, family: str, activation: str) -> None:
    theirs = write_foreign(tmp_path, family, hidden_act=activation)
    original = read_original(tmp_path)
    assert original.model.config.gelu == ("none" if activation == "gelu_python" else "tanh")
    ids = some_ids(2, 20, original.model.config.vocab_size)
    torch.testing.assert_close(our_states(original.model, ids)[-1], their_states(theirs, ids)[0][-1], **EQUAL)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_original_runs_texts_between_their_special_tokens(tmp_path: Path, family: str) -> None:
    theirs = write_foreign(tmp_path, family, layer_norm_eps=1e-5)
    original = read_original(tmp_path)
    mark = {"roberta": ("<s>", "</s>")}.get(family, ("[CLS]", "[SEP]"))
    opening, closing = (foreign_tokenizer(family).token_to_id(x) for x in mark)
    lengths = (9, 1, 14)
    ids = some_ids(3, 14, original.model.config.vocab_size)
    real = torch.arange(14) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        got = original.hidden_states(ids, real)
    for row, length in enumerate(lengths):
        framed = torch.cat([torch.tensor([opening]), ids[row, :length], torch.tensor([closing])])[None]
        for ours, want in zip(got, their_states(theirs, framed)[0], strict=True):
            torch.testing.assert_close(ours[row, :length], want[0, 1:-1], **EQUAL)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_hybrid_without_causal_layers_is_the_original_one_position_on(tmp_path: Path, family: str) -> None:
    theirs = write_foreign(tmp_path, family)
    config, weights = make_hybrid(read_original(tmp_path), 0, None)
    hybrid = HybridModel(config)
    hybrid.load_state_dict(weights)
    ids = some_ids(2, 30, config.vocab_size)
    first = 1 + (2 if family == "roberta" else 0)  # behind the opening token, and behind RoBERTa's padding
    wanted, _ = their_states(theirs, ids, position_ids=torch.arange(first, first + 30).expand(ids.shape))
    for ours, want in zip(our_states(hybrid, ids), wanted, strict=True):
        torch.testing.assert_close(ours, want, **EQUAL)
    assert config.positions == (64 if family == "roberta" else 80)  # of 83 rows, two for special tokens
    assert (config.window, config.page_size) == (32, 16)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_packed_encoder_runs_every_family(tmp_path: Path, family: str) -> None:
    write_foreign(tmp_path, family, hidden_act="gelu_new" if family == "electra" else "gelu")
    original = read_original(tmp_path)
    config, weights = make_hybrid(original, 1, None)
    model = HybridModel(config).eval()
    model.load_state_dict(weights)
    packed = HybridEncoder(_Checkpoint(config, weights, original.tokenizer), number_format="float32")  # type: ignore[arg-type]
    slot, ids = packed.open_slot(), some_ids(1, 20, config.vocab_size)[0]
    for t in range(20):
        scores = packed.step([Pass(slot, t, ids[t : t + 1].numpy().astype(np.int32), 0, max(0, t - 3))])
    scores = packed.step([Pass(slot, 20, np.zeros(0, np.int32), 0, 0)])
    torch.testing.assert_close(torch.from_numpy(scores.logits), dense_scores(model, ids), atol=1e-4, rtol=1e-5)


class _Checkpoint:
    """As much of a checkpoint as the encoder reads."""

    def __init__(self, config: Any, weights: dict[str, Tensor], tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.weights = {name: weight.numpy() for name, weight in weights.items()}

    def identity(self) -> bytes:
        return b"12345678"


def test_texts_become_the_pieces_that_the_original_knows(tmp_path: Path) -> None:
    text = "We met Ms Rice, in Paris; it's (not) Rome."
    for family in FAMILIES:
        write_foreign(tmp_path / family, family)
        tokenizer = read_original(tmp_path / family).tokenizer
        live = IncrementalTokenizer(tokenizer).encode(text).ids.tolist()
        assert live == foreign_tokenizer(family).encode(text, add_special_tokens=False).ids
        words = text.split()
        pieces = WordPieces(tokenizer, ("O",)).example([(words, ["O"] * len(words))], 0, 99)
        assert pieces.ids.tolist() == live  # training cuts as live text is cut


def test_sharded_weights_and_old_names_of_norms_are_read(tmp_path: Path) -> None:
    write_foreign(tmp_path, "bert")
    whole = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in whole.items()
    }
    names = sorted(old)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, inside in shards.items():
        save_file({name: old[name].half() for name in inside}, tmp_path / file)
    index = {"weight_map": {name: file for file, inside in shards.items() for name in inside}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    read = read_weights(tmp_path)
    assert read.keys() == whole.keys()
    for name, tensor in read.items():
        torch.testing.assert_close(tensor, whole[name].half().float(), rtol=0, atol=0)
    index["weight_map"][names[0]] = "../a.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ImportRefused, match="weight_map"):
        read_weights(tmp_path)


@pytest.mark.parametrize("lower", [True, False])
def test_older_tokenizer_files_give_the_same_pieces(tmp_path: Path, lower: bool) -> None:
    text = "Mïss rice's Paris"
    bert, roberta = tmp_path / "bert", tmp_path / "roberta"
    for family, folder in (("bert", bert), ("roberta", roberta)):
        folder.mkdir()
        tokenizer = foreign_tokenizer(family)
        tokenizer.model.save(str(folder))
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    read = read_tokenizer(bert)
    unknown = read.token_to_id("[UNK]")
    wanted = foreign_tokenizer("bert").encode(text, add_special_tokens=False).ids
    got = read.encode(text, add_special_tokens=False).ids
    assert got == wanted if lower else unknown in got  # the vocabulary has no capitals
    read = read_tokenizer(roberta)
    assert read.encode(text).ids == foreign_tokenizer("roberta").encode(text, add_special_tokens=False).ids


def rows(count: int) -> tuple[Tensor, Tensor]:
    return torch.arange(count)[:, None].float() * torch.ones(1, 3) + 1, torch.arange(count).float()


def test_one_tag_a_word_becomes_spans_of_one_word_and_an_o_that_is_never_chosen() -> None:
    head = read_head(["VERB", "NOUN"], *rows(2))
    assert head.labels == ("O", "B-NOUN", "B-VERB")
    assert head.weight.tolist() == [[0.0] * 3, [2.0] * 3, [1.0] * 3]
    assert head.bias.tolist() == [-1e4, 1.0, 0.0]
    assert len(head.notes) == 2
    tiny_config(labels=head.labels)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["O", "B-x", "I-x", "E-x", "S-x"], "E, S"),
        (["O", "B-x", "I-x", "L-x", "U-x"], "L, U"),
        (["O", "I-x", "B-y", "I-y"], "no label begins the spans of I-x"),
        (["O", "B-x", "[CLS]"], r"\[CLS\]"),
        (["O", "B_x", "I_x"], "not BIO"),
        (["O", "x-B", "x-I"], "not BIO"),
        (["O", "x", "x"], "twice"),
    ],
)
def test_labels_of_other_schemes_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        read_head(names, *rows(len(names)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"0": "LABEL_0", "1": "LABEL_1"}, "LABEL_0, LABEL_1"),
        ({"0": "O"}, "does not name the head's 2"),
        ({"one": "O", "two": "B-x"}, "does not name"),
        (None, "does not name"),
    ],
)
def test_labels_without_names_are_refused(table: object, message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        read_names({"id2label": table}, 2)


def change_config(folder: Path, **changes: object) -> None:
    said = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in said.items() if value is not ...}))


def to_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lose_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors")


def small_vocabulary(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    weights[name] = weights[name][:40].clone()
    save_file(weights, folder / "model.safetensors")
    change_config(folder, vocab_size=40)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: change_config(f, model_type="gpt2"), "'gpt2' is not one of bert, roberta"),
        (lambda f: change_config(f, model_type="xlm-roberta"), "SentencePiece"),
        (lambda f: change_config(f, model_type=...), "None is not one of"),
        (lambda f: change_config(f, hidden_act="relu"), "hidden_act 'relu' is not supported"),
        (lambda f: change_config(f, position_embedding_type="relative_key"), "relative_key"),
        (lambda f: change_config(f, is_decoder=True), "decoder"),
        (lambda f: change_config(f, num_attention_heads=...), "no num_attention_heads"),
        (lambda f: change_config(f, intermediate_size=47), "ff_in.weight is"),
        (lambda f: change_config(f, num_hidden_layers=4), "lack 'encoder.layer.3"),
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: (f / "config.json").write_text("[1]"), "config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"12345678"), "model.safetensors"),
        (lambda f: (f / "tokenizer.json").unlink(), "neither tokenizer.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "needs BERT's"),
        (to_pickle, "pickle can run any code.*save_pretrained"),
        (lose_a_weight, "lack 'encoder.layer.1.output.dense.bias'"),
        (small_vocabulary, "not of the same checkpoint"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_a_reason(tmp_path: Path, damage: Any, message: str) -> None:
    write_foreign(tmp_path, "bert")
    damage(tmp_path)
    with pytest.raises((ImportRefused, TokenizerError), match=message):
        read_original(tmp_path)


def test_a_tokenizer_that_cannot_follow_live_text_is_refused(tmp_path: Path) -> None:
    write_foreign(tmp_path, "bert")
    tokenizer = foreign_tokenizer("bert")
    tokenizer.normalizer = None
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="BertNormalizer"):
        read_original(tmp_path)


def test_heads_of_other_kinds_are_left_out_and_said(tmp_path: Path) -> None:
    write_foreign(tmp_path, "bert")
    change_config(tmp_path, architectures=["BertForSequenceClassification"])
    for original in (read_original(tmp_path), read_original(tmp_path, with_head=False)):
        assert original.model.config.labels == ("O",)
        assert not original.tagger
        assert original.notes == ("the checkpoint's head was left out",)


def test_sizes_of_the_hybrid(tmp_path: Path) -> None:
    assert [default_causal_layers(n) for n in (1, 2, 3, 6, 12, 24)] == [0, 1, 1, 2, 4, 8]
    write_foreign(tmp_path / "few", "bert", max_position_embeddings=65)
    with pytest.raises(ImportRefused, match="65 positions"):
        make_hybrid(read_original(tmp_path / "few"), 1, None)
    write_foreign(tmp_path / "more", "bert", max_position_embeddings=512)
    original = read_original(tmp_path / "more")
    assert make_hybrid(original, 1, None)[0].positions == 496
    assert make_hybrid(original, 1, 64)[0].window == 64
    with pytest.raises(ConfigError, match="causal_layers"):
        make_hybrid(original, 3, None)
    with pytest.raises(ConfigError, match="window"):
        make_hybrid(original, 1, 33)
