"""Measures of redaction on a chart that was worked out by hand, and the command."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.redaction_measures import FinalScore, LabelledText, ReleaseScore, Update

SPOKEN = LabelledText("ring her on two six six nine then", [(12, 28, "phone")])
HYPOTHESES = (
    ("ring her on to", ()),
    ("ring her on two six", ()),
    ("ring her on two six six nine", ((12, 28),)),
    ("ring her on two six six nine then", ((16, 28),)),
    ("ring her on two six six nine then", ((12, 28),)),
)


def release(delay: int) -> dict[str, float]:
    score = ReleaseScore(delay)
    score.add(SPOKEN, [Update(text, covered, range(len(text.split()))) for text, covered in HYPOTHESES])
    return score.figures()


@pytest.mark.parametrize(
    ("delay", "leak", "mean"),
    [(0, 6 / 13, 7 / 8), (1, 3 / 13, 11 / 8), (2, 0, 15 / 8)],
)
def test_words_leak_as_they_were_when_they_went_out(delay: int, leak: float, mean: float):
    figures = release(delay)
    assert figures["leak"] == pytest.approx(100 * leak)
    assert figures["mean delay"] == pytest.approx(mean)


def test_text_goes_out_as_far_as_it_is_settled():
    score = ReleaseScore(None)
    score.add(SPOKEN, [Update(text, covered, range(len(text.split())), settled=11) for text, covered in HYPOTHESES])
    assert score.figures()["leak"] == 0
    assert score.figures()["mean delay"] == pytest.approx((3 + 2 + 1 + 4 + 3 + 2 + 1) / 8)


def test_a_final_that_is_written_otherwise_counts_by_spans():
    score = ReleaseScore(4)
    updates = [Update(text, covered, range(len(text.split()))) for text, covered in HYPOTHESES[:2]]
    score.add(SPOKEN, [*updates, Update("Ring her on 2669, then.", ((12, 14),), None, gold=((12, 16),))])
    assert score.figures()["leak"] == pytest.approx(50)


def test_final_texts_are_counted_in_characters_words_and_spans():
    score = FinalScore()
    score.add(LabelledText("ask 2669 uh 71 now", [(4, 14, "phone")], [(9, 11)]), [(4, 8, "phone"), (15, 18, "url")])
    score.add(LabelledText("nothing here", []), [])
    figures = score.figures()
    assert figures["char recall"] == pytest.approx(100 * 4 / 6)
    assert figures["plain words covered"] == pytest.approx(100 / 4)
    assert figures["texts with a leak"] == 100
    assert figures["exact F1"] == 0
    assert figures["spans per 1,000"] == 0
    assert score.recall() == {"phone": pytest.approx(100 * 4 / 6)}


def test_the_command_measures_the_rules_on_a_file_and_on_generated_talk(tmp_path: Path):
    rows = [
        {"text": "Mail jo@x.org or ring 212 555 0186.", "spans": [[5, 13, "EMAIL_ADDRESS"], [22, 34, "PHONE_NUMBER"]]},
        {"text": "Nothing of that kind.", "spans": []},
    ]
    data = tmp_path / "set.jsonl"
    data.write_text("\n".join(json.dumps(x) for x in rows))
    arguments = ["redaction", "--data", str(data), "--data", "generated:0/5", "--limit", "20", "--out", str(tmp_path)]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "redaction.json").read_bytes())
    first, *others = report["ways"]["rules"]
    assert (first["data"], first["texts"], first["figures"]["exact F1"]) == ("set", 2, 100)
    assert others
    assert any(x["release"] for x in others)


def test_a_set_that_cannot_be_read_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bad.jsonl").write_text("{}")
    assert main(["redaction", "--data", str(tmp_path / "bad.jsonl")]) == 2
    assert "not a set of texts with spans" in capsys.readouterr().err
