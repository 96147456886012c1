"""A checkpoint, tokenizer or training folder that somebody else made: one clear line for each, at a bounded cost.

Each case would otherwise be a traceback, an abort, or work without an end; pytest-timeout ends the latter.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from encoder.checkpoints.calibration import CalibrationError, read_calibration_file
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.checkpoints.huggingface.folder import ImportRefused
from encoder.checkpoints.location import CheckpointError
from encoder.importing.source_model import read_original
from encoder.model.config import LIMITS, ConfigError, HybridConfig
from encoder.tokenizer.base import TokenizerError
from encoder.train.config import read_train_config
from encoder.train.data.folder import read_folder
from tests.encoder.foreign import write_foreign
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.timeout(60)
DEEP = b'{"a":' * 300_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tiny_checkpoint()
    save_checkpoint(tmp_path / "tiny", made.config, dict(made.weights), made.tokenizer)
    assert load_checkpoint(str(tmp_path / "tiny")).config == made.config
    return tmp_path / "tiny"


def refused(folder: Path) -> str:
    """The one line that a user reads."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(str(folder))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def change(path: Path, **fields: Any) -> None:
    path.write_bytes(json.dumps(json.loads(path.read_bytes()) | fields).encode())


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize("value", [-1, 1 << 40, -(1 << 70), 0])
def test_a_size_out_of_bounds_is_named(folder: Path, name: str, value: int) -> None:
    if value == 0 and LIMITS[name][0] == 0:
        return
    change(folder / "config.json", **{name: value})
    assert name in refused(folder)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"layers": 10_000_000}, "layers"),
        ({"layers": 128, "hidden": 16_384, "intermediate": 65_536}, "parameters"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps"),
        ({"labels": ["O"] + [f"B-{i}" for i in range(100_000)], "taggers": {}}, "labels"),
        ({"labels": ["O", "B-" + "x" * 100_000], "taggers": {}}, "characters"),
        ({"hidden": "many"}, "hidden"),
        ({"layers": 3}, "weights"),
    ],
)
def test_an_absurd_configuration_is_named(folder: Path, fields: dict[str, Any], word: str) -> None:
    change(folder / "config.json", **fields)
    assert word in refused(folder)


@given(st.dictionaries(st.sampled_from(sorted(LIMITS)), st.integers(-3, 1 << 24) | st.just(None)))
def test_any_sizes_make_a_configuration_or_one_line(fields: dict[str, Any]) -> None:
    line = ""
    try:
        config = msgspec.json.decode(json.dumps(fields).encode(), type=HybridConfig)
    except msgspec.ValidationError as error:
        line = str(error)
    else:
        assert config.parameters < 1 << 32
    assert "\n" not in line
    assert len(line) < 500


NOT_FILES: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "huge": lambda path: _sparse(path, 9 << 30),
    "deep": lambda path: path.write_bytes(DEEP) and None,
    "not UTF-8": lambda path: path.write_bytes(b'{"labels": ["\xff\xfe"]}') and None,
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut": lambda path: path.write_bytes(b'{"labels": ["O"') and None,
    "list": lambda path: path.write_bytes(b"[]") and None,
}


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_no_such_file_is_refused(folder: Path, name: str, kind: str) -> None:
    (folder / name).unlink()
    NOT_FILES[kind](folder / name)
    refused(folder)


@pytest.mark.parametrize("kind", [kind for kind in NOT_FILES if kind != "huge"])
def test_a_calibration_that_is_no_such_file_is_refused(folder: Path, kind: str) -> None:
    NOT_FILES[kind](folder / "calibration.json")
    with pytest.raises(CalibrationError):
        read_calibration_file(folder, b"")


PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", PRECOMPILED),  # the library panics on it
        ("normalizer", {"type": "Sequence", "normalizers": [PRECOMPILED]}),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}),
        ("normalizer", "BertNormalizer"),
        ("pre_tokenizer", {"type": "Metaspace"}),
        ("post_processor", {"type": "Sequence", "processors": []}),
        ("decoder", {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}),
        ("model", None),
        ("model", {"type": "Unigram", "vocab": []}),
        ("model", {"type": "WordPiece", "vocab": {}}),
        ("model", {"type": "WordPiece", "vocab": []}),
        ("added_tokens", [{"id": 4_000_000_000, "content": "x"}]),
        ("added_tokens", 7),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(folder: Path, part: str, value: object) -> None:
    change(folder / "tokenizer.json", **{part: value})
    assert "tokenizer" in refused(folder)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"unk_token": "[NONE]"}, "NONE"),
        ({"max_input_chars_per_word": 1_000_000_000}, "max_input_chars_per_word"),
        ({"max_input_chars_per_word": -1}, "max_input_chars_per_word"),
    ],
)
def test_a_vocabulary_that_cannot_be_used_is_refused(folder: Path, fields: dict[str, Any], word: str) -> None:
    path = folder / "tokenizer.json"
    change(path, model=json.loads(path.read_bytes())["model"] | fields)
    assert word in refused(folder)


