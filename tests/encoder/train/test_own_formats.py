"""Labelled files as people have them: every habit reads the same, and what cannot be read is named with its line."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.model.config import ConfigError
from encoder.train.data.conll import read_columns, to_iob2
from encoder.train.data.jsonl import read_lines

SPANS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["", "PER", "LOC"])), min_size=1, max_size=8)
"""Runs of words with their type; none for "O"."""


def spell(runs, scheme):
    """Tags of runs of words in a scheme, written down from its definition."""
    tags = []
    for number, (length, kind) in enumerate(runs):
        if not kind:
            tags += ["O"] * length
            continue
        touches = number > 0 and runs[number - 1][1] == kind
        first, inner, last, only = {
            "IOB2": "BIIB", "IOB1": "BIIB" if touches else "IIII", "BIOES": "BIES", "BILOU": "BILU"
        }[scheme]  # fmt: skip
        marks = [only] if length == 1 else [first, *[inner] * (length - 2), last]
        tags += [f"{mark}-{kind}" for mark in marks]
    return tags


@given(SPANS, st.sampled_from(["IOB1", "BIOES", "BILOU"]))
def test_every_scheme_reads_as_iob2(runs, scheme):
    wanted = spell(runs, "IOB2")
    assert to_iob2(spell(runs, scheme))[0] == wanted
    assert to_iob2(wanted) == (wanted, 0)


def write(tmp_path, text, name="a.conll", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "ms\tB-PER\nrice\tI-PER\nleft\tO\n\nbye\tO\n",
        "ms NNP B-NP B-PER\nrice NNP I-NP I-PER\nleft VBD O O\n\nbye UH O O\n",
        "\ufeffms\tx\tB-PER\r\nrice\tx\tE-PER\r\nleft\tx\tO\r\n\r\n\r\nbye\tx\tO",
        "ms I-PER\nrice I-PER\nleft O\n   \nbye O\n",
    ],
)
def test_columns(tmp_path, text):
    sequences, _ = read_columns(write(tmp_path, text))
    assert [(x.words, x.tags) for x in sequences] == [
        (("ms", "rice", "left"), ("B-PER", "I-PER", "O")), (("bye",), ("O",))
    ]  # fmt: skip


def test_documents_of_columns(tmp_path):
    named = write(tmp_path, "# doc = one\na\tO\n\nb\tO\n\n# doc = two\nc\tO\n")
    started = write(tmp_path, "-DOCSTART- -X- -X- O\n\na O\n\nb O\n\n-DOCSTART- -X- -X- O\n\nc O\n", "b.conll")
    assert [x.document for x in read_columns(named)[0]] == ["a.conll:one", "a.conll:one", "a.conll:two"]
    assert [x.document for x in read_columns(started)[0]] == ["b.conll:1", "b.conll:1", "b.conll:2"]


def test_one_tag_a_word_is_a_span_a_word(tmp_path):
    sequences, notes = read_columns(write(tmp_path, "we\tPRON\nmet\tVERB\n"))
    assert sequences[0].tags == ("B-PRON", "B-VERB")
    assert "no B- and I-" in notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a O\nb\n", "line 2: expected a word and its tag"),
        ("a\tO\nb\t\n", "line 2: expected a word and its tag"),
        ("a B-X\nb O\nc Y\n", "line 3: tag 'Y' is neither O nor B-type or I-type"),
        ("a b-x\n", "line 1: write tags as B-type and I-type, not as 'b-x'"),
        ("a X-B\n", "line 1: write tags as B-type and I-type, not as 'X-B'"),
        ("1\tWe\twe\tPRON\t_\t_\t2\tnsubj\t_\t_\n", "line 1: this is CoNLL-U"),
    ],
)
def test_columns_that_cannot_be_read(tmp_path, text, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_columns(write(tmp_path, text))


@pytest.mark.parametrize(("reader", "name"), [(read_columns, "a.conll"), (read_lines, "a.jsonl")])
def test_other_encodings_are_named_with_the_line(tmp_path, reader, name):
    path = write(tmp_path, "\n\ncaf\u00e9 O\n", name, "latin1")
    with pytest.raises(ConfigError, match=r"line 3: not UTF-8.*iconv"):
        reader(path)


ROW = {"text": "call ms rice now", "spans": [[5, 12, "PER"]]}


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"text": ROW["text"], "spans": [{"start": 5, "end": 12, "label": "PER"}], "id": 7},
        {"text": ROW["text"], "entities": [{"start_offset": 5, "end_offset": 12, "label": "PER"}]},
        {"text": ROW["text"], "label": [[6, 11, "PER"]]},  # parts of words count for the words
    ],
)
def test_lines(tmp_path, row):
    sequences, notes = read_lines(write(tmp_path, "\n" + json.dumps(row) + "\n\n", "a.jsonl"))
    assert [(x.words, x.tags) for x in sequences] == [(("call", "ms", "rice", "now"), ("O", "B-PER", "I-PER", "O"))]
    assert notes == []


def test_labels_of_several_words_become_one(tmp_path):
    sequences, notes = read_lines(write(tmp_path, '{"text": "a b", "spans": [[0, 1, "Bank card"]]}', "a.jsonl"))
    assert sequences[0].tags == ("B-Bank_card", "O")
    assert notes == ["a.jsonl: label 'Bank card' is written 'Bank_card'"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "each line must be one JSON object"),
        ("[]", 'expected an object with "text"'),
        ('{"text": 3}', 'expected an object with "text"'),
        ('{"text": "a", "label": "PER"}', "'label' must be a list"),
        ('{"text": "a", "spans": [], "label": []}', "has 'spans' and 'label'"),
        ('{"text": "a b", "spans": [[0, 1]]}', "must be [start, end"),
        ('{"text": "a b", "spans": [{"start": 0, "end": 1}]}', "must be [start, end"),
        ('{"text": "a b", "spans": [[0, 9, "X"]]}', "is not inside its text of 3 characters"),
        ('{"text": "a b", "spans": [[1, 1, "X"]]}', "is not inside its text of 3 characters"),
        ('{"text": "a b", "spans": [[1, 2, "X"]]}', "holds no word: ' '"),
        ('{"text": "a b c", "spans": [[0, 3, "X"], [2, 5, "Y"]]}', "shares 'b' with another"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path, line, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_lines(write(tmp_path, json.dumps(ROW) + "\n" + line + "\n", "a.jsonl"))
    assert "a.jsonl, line 2" in str(caught.value)
