"""Unlabelled documents: turns, paragraphs and recognised words become sequences of one document each."""

import gzip
from pathlib import Path

import pytest

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.text import read_source


def test_turns_paragraphs_and_recognised_words_are_read(tmp_path: Path) -> None:
    chats = tmp_path / "chats.jsonl.gz"
    chats.write_bytes(gzip.compress(b'{"turns": [["a", "Hi there!"], ["b", " "]]}\n{"turns": [["a", "no"]]}\n'))
    first, second = read_source(TextSource(path=str(chats)))
    assert (first.words, second.words) == (("Hi", "there!"), ("no",))
    assert first.document != second.document
    speeches = tmp_path / "speeches.jsonl"
    speeches.write_text('{"paragraphs": ["One is. Two e.g. stays. Three?", "Four."]}\n')
    assert [" ".join(x.words) for x in read_source(TextSource(path=str(speeches)))] == [
        "One is.",
        "Two e.g. stays.",
        "Three?",
        "Four.",
    ]
    heard = tmp_path / "heard.jsonl"
    words = ", ".join(f'["w{i}", 0.0, 1.0]' for i in range(30))
    heard.write_text(f'{{"asr_words": [{words}]}}\n')
    assert [len(x.words) for x in read_source(TextSource(path=str(heard)))] == [24, 6]


def test_a_bad_document_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"turns": [["a", "b"]]}\n{"turns": 3}\n'))
    with pytest.raises(ConfigError, match="line 2"):
        read_source(TextSource(path=str(path)))