@pytest.mark.parametrize("number", [4_294_967_295, 1 << 70, -1, 1.5, None, 600])
def test_a_token_whose_id_has_no_row_is_refused(folder: Path, number: object) -> None:
    path = folder / "tokenizer.json"
    model = json.loads(path.read_bytes())["model"]
    change(path, model=model | {"vocab": model["vocab"] | {"stranger": number}})
    assert "tokenizer" in refused(folder)


@pytest.mark.parametrize("change", ["nan", "infinite", "int64", "bfloat16", "float64", "word.float16", "scale"])
def test_weights_that_are_no_numbers_of_ours_are_refused(folder: Path, change: str) -> None:
    stored = load_file(folder / "model.safetensors")
    name = {"word.float16": "word.int8", "scale": "word.scale"}.get(change, "head.weight")
    if change in ("nan", "infinite", "scale"):
        stored[name].view(-1)[0] = float("inf" if change == "infinite" else "nan")
    else:
        stored[name] = stored[name].to(getattr(torch, change.removeprefix("word.")))
    save_file(stored, folder / "model.safetensors")
    assert name in refused(folder) or change == "bfloat16"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    write_foreign(tmp_path / "foreign", "bert")
    read_original(tmp_path / "foreign")
    return tmp_path / "foreign"


@pytest.mark.parametrize(
    "fields",
    [
        {"num_hidden_layers": 10_000_000},
        {"hidden_size": 0},
        {"hidden_size": True},
        {"num_attention_heads": 0},
        {"vocab_size": -5},
        {"layer_norm_eps": "small"},
        {"layer_norm_eps": [1]},
        {"hidden_act": ["gelu"]},
        {"model_type": ["bert"]},
        {"model_type": "x" * 100_000},
        {"architectures": 3, "num_hidden_layers": 7},
        {"id2label": {"9" * 5000: "O"}},
        {"id2label": 7},
    ],
)
def test_a_foreign_configuration_is_refused_in_one_line(foreign: Path, fields: dict[str, Any]) -> None:
    change(foreign / "config.json", **fields)
    with pytest.raises((ImportRefused, ConfigError, TokenizerError)) as caught:
        read_original(foreign)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("kind", NOT_FILES)
def test_a_foreign_file_that_is_none_is_refused(foreign: Path, name: str, kind: str) -> None:
    (foreign / name).unlink()
    NOT_FILES[kind](foreign / name)
    with pytest.raises((ImportRefused, TokenizerError)) as caught:
        read_original(foreign)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", NOT_FILES)
def test_a_training_configuration_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    NOT_FILES[kind](tmp_path / "train.toml")
    with pytest.raises(ConfigError, match="training configuration"):
        read_train_config(tmp_path / "train.toml")


def test_a_deep_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="deep"):
        read_train_config(tmp_path / "train.toml")


@pytest.mark.parametrize("suffix", [".conll", ".jsonl"])
@pytest.mark.parametrize("kind", [kind for kind in NOT_FILES if kind != "folder"])
def test_training_data_that_is_none_is_refused(tmp_path: Path, suffix: str, kind: str) -> None:
    NOT_FILES[kind](tmp_path / f"train{suffix}")
    with pytest.raises(ConfigError) as caught:
        read_folder(tmp_path, 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".conll", b"x" * 100_000_000 + b"\tO\n\n"),
        (".jsonl", b'{"text": "' + b"x" * 100_000_000 + b'"}\n'),
        (".jsonl", b'{"text": "a", "spans": ' + b"[" * 300_000 + b"]" * 300_000 + b"}\n"),
        (".jsonl", b'{"text": "a", "spans": "' + b"x" * 1_000_000 + b'"}\n'),
    ],
)
def test_a_word_or_value_without_an_end_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"train{suffix}").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_folder(tmp_path, 1)
    assert len(str(caught.value)) < 1000


def test_many_spans_of_a_long_text_cost_no_square(tmp_path: Path) -> None:
    """Each span looks at its own words only: a square of these would be 4e10 steps."""
    words = 200_000
    spans = ",".join(f'[{2 * i},{2 * i + 1},"x"]' for i in range(words))
    (tmp_path / "train.jsonl").write_text('{"text": "' + "a " * words + f'", "spans": [{spans}]}}\n')
    with pytest.raises(ConfigError, match="needed"):  # one sequence, cut into 1,000, all of one document
        read_folder(tmp_path, 1)


def test_the_folder_of_the_first_test_is_really_read(folder: Path, tmp_path: Path) -> None:
    """What the cases above change is all that is wrong with them."""
    shutil.copytree(folder, tmp_path / "copy")
    assert load_checkpoint(str(tmp_path / "copy")).identity() == load_checkpoint(str(folder)).identity()
