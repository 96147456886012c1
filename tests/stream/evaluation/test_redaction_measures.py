"""Measures of redaction on a chart that was worked out by hand, and the command that measures an engine."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from consumers.cli.main import main
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.model.config import ConfigError
from stream.evaluation.plots.redaction import plot_redaction
from stream.evaluation.redaction.measures import (
    FinalScore,
    GoldText,
    HeardText,
    ReleaseScore,
    RepaintScore,
    join_addresses,
)
from stream.evaluation.redaction.redaction_report import RedactionReport
from stream.evaluation.redaction.samples import read_samples
from stream.evaluation.redaction.talk import hear_turn, spoken_dialogues
from tests.tiny import tiny_checkpoint

SPOKEN = GoldText("ring her on two six six nine then", [(12, 28, "phone")])
HYPOTHESES = (
    ("ring her on to", ()),
    ("ring her on two six", ()),
    ("ring her on two six six nine", ((12, 28),)),
    ("ring her on two six six nine then", ((16, 28),)),
    ("ring her on two six six nine then", ((12, 28),)),
)


def release(delay: float) -> dict[str, float]:
    score = ReleaseScore(delay)
    score.add(SPOKEN, [HeardText(text, covered, range(len(text.split()))) for text, covered in HYPOTHESES])
    return score.figures()


@pytest.mark.parametrize(
    ("delay", "leak", "mean"),
    [(0, 6 / 13, 7 / 8), (1, 3 / 13, 11 / 8), (2, 0, 15 / 8)],
)
def test_words_leak_as_they_were_when_they_went_out(delay: int, leak: float, mean: float):
    figures = release(delay)
    assert figures["leak"] == pytest.approx(100 * leak)
    assert figures["mean delay"] == pytest.approx(mean)


def test_held_to_the_final_a_word_waits_for_the_last_one():
    assert release(float("inf"))["leak"] == 0
    assert release(float("inf"))["mean delay"] == pytest.approx(28 / 8)


def test_a_screen_shows_what_was_clear_at_first_and_what_came_and_went():
    score = RepaintScore()
    score.add(SPOKEN, [HeardText(text, covered, range(len(text.split()))) for text, covered in HYPOTHESES])
    assert score.figures() == pytest.approx(
        {
            "first sight": 100 * 6 / 13,
            "ever in clear": 100 * 6 / 13,
            "flips": 100 * 4 / 8,
            "flips of PII words": 100 * 4 / 4,
            "came and went": 100 * 1 / 4,
        }
    )


def test_text_goes_out_as_far_as_it_is_settled():
    score = ReleaseScore(None)
    score.add(SPOKEN, [HeardText(text, covered, range(len(text.split())), settled=11) for text, covered in HYPOTHESES])
    assert score.figures()["leak"] == 0
    assert score.figures()["mean delay"] == pytest.approx((3 + 2 + 1 + 4 + 3 + 2 + 1) / 8)


def test_a_final_that_is_written_otherwise_counts_by_spans():
    score = ReleaseScore(4)
    updates = [HeardText(text, covered, range(len(text.split()))) for text, covered in HYPOTHESES[:2]]
    score.add(SPOKEN, [*updates, HeardText("Ring her on 2669, then.", ((12, 14),), None, gold=((12, 16),))])
    assert score.figures()["leak"] == pytest.approx(50)


def test_final_texts_are_counted_in_characters_words_and_spans():
    score = FinalScore()
    score.add(GoldText("ask 2669 uh 71 now", [(4, 14, "phone")], [(9, 11)]), [(4, 8, "phone"), (15, 18, "url")])
    score.add(GoldText("nothing here", []), [])
    figures = score.figures()
    assert figures["char recall"] == pytest.approx(100 * 4 / 6)
    assert figures["plain words covered"] == pytest.approx(100 / 4)
    assert figures["texts with a leak"] == 100
    assert figures["exact F1"] == 0
    assert figures["spans per 1,000"] == 0
    assert score.recall() == {"phone": pytest.approx(100 * 4 / 6)}


def test_an_address_counts_the_same_in_one_span_and_in_parts():
    text = "To Ann\n12 Low Lane\n Flat 3\n Oslo, 0150\nbefore noon, 4 Elm Row"
    parts = [(3, 6, "person"), (7, 18, "address"), (20, 26, "address"), (28, 32, "place"), (34, 38, "postcode")]
    whole = [(3, 6, "person"), (7, 38, "address")]
    last = (52, 61, "address")  # words stand before it
    assert join_addresses(text, [*parts, last]) == [*whole, last]
    assert join_addresses(text, parts[3:4]) == parts[3:4]
    for gold, found in ((parts, whole), (whole, parts)):
        score = FinalScore()
        score.add(GoldText(text, [*gold, last]), [*found, last])
        assert score.figures()["F1, addresses joined"] == 100
        assert score.figures()["exact F1"] < 70
    score = FinalScore()
    score.add(GoldText(text, parts), [(3, 6, "person"), (7, 32, "address")])
    assert score.figures()["F1, addresses joined"] == 50


ROWS = [
    {"text": "Mail jo@x.org or ring 212 555 0186.", "spans": [[5, 13, "EMAIL_ADDRESS"], [22, 34, "PHONE_NUMBER"]]},
    {
        "spoken": "my pin is four two six six one nine",
        "spoken_spans": [[10, 35, "account"]],
        "spoken_fill": [],
        "written": "My pin is 426619.",
        "written_spans": [[10, 16, "account"]],
        "events": [
            {"text": "my pin is for", "src": [0, 1, 2, 3], "spans": [[10, 13, "account"]]},
            {"text": "my pin is four two six", "src": [0, 1, 2, 3, 4, 5], "spans": [[10, 22, "account"]]},
            {"text": "My pin is 426619.", "src": None, "spans": [[10, 16, "account"]]},
        ],
    },
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def test_the_command_measures_an_engine(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    given = ["evaluate", "--redaction", "--tagger", str(tmp_path / "tiny"), "--data", str(data), "--presidio"]
    assert main([*given, "--settled-threshold", "1", "--out", str(tmp_path)]) == 0
    assert "goes out live" in capsys.readouterr().out
    report = msgspec.json.decode((tmp_path / "redaction.json").read_bytes(), type=RedactionReport)
    assert "presidio_analyzer" in report.missing.get("presidio", "presidio_analyzer")
    forms = {x.form: x for x in report.sets[0].forms}
    assert list(forms) == ["text", "written", "words, interims", "all spoken"]
    assert forms["text"].final["rules"]["char recall"] == 100
    assert not forms["written"].release
    live = forms["words, interims"]
    assert live.release["hearken"]["settled"]["leak"] == 0
    assert live.release["hearken"]["final"]["mean delay"] == pytest.approx(35 / 9, abs=0.2)
    assert set(live.leak_by_label["settled"]) == {"account"}
    plot_redaction(report, tmp_path / "again.png")
    assert (tmp_path / "again.png").stat().st_size > 1000
    assert main(["evaluate", "--redaction", "--data", str(data), "--join", "3"]) == 2


@pytest.mark.parametrize("name", ["missing.jsonl", "generated:9", "generated:9/5", "wrong.jsonl"])
def test_a_set_that_cannot_be_read_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("wrong.jsonl").write_text('{"text": 3}')
    with pytest.raises(ConfigError):
        read_samples(name, None)


def test_labels_of_words_are_spans_of_a_text(tmp_path: Path):
    path = tmp_path / "x.conll"
    path.write_text("ask\tO\njo\tB-person\nlee\tI-person\nnow\tO\n")
    (sample,) = read_samples(str(path), None)
    assert sample.text == GoldText("ask jo lee now", [(4, 10, "person")])
    assert [x.text for x in sample.updates] == ["ask", "ask jo", "ask jo lee", "ask jo lee now"]


def test_made_up_calls_are_heard_in_parts_and_end_as_they_were_said():
    misheard = 0
    for dialogue in spoken_dialogues(20, "1/5"):
        for turn in dialogue.turns:
            heard = hear_turn(turn, random.Random(1))
            assert heard[-1].text == turn.text
            for x in heard:
                assert len(x.text.split()) == len(x.words)
                misheard += not turn.text.startswith(x.text)
    assert misheard
