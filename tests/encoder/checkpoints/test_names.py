"""What an operator calls a tagger is found, or is refused in words that say what there is."""

from pathlib import Path

import msgspec
import pytest

from encoder.checkpoints.location import CheckpointError
from encoder.checkpoints.names import HeadChoice, choose_taggers
from tests.tiny import tiny_config

ACTS = ("O", "B-act", "I-act")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped are "slots" and, over one trunk, "ner" and "claims"; "mine" is a folder elsewhere."""
    folder = tmp_path / "shipped"
    make(folder / "slots")
    make(folder / "speech", "ner", "claims")
    make(tmp_path / "mine", "ner", "other")
    make(tmp_path / "with:colon")
    monkeypatch.setattr("encoder.checkpoints.names.SHIPPED", folder)
    monkeypatch.setattr("encoder.checkpoints.location.SHIPPED", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def make(folder: Path, *heads: str) -> None:
    config = tiny_config(labels=("O",), taggers=dict.fromkeys(heads, ACTS)) if heads else tiny_config()
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(msgspec.json.encode(config))


def found(*names: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(choice.folder.name, choice.heads) for choice in choose_taggers(names)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("slots", ("slots", ("slots",))),
        ("slots:slots", ("slots", ("slots",))),
        ("ner", ("speech", ("ner",))),
        ("speech", ("speech", ("ner", "claims"))),
        ("speech:claims", ("speech", ("claims",))),
        ("mine", ("mine", ("ner", "other"))),
        ("mine:ner", ("mine", ("ner",))),
        ("./mine/:other", ("mine", ("other",))),
        ("with:colon", ("with:colon", ("with:colon",))),
        ("with:colon:with:colon", None),
    ],
)
def test_a_name_is_a_checkpoint_or_a_head(shipped: Path, name: str, meant: tuple[str, tuple[str, ...]] | None) -> None:
    if meant is None:
        with pytest.raises(CheckpointError):
            found(name)
    else:
        assert found(name) == [meant]


def test_heads_of_one_checkpoint_come_together_in_the_order_in_which_they_are_named(shipped: Path) -> None:
    assert found("claims", "slots", "speech:ner") == [("speech", ("claims", "ner")), ("slots", ("slots",))]
    assert found("mine:other", "../" + shipped.parent.name + "/mine:ner") == [("mine", ("other", "ner"))]
    assert choose_taggers(["slots"]) == [HeadChoice(shipped / "slots", ("slots",))]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["nowhere"], "none of the shipped ones (slots, speech with ner, claims), nor a folder"),
        (["speech:slots"], "speech has no head 'slots'; it has ner, claims"),
        (["nowhere:ner"], "'nowhere:ner' is none"),
        (["ner", "ner"], "'ner' is named twice"),
        (["slots", "speech", "claims"], "speech and claims both have a tagger 'claims'"),
        (["ner", "mine:ner"], "ner and mine:ner both have a tagger 'ner'"),
    ],
)
def test_what_is_not_there_or_there_twice_is_refused(shipped: Path, names: list[str], words: str) -> None:
    with pytest.raises(CheckpointError) as refused:
        choose_taggers(names)
    assert words in str(refused.value)


def test_a_head_that_two_shipped_checkpoints_have_must_be_named_with_its_checkpoint(shipped: Path) -> None:
    make(shipped / "more", "claims")
    with pytest.raises(CheckpointError, match="say more:claims or speech:claims"):
        choose_taggers(["claims"])
    assert found("more:claims") == [("more", ("claims",))]
