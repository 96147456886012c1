"""The benchmark of moderation: chats, figures of a labeller whose labels are known, and the command."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.moderation import run
from benchmarks.moderation.labelling import CHAT, MessageVerdict, make_chats
from benchmarks.moderation.run import ModerationReport, run_moderation
from benchmarks.moderation.sets import read_pairs, read_talk, read_texts
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.model.config import ConfigError
from tests.tiny import tiny_checkpoint

RUDE = re.compile(r"fuck|shit|idiot", re.IGNORECASE)
SPAN_COMMENTS = [("what an idiot", [[8, 13, "TOXIC"]]), ("you fool", [[4, 8, "TOXIC"]]), ("fine by me", [])]
COMMENTS = [("this is shit", "toxic"), ("you idiot", "toxic"), ("you fool", "toxic"), ("thank you", "not_toxic")]


def judge(text: str, place: int, *, with_scores: bool) -> MessageVerdict:
    """Finds some rude words, but not at places after 25."""
    found = [x.span() for x in RUDE.finditer(text)] if place <= 25 else []
    score = 0.9 if found else 0.2
    return MessageVerdict(tuple(found), score, score if with_scores else None)


@pytest.fixture(params=[True, False], ids=["with text scores", "spans alone"])
def with_scores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    def judge_chats(_: str, chats: Sequence[Sequence[str]]) -> list[list[MessageVerdict]]:
        return [[judge(x, place, with_scores=request.param) for place, x in enumerate(chat, 1)] for chat in chats]

    monkeypatch.setattr(run, "label_chats", judge_chats)
    return bool(request.param)


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "toxic_spans_semeval21/dev.jsonl", [{"text": t, "spans": s} for t, s in SPAN_COMMENTS])
    write_rows(tmp_path / "own/dev.jsonl", [{"text": text, "label": label} for text, label in COMMENTS])
    (tmp_path / "stream_irc_ubuntu/dev").mkdir(parents=True)
    lines = [
        "[10:01] <ann> oh shit, wrong window",
        "=== bob has joined",
        "[10:02] <bob> kill the parent",
        "[10:02] <bob> ok",
    ]
    (tmp_path / "stream_irc_ubuntu/dev/a.raw.txt").write_text("\n".join(lines))
    return tmp_path


def measure(data: Path, limit: int = 1000) -> ModerationReport:
    return run_moderation("x", data, ["own", "other"], limit, 1, lambda *_: None)


def test_figures_are_those_of_the_labels(data: Path, with_scores: bool) -> None:
    report = measure(data)
    rates = {(x.name, x.mode): x for x in report.flagged}
    hateful = [bool(RUDE.search(x.text)) for x in read_texts("hateful") if x.swear]
    row = rates["hateful, swear word", "alone"]
    assert row.texts == 150
    assert row.span == pytest.approx(100 * sum(hateful) / 150)
    assert row.score == (row.span if with_scores else None)
    assert row.rude
    assert rates["hateful, no swear word", "alone"].span == 0
    assert rates["Ubuntu IRC", "alone"].span == 50
    assert 0 < rates["hateful, swear word", "chat"].span < row.span
    assert {x.name for x in report.flagged if not x.rude} >= {f"pairs, {x.kind}" for x in read_pairs()}
    assert report.characters["alone"] == pytest.approx(100 * (1 + 0 + 1) / 3)
    (comments,) = report.comments
    assert (comments.name, comments.texts) == ("own", 4)
    assert comments.auc == pytest.approx(100 * (1 + 1 + 0.5) / 3)
    missing = ("stream_meetings_qmsum", "stream_switchboard_increco", "other/dev.jsonl")
    assert report.absent == [str(data / x) for x in missing]


@pytest.mark.usefixtures("with_scores")
def test_contrasts_compare_the_sides_of_each_kind(data: Path) -> None:
    rows = {(x.name, x.mode): x for x in measure(data).contrast}
    for kind, count in Counter(x.kind for x in read_pairs()).items():
        found = [[bool(RUDE.search(text)) for text in (x.harmless, x.hateful)] for x in read_pairs() if x.kind == kind]
        row = rows[kind, "alone"]
        assert row.texts == 2 * count
        assert row.ordered == pytest.approx(100 * sum(b > a for a, b in found) / count)
        above = sum((b > a) + (b == a) / 2 for _, b in found for a, _ in found)
        assert row.auc == pytest.approx(100 * above / count**2)
    assert rows["all pairs", "chat"].texts == 2 * len(read_pairs())


@pytest.mark.usefixtures("with_scores")
def test_recall_by_place_is_beside_that_of_the_same_messages_alone(data: Path) -> None:
    rows = {x.places: x for x in measure(data).places}
    assert list(rows) == ["1", "2-5", "6-25", "26-50"]
    assert all(rows[x].span == rows[x].span_alone > 0 for x in ("1", "2-5", "6-25"))
    assert rows["26-50"].span == 0 < rows["26-50"].span_alone
    assert rows["1"].messages == sum(len(read_texts(x)) for x in ("hateful", "rude_chat")) + len(read_pairs())


@pytest.mark.usefixtures("with_scores")
def test_a_limit_takes_texts_from_all_of_a_set(data: Path) -> None:
    assert {x.texts for x in measure(data, 4).flagged} == {4, 2}


@given(rude=st.integers(1, 60), clean=st.integers(1, 200), seed=st.integers(0, 99))
def test_every_message_has_a_place_and_a_quarter_are_rude(rude: int, clean: int, seed: int) -> None:
    chats = make_chats(rude, clean, seed)
    assert chats == make_chats(rude, clean, seed)
    for side, count in ((True, rude), (False, clean)):
        times = Counter(x.number for chat in chats for x in chat if x.rude is side)
        assert set(times) == set(range(count))
        assert max(times.values()) - min(times.values()) <= 1
    for chat in chats:
        assert [x.place for x in chat] == list(range(1, CHAT + 1))
        assert sum(x.rude for x in chat) == round(CHAT / 4)


def test_talk_is_read_from_all_files_and_without_marks(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": f"so {{vocalsound}} number {i}"} for i in range(9)])
    write_rows(tmp_path / "b/d.jsonl", [{"text": "not yet final", "is_final": False}])
    write_rows(tmp_path / "b/c.jsonl", [{"text": "{disfmarker} yeah"}, {"text": "two words"}])
    assert read_talk(tmp_path, 6) == ["so number 0", "so number 4", "two words"]
    assert read_talk(tmp_path / "missing", 4) == []


def test_comments_that_are_none_are_said(data: Path, with_scores: bool) -> None:
    write_rows(data / "own/dev.jsonl", [{"text": "a", "label": "rude"}])
    with pytest.raises(ConfigError, match=r"every `label` must be toxic or not_toxic, found \['rude'\]"):
        measure(data, 2)


def test_the_command_labels_with_hearken_tag(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tiny_checkpoint()
    made.weights["head.bias"][1] += 9.0  # nearly every word has a label
    save_checkpoint(tmp_path / "t", made.config, made.weights, made.tokenizer)
    given = ["moderation", "--tagger", str(tmp_path / "t"), "--data", str(data), "--comments", "own", "--limit", "3"]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "moderation.json").read_bytes())
    assert all(x["span"] > 50 for x in report["flagged"])
    shown = capsys.readouterr()
    assert "harmless about groups" in shown.out
    assert f"not measured: {data / 'stream_meetings_qmsum'} is missing" in shown.err


def test_a_tagger_that_cannot_be_read_is_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["moderation", "--tagger", str(data / "none"), "--data", str(data), "--limit", "1"]) != 0
    assert "hearken tag ended with" in " ".join(capsys.readouterr().err.split())
