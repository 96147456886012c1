"""The benchmark of labels: figures of each set, form and mode, and what it says when there is nothing to measure."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.labels import COLUMNS
from benchmarks.labels_peer import score_peer
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.train.config import TextSource
from encoder.train.data.text import LabelledCorpus, read_source
from encoder.train.run import make_pieces
from encoder.train.stages.dev_score import score_dev
from tests.tiny import LABELS, tiny_checkpoint

TEXTS = [
    ("we met ms rice", "O O O B-PER"),
    ("she went to Paris .", "O O O B-LOC O"),
    ("rice came back", "B-PER O O"),
] * 3
TABLE = """[[{part}]]
tagger = "names"
path = "{folder}/{name}/dev.conll"
labels = {{ PER = "person", LOC = "place" }}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        texts = [zip(text.split(), tags.split(), strict=True) for text, tags in TEXTS]
        lines = ["".join(f"{word}\t{tag}\n" for word, tag in text) for text in texts]
        (tmp_path / name).mkdir()
        (tmp_path / name / "dev.conll").write_text("# doc = d\n" + "\n".join(lines))
    parts = [("train", "first"), ("dev", "first"), ("dev", "second")]
    body = "".join(TABLE.format(part=part, folder=tmp_path, name=name) for part, name in parts)
    body += TABLE.format(part="dev", folder=tmp_path, name="first") + "spans_known = false\n"  # has scores only
    path = tmp_path / "c.toml"
    path.write_text(f'out = "x"\n[tagger]\nepochs = 1\n{body}')
    return path


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    taggers = {"names": LABELS, "acts": ("O", "B-act", "I-act")}
    made = tiny_checkpoint(labels=("O",), taggers=taggers, text_scores={"names": ("newsworthy",)})
    save_checkpoint(tmp_path / "tagger", made.config, made.weights, made.tokenizer)
    return tmp_path / "tagger"


def test_every_set_has_figures_of_each_form_and_mode(config: Path, tagger: Path, tmp_path: Path) -> None:
    assert main(["labels", "--config", str(config), "--tagger", str(tagger), "--out", str(tmp_path / "out")]) == 0
    (report,) = json.loads((tmp_path / "out" / "labels.json").read_bytes())
    assert report["tagger"] == "names"
    assert [(x["name"], x["texts"]) for x in report["sets"]] == [("first", 9), ("second", 9)]
    checkpoint = load_checkpoint(str(tagger)).single_head("names")
    source = TextSource(path=str(tmp_path / "first" / "dev.conll"), labels={"PER": "person", "LOC": "place"})
    rows = score_dev(
        checkpoint.dense_model(),
        make_pieces(checkpoint.tokenizer, checkpoint.config),
        LabelledCorpus((source,), [read_source(source)], (0,)),
    )
    wanted = {" ".join(row.name.split()[-2:]): pytest.approx(row.f1) for row in rows}
    assert report["sets"][0]["f1"] == wanted
    assert sorted(wanted) == sorted(COLUMNS)


def test_a_limit_and_names_of_sets_choose(config: Path, tagger: Path, tmp_path: Path) -> None:
    given = ["labels", "--config", str(config), "--tagger", str(tagger), "--sets", "second", "--limit", "2"]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    (report,) = json.loads((tmp_path / "out" / "labels.json").read_bytes())
    assert [(x["name"], x["texts"]) for x in report["sets"]] == [("second", 2)]


def test_nothing_to_measure_is_said(config: Path, tagger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "--config", str(config), "--tagger", str(tagger), "--sets", "third"]) == 2
    assert "has no [[dev]] for names, acts of that name" in " ".join(capsys.readouterr().err.split())
    assert main(["labels", "--config", str(config.with_name("missing.toml")), "--tagger", str(tagger)]) == 2


def test_a_peer_is_judged_by_the_same_words(config: Path) -> None:
    """A pipeline that finds "ms rice" and "Paris.", with a title and punctuation, and what is not judged."""

    def pipeline(text: str) -> SimpleNamespace:
        names = {"ms rice": "PERSON", "Paris .": "GPE", "paris": "GPE", "we": "CARDINAL", "came": "ORG"}
        places = [(text.find(name), name, label) for name, label in names.items()]
        ents = [
            SimpleNamespace(start_char=at, end_char=at + len(name), label_=label)
            for at, name, label in places
            if at >= 0
        ]
        return SimpleNamespace(ents=ents)

    path = str(config.parent / "first" / "dev.conll")
    source = TextSource(path=path, labels={"PER": "person", "LOC": "place"}, known=("person", "place"))
    for row in score_peer(pipeline, source, read_source(source)):
        assert row.gold == {"person": 6, "place": 3}
        assert row.right == row.found == {"person": 3, "place": 3}, row.name
        assert row.f1 == pytest.approx(80.0)


def test_a_peer_that_is_not_installed_is_said(config: Path, tagger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["labels", "--config", str(config), "--tagger", str(tagger), "--peer", "no_such_pipeline"]
    assert main(given) == 2
    assert "--peer no_such_pipeline" in " ".join(capsys.readouterr().err.split())
