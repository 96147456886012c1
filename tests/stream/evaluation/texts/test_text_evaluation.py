"""The whole evaluation of texts, with a checkpoint of random weights."""

import json

import pytest

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.restart.policies import Always
from encoder.restart.policy_text import PolicyError
from encoder.tagger import load_tagger
from stream.engine.engine import Engine
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.rows import read_rows
from stream.evaluation.texts.text_evaluation import TextTask, run_text_evaluation
from stream.evaluation.texts.text_replay import replay_alone
from stream.messages.types import Update
from stream.revisions.emission import EmissionError
from tests.tiny import WORDS, tiny_checkpoint

ROWS = [
    {"text": " ".join(WORDS[i : i + 2 + i % 5]), "labels": {"who": i % 2, "place": int(i % 3 == 0)}, "session": i % 4}
    | ({"spans": [[0, len(WORDS[i]), "who"]]} if i % 2 else {})
    for i in range(14)
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    made = tiny_checkpoint()
    save_checkpoint(folder, made.config, made.weights, made.tokenizer)
    return str(folder)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    return path


def test_every_policy_and_level_is_measured_and_the_close_depends_on_neither(tiny, data):
    task = TextTask(
        data=data, taggers=(tiny,), rename={"who": "person"}, policies=("never", "always"), stability=("low", "high"),
        chat=8, sessions=True, number_format="float32",
    )  # fmt: skip
    report = run_text_evaluation(task, "the command")
    assert (report.rows, report.chat, report.sessions, report.marked, report.command) == (
        14,
        8,
        True,
        True,
        "the command",
    )
    assert [(x.policy, x.emission) for x in report.results] == [
        ("never", "low"), ("never", "high"), ("always", "low"), ("always", "high")
    ]  # fmt: skip
    first = report.results[0]
    assert [(x.label, x.source, x.rows, x.positives) for x in first.labels] == [
        ("person", "spans", 14, 7), ("place", "spans", 14, 5)
    ]  # fmt: skip
    for result in report.results[1:]:
        for mine, other in zip(result.labels, first.labels, strict=True):
            assert (mine.auc, mine.recall, mine.places) == (other.auc, other.recall, other.places)
        assert result.spans.places == first.spans.places
    assert first.spans.places[0].rows == 7
    assert first.spans.moments.count > 0
    places = [(x.setting, x.place) for x in first.labels[0].places]
    assert places == [("alone", "1"), ("chat", "all"), ("chat", "2-5"), ("chat", "6-8"), ("session", "all"),
                      ("session", "1"), ("session", "2-4")]  # fmt: skip


def test_a_tagger_of_text_scores_alone_is_measured_by_them(tmp_path, data):
    made = tiny_checkpoint(labels=("O",), text_scores={"": ("person", "place")})
    save_checkpoint(tmp_path / "scores", made.config, made.weights, made.tokenizer)
    task = TextTask(data=data, taggers=(str(tmp_path / "scores"),), rename={"who": "person"}, threshold=0.6, chat=3)
    [result] = run_text_evaluation(task).results
    assert [(x.label, x.source, x.threshold) for x in result.labels] == [
        ("person", "scores", 0.6), ("place", "scores", 0.6)
    ]  # fmt: skip
    assert 0 < result.labels[0].auc < 1
    assert result.labels[0].moments.count == round(result.labels[0].flagged * 14) > 0
    engine = Engine(load_tagger(str(tmp_path / "scores")), Always())
    engine.submit(Update(session="s", segment="1", text=ROWS[0]["text"], final=True), 0)
    [final] = engine.step().revisions
    [[*_, last]] = replay_alone(load_tagger(str(tmp_path / "scores")), Always(), read_rows(data, limit=1).rows)
    assert last.scores == final.scores


def test_mistakes_are_found_before_any_work(tiny, data):
    def run(**changes):
        run_text_evaluation(TextTask(data=data, taggers=(tiny,), **({"rename": {"who": "person"}} | changes)))

    with pytest.raises(EvaluationError, match=r"who.*--rename who="):
        run(rename={})
    with pytest.raises(EvaluationError, match="--chat 14"):
        run(chat=15)
    with pytest.raises(PolicyError):
        run(policies=("sometimes",))
    with pytest.raises(EmissionError):
        run(stability=("loud",))
