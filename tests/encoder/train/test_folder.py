"""A folder of data: who is what, how dev is split off, what is refused, and what is written for the run."""

import re

import msgspec
import pytest

from encoder.model.config import ConfigError
from encoder.train.config import TextSource, read_train_config
from encoder.train.data.folder import LONGEST, count_spans, read_folder
from encoder.train.data.sequence import holdout_position
from encoder.train.data.text import read_source
from encoder.train.recipe import TrainRecipe, write_run

RECIPE = TrainRecipe(start="ner")


def rows(count, first=0, document=None):
    """Sequences that all differ; one of two has a place."""
    head = f"# doc = {document}\n" if document else ""
    return "".join(
        f"{head}in\tO\nrome\t{'B-place' if i % 2 else 'O'}\nw{i}\tO\n\n" for i in range(first, first + count)
    )


def fill(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def words_of(sequences):
    return {x.words for x in sequences}


def test_roles_are_names(tmp_path):
    fill(tmp_path, a__conll=rows(30), b__conll=rows(30, 100), dev__conll=rows(12, 200), test__conll=rows(5, 300))
    (tmp_path / "valid-2.jsonl").write_text('{"text": "in rome", "spans": [[3, 7, "place"]]}\n')
    (tmp_path / "notes.md").write_text("# mine")
    corpus = read_folder(tmp_path, 1)
    assert {role: len(x) for role, x in corpus.parts.items()} == {"train": 60, "dev": 13, "test": 5}
    assert corpus.files == {
        "train": ("a.conll", "b.conll"), "dev": ("dev.conll", "valid-2.jsonl"), "test": ("test.conll",)
    }  # fmt: skip
    assert corpus.labels == ("place",)
    assert corpus.notes == ()


def test_a_split_is_seeded_disjoint_and_complete(tmp_path):
    fill(tmp_path, a__conll=rows(200) + rows(20))  # twenty occur twice
    corpora = [read_folder(tmp_path, seed) for seed in (1, 1, 2)]
    train, dev = (words_of(corpora[0].parts[role]) for role in ("train", "dev"))
    assert not train & dev
    assert len(corpora[0].parts["train"]) + len(corpora[0].parts["dev"]) == 220
    assert len(corpora[0].parts["dev"]) == pytest.approx(0.3 * 220, abs=2)
    assert corpora[0] == corpora[1]
    assert corpora[0].parts != corpora[2].parts
    assert "held back as dev (seed 1)" in corpora[0].notes[0]


def test_what_is_left_can_be_held_back_and_folded(tmp_path):
    """Dev is not taken from one end of the places by which the stability stage parts the rest."""
    fill(tmp_path, a__conll=rows(1000))
    places = [holdout_position(x, 1) for x in read_folder(tmp_path, 1).parts["train"]]
    assert sum(place < 0.1 for place in places) == pytest.approx(70, abs=30)
    assert sum(place < 0.5 for place in places) == pytest.approx(350, abs=60)


def test_documents_are_split_whole(tmp_path):
    fill(tmp_path, a__conll="".join(rows(10, 10 * i, f"d{i}") for i in range(20)))
    corpus = read_folder(tmp_path, 1)
    documents = [{x.document for x in corpus.parts[role]} for role in ("train", "dev")]
    assert not documents[0] & documents[1]
    assert len(documents[1]) == 6
    assert corpus.has_documents


def test_of_few_documents_sequences_are_split(tmp_path):
    fill(tmp_path, a__conll=rows(100, 0, "one") + rows(100, 100, "two"))
    corpus = read_folder(tmp_path, 1)
    assert len(corpus.parts["dev"]) == 60
    assert "there are only 2" in corpus.notes[0]


def test_a_split_leaves_every_label_to_train(tmp_path):
    for number in range(8):
        fill(tmp_path, a__conll=rows(100, 100 * number) + f"rare\tB-x{number}\n")
        assert count_spans(read_folder(tmp_path, number).parts["train"])[f"x{number}"] == 1


def test_long_texts_are_cut_outside_spans(tmp_path):
    long = (
        ["so\tO\n"] * (LONGEST - 1)
        + ["new\tB-place\n", "york\tI-place\n"]
        + ["so\tO\n"] * 150
        + [".\tO\n", "a\tO\n"] * 60
    )
    fill(tmp_path, a__conll="".join(long) + "\n" + rows(50), dev__conll=rows(12, 200))
    corpus = read_folder(tmp_path, 1)
    pieces = [x for x in corpus.parts["train"] if x.document]
    assert [word for x in pieces for word in x.words] == [line.split("\t")[0] for line in long]
    assert all(len(x.words) <= LONGEST and not x.tags[0].startswith("I-") for x in pieces)
    assert len(pieces[0].words) == LONGEST - 1  # before the span that it would have cut
    assert pieces[1].words[-1] == "."
    assert corpus.has_documents


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no .conll or .jsonl file"),
        ({"data__tsv": "a\tO\n"}, "if data.tsv has columns or JSON lines, rename it"),
        ({"a__conll": "\n\n"}, "a.conll is empty"),
        ({"a__jsonl": ""}, "a.jsonl is empty"),
        ({"dev__conll": rows(50)}, "nothing to train on"),
        ({"a__conll": rows(30), "dev__conll": rows(12)}, "30 sequences for train, at least 40 are needed"),
        ({"a__conll": rows(50), "dev__conll": rows(6)}, "6 sequences for dev, at least 10 are needed"),
        ({"a__conll": rows(50)}, "sequences for train, at least 40 are needed"),
        ({"a__conll": rows(50), "dev__conll": rows(12) + "x\tB-y\n"}, "label 'y' occurs in dev only"),
        ({"a__conll": rows(50), "dev__conll": rows(12), "test__conll": "x\tB-y\n"}, "label 'y' occurs in test only"),
        ({"a__conll": "a\tO\n\n" * 80}, "no word of the training data is labelled"),
        ({"a__conll": rows(50), "dev__conll": "a\tO\n\n" * 12}, "no word of dev is labelled"),
    ],
)
def test_what_is_refused(tmp_path, files, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_folder(fill(tmp_path, **files), 1)


def test_doubts_are_told(tmp_path):
    fill(tmp_path, a__conll=rows(50) + "x\tB-y\n", dev__conll=rows(12), test__conll=rows(3, 90))
    notes = read_folder(tmp_path, 1).notes
    assert "12 sequences of dev are trained on as well: figures will be too good" in notes
    assert "dev has no y: how well that is found stays unknown" in notes


def test_what_is_written_reads_back_the_same(tmp_path):
    fill(tmp_path, a__conll=rows(60, 0, "d") + rows(20, 60), dev__conll=rows(12, 200))
    corpus, out = read_folder(tmp_path, 1), tmp_path / 'a "b"'
    config = write_run(corpus, RECIPE, out)
    assert config == read_train_config(out / "train.toml") == write_run(corpus, RECIPE, out)
    for role, sources in (("train", config.train), ("dev", config.dev)):
        assert read_source(sources[0]) == list(corpus.parts[role])
    assert (config.start, config.seed, config.stability.folds) == ("ner", 1, 2)
    assert config.stability.fold_epochs == 2 * config.tagger.epochs  # of half the data: as many steps
    assert config.tagger.augment.unpunctuated == 0.5
    assert config.tagger.augment.join  # there are neighbours
    assert not list(out.rglob("*.new"))


@pytest.mark.parametrize("change", [{"epochs": 3.0}, {"seed": 2}, {"written": True}, {"start": "minilm"}])
def test_another_run_is_not_written_over(tmp_path, change):
    fill(tmp_path, a__conll=rows(60), dev__conll=rows(12, 200))
    corpus = read_folder(tmp_path, 1)
    write_run(corpus, RECIPE, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"train\.toml differs.*another --out"):
        write_run(corpus, msgspec.structs.replace(RECIPE, **change), tmp_path / "out")


def test_other_data_is_not_written_over(tmp_path):
    fill(tmp_path, a__conll=rows(60), dev__conll=rows(12, 200))
    write_run(read_folder(tmp_path, 1), RECIPE, tmp_path / "out")
    fill(tmp_path, a__conll=rows(61))
    with pytest.raises(ConfigError, match=r"train\.conll differs"):
        write_run(read_folder(tmp_path, 1), RECIPE, tmp_path / "out")


def test_little_data_is_shown_more_often(tmp_path):
    shown = []
    for count in (60, 30_000, 90_000):
        fill(tmp_path, a__conll=rows(count), dev__conll=rows(12, 200))
        config = write_run(read_folder(tmp_path, 1), RECIPE, tmp_path / str(count))
        shown.append((config.tagger.epochs, config.tagger.batch_tokens, config.stability.folds))
    assert shown == [(20, 256, 2), (7, 512, 2), (4, 1024, 0)]
    assert read_source(TextSource(path=str(tmp_path / "60" / "data" / "dev.conll")))
