"""Rows of texts: what a file may say of a text, and what it is told when it is wrong."""

import json

import pytest

from encoder.model.config import ConfigError
from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.rows import has_text_labels, read_rows, rename_labels


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows):
        path = tmp_path / "rows.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write_rows


def test_labels_that_are_absent_or_null_were_not_asked_for(write):
    table = read_rows(
        write(
            {"text": "go away", "labels": {"rude": 1, "threat": 0}, "session": "room", "speaker": "kim"},
            {"text": "good luck", "labels": {"rude": False, "threat": None}, "document": 7},
            {"text": "well", "labels": {}},
            {"text": "as if", "labels": {"rude": 0.5, "threat": 0.33}},
        )
    )
    fits = [row.labels for row in table.rows]
    assert fits == [{"rude": True, "threat": False}, {"rude": False}, {}, {"rude": True, "threat": False}]
    assert [(row.session, row.speaker) for row in table.rows] == [("room", "kim"), ("7", None)] + [("", None)] * 2
    assert not table.marked
    assert table.rows[0].ends.tolist() == [2, 7]


def test_a_label_of_the_text_is_a_class_its_opposite_or_a_number(write):
    classes = read_rows(write({"text": "a", "label": "rude"}, {"text": "b", "label": "odd"}, {"text": "c"})).rows
    assert [row.labels for row in classes] == [{"rude": True, "odd": False}, {"rude": False, "odd": True}, {}]
    opposites = read_rows(write({"text": "a", "label": "rude"}, {"text": "b", "label": "not_rude"})).rows
    assert [row.labels for row in opposites] == [{"rude": True}, {"rude": False}]
    numbers = read_rows(write({"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": True})).rows
    assert [row.labels for row in numbers] == [{"label": True}, {"label": False}, {"label": True}]


def test_a_row_with_spans_alone_is_asked_for_every_type_of_the_file(write):
    table = read_rows(
        write(
            {"text": "you twit", "spans": [[4, 8, "rude"]]},
            {"text": "good twit", "spans": []},
            {"text": "hit them", "spans": [[0, 3, "threat"]], "labels": {"rude": 0}},
            {"text": "who knows"},
        )
    )
    assert [row.labels for row in table.rows] == [
        {"rude": True, "threat": False}, {"rude": False, "threat": False}, {"rude": False}, {}
    ]  # fmt: skip
    assert table.marked
    assert table.rows[3].spans is None


def test_names_of_the_file_become_those_of_the_tagger(write):
    rows = read_rows(
        write(
            {"text": "a", "label": "hateful", "spans": [[0, 1, "slur"]]},
            {"text": "b", "label": "offensive", "spans": [[0, 1, "other"]]},
            {"text": "c", "label": "neither"},
        )
    ).rows
    renamed = rename_labels(
        rows, {"hateful": "toxic", "offensive": "toxic", "neither": "", "slur": "toxic", "other": ""}
    )
    assert [row.labels for row in renamed] == [{"toxic": True}, {"toxic": True}, {"toxic": False}]
    assert [row.spans for row in renamed] == [((0, 1, "toxic"),), (), None]


def test_names_with_white_space_are_those_that_training_gives(write):
    rows = read_rows(
        write(
            {"text": "a", "labels": {"sent twice": 1}, "spans": [[0, 1, "a b"]]},
            {"text": "b", "label": "sent  late"},
            {"text": "c", "label": "not_sent late"},
        )
    ).rows
    assert [row.labels for row in rows] == [{"sent_twice": True}, {"sent_late": True}, {"sent_late": False}]
    [first, *_] = rename_labels(rows, {"sent twice": "x", "a_b": "y"})
    assert (first.labels, first.spans) == ({"x": True}, ((0, 1, "y"),))


def test_rows_without_a_word_are_counted(write):
    table = read_rows(write({"text": " \n", "label": "x"}, {"text": "x", "label": "x"}, ""))
    assert (len(table.rows), table.without_words) == (1, 1)
    assert len(read_rows(write({"text": "a"}, {"text": "b"}, {"text": "c"}), limit=2).rows) == 2
    with pytest.raises(EvaluationError, match="no text with a word"):
        read_rows(write({"text": "  "}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"line 2.*a row is"),
        ('"text"', "line 2"),
        ({"labels": {"x": 1}}, "line 2.*text"),
        ({"text": "a", "labels": [[0, 1, "x"]]}, "line 2.*labels.*a row is"),
        ({"text": "a", "labels": {"x": 1.5}}, "line 2.*'x' is 1.5, but must be 1"),
        ({"text": "a", "labels": {"x": -1}}, "line 2.*must be 1"),
        ({"text": "a", "labels": {"x": "yes"}}, "line 2.*labels"),
        ({"text": "a", "labels": {"": 1}}, "line 2"),
        ({"text": "a", "label": 2}, "line 2.*must be 1"),
        ({"text": "a", "label": "x", "labels": {"x": 1}}, "line 2.*keep one"),
        ({"text": "abc", "spans": [[1, 4, "x"]]}, "line 2.*not inside its text of 3"),
        ({"text": "abc", "spans": [[2, 2, "x"]]}, "line 2.*not inside"),
        ({"text": "abc", "spans": [[0, 2, ""]]}, "line 2.*no label"),
        ({"text": "a b " * 20_000}, "line 2.*65536"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_a_bad_row_is_named_with_what_to_do(write, row, message):
    path = write({"text": "fine"}, row)
    with pytest.raises(EvaluationError, match=message) as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match="missing"):
        read_rows(tmp_path / "missing.jsonl")


def test_only_a_file_with_labels_of_texts_has_them(write, tmp_path):
    assert has_text_labels(write({"text": "a"}, {"text": "b", "label": 0}))
    assert has_text_labels(write({"text": "a", "labels": {"x": 1}}))
    assert has_text_labels(write({"text": "a", "labels": [[0, 1, "x"]]}))  # to be refused with a reason
    assert not has_text_labels(write({"text": 'a "label"', "spans": [[0, 1, "label"]]}))
    assert not has_text_labels(write({"text": "a", "label": None}))
    assert not has_text_labels(write("{"))
    assert not has_text_labels(tmp_path / "missing.jsonl")
