"""`hearken train FOLDER` with labels of whole texts, alone and beside spans; and what is refused."""

from pathlib import Path

import msgspec
import pytest

from consumers.training.pipeline import TrainingOrder, train_folder
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.model.config import ConfigError
from encoder.train.data.folder import LONGEST, read_folder
from encoder.train.recipe import TrainRecipe, write_run
from encoder.train.run import read_labelled
from tests.tiny import tiny_checkpoint


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def rows(count: int, **more: object) -> list[dict[str, object]]:
    return [
        {"text": f"met {'paris' if i % 2 else 'rice'} w{i}", "labels": {"urgent": i % 2, "sent twice": True}, **more}
        | ({} if i % 5 else {"labels": {"urgent": bool(i % 2), "sent twice": 0}})
        for i in range(count)
    ]


@pytest.fixture
def start(tmp_path: Path) -> str:
    made = tiny_checkpoint()
    save_checkpoint(tmp_path / "start", made.config, made.weights, made.tokenizer)
    return str(tmp_path / "start")


def test_a_folder_of_labels_of_whole_texts_becomes_a_tagger_that_scores(tmp_path: Path, start: str) -> None:
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "a.jsonl", rows(80))
    write_rows(tmp_path / "mine" / "test.jsonl", rows(20))
    recipe = TrainRecipe(start=start, epochs=12)
    order = TrainingOrder(tmp_path / "mine", tmp_path / "out", recipe, None, 0.05, "hearken train mine")
    checkpoint = load_checkpoint(str(train_folder(order)))
    assert checkpoint.config.text_scores == {"": ("urgent", "sent_twice")}
    assert checkpoint.config.labels == ("O",)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Scores live texts as a whole, while they grow: `urgent`, `sent_twice`." in card
    row = next(line for line in card.splitlines() if line.startswith("| urgent |"))
    assert row.split(" | ")[1:3] == ["20", "10"]
    assert "## Stability" not in card
    assert train_folder(order) == tmp_path / "out"


def test_spans_and_labels_of_whole_texts_are_read_together(tmp_path: Path, start: str) -> None:
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "a.jsonl", rows(90, spans=[[0, 3, "verb"]]))
    corpus = read_folder(tmp_path / "mine", 1)
    assert (corpus.labels, corpus.text_labels) == (("verb",), ("urgent", "sent_twice"))
    config = write_run(corpus, TrainRecipe(start=start), tmp_path / "out")
    (again,) = read_labelled(config, config.train).sequences
    assert [(x.words, x.tags, x.scores) for x in again] == [(x.words, x.tags, x.scores) for x in corpus.parts["train"]]
    assert all(x.scores and x.tags[0] == "B-verb" for x in again)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"urgent": 2}, "line 1: label 'urgent' of the text must be a number from 0 to 1, or true or false, not 2"),
        ({"urgent": "yes"}, "line 1: label 'urgent' of the text must be a number"),
        ({" ": 1}, "needs a name"),
        ({"urgent": 1}, "'urgent' of whole texts is at least .5 in all 42 texts"),
    ],
)
def test_labels_that_teach_nothing_are_refused(tmp_path: Path, labels: dict[str, object], told: str) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": f"met w{i}", "labels": labels} for i in range(60)])
    with pytest.raises(ConfigError, match=told):
        read_folder(tmp_path, 1)


def test_a_label_of_dev_alone_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", rows(60))
    write_rows(tmp_path / "dev.jsonl", [{"text": "met", "labels": {"new": 1}}] * 12)
    with pytest.raises(ConfigError, match="'new' of whole texts occurs in dev only"):
        read_folder(tmp_path, 1)


def test_a_rare_value_is_kept_to_train_on(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": f"met w{i}", "labels": {"rare": i == 7}} for i in range(60)])
    corpus = read_folder(tmp_path, 1)
    assert any(x.scores == (("rare", 1.0),) for x in corpus.parts["train"])


def test_a_text_that_is_cut_loses_its_labels_and_the_note_counts_it(tmp_path: Path) -> None:
    long = {"text": "word " * (LONGEST + 50), "labels": {"urgent": 1}}
    write_rows(tmp_path / "a.jsonl", [*rows(60), long])
    corpus = read_folder(tmp_path, 1)
    assert any("1 of them lose their labels of the whole text" in note for note in corpus.notes)
