"""Training data: files read, augmented, cut into blocks and batches."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoder.model.config import ConfigError
from encoder.train.config import AugmentConfig, StageConfig, TextSource, read_train_config
from encoder.train.data.augment import join_sequences, speak
from encoder.train.data.batches import (
    IGNORED,
    WordPieces,
    block_ends,
    cut_to_prefix,
    make_batches,
    tail_first,
)
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import label_names, read_source
from encoder.train.stages.tagger import possible_labels
from tests.encoder.train.samples import example, tokenizer
from tests.tiny import LABELS, tiny_config


def test_conll_is_read_with_documents_genres_and_renamed_types(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("# doc = a\n# genre = news\nParis\tB-LOC\nis\tO\n\n# doc = b\n# genre = fiction\nRome\tB-LOC\n\n")
    source = TextSource(path=str(path), labels={"LOC": "place"}, where={"genre": ("news",)})
    assert read_source(source) == [TextSequence("a", ("Paris", "is"), ("B-place", "O"))]
    dropped = TextSource(path=str(path), labels={"PER": "person"})
    assert [s.tags for s in read_source(dropped)] == [("O", "O"), ("O",)]


def test_texts_are_chosen_by_their_label(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "nice one", "label": "clean"}\n{"text": "oh no", "label": 1}\n{"text": "hello"}\n')
    words = {
        label: [s.words for s in read_source(TextSource(path=str(path), where={"label": (label,)}))]
        for label in ("clean", "1")
    }
    assert words == {"clean": [("nice", "one")], "1": [("oh", "no")]}
    assert len(read_source(TextSource(path=str(path)))) == 3
    with pytest.raises(ConfigError, match="no sequence that fits"):
        read_source(TextSource(path=str(path), where={"label": ("rude",)}))


def test_one_tag_a_word_is_a_span_of_one_word(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("she\tPRON\nruns\tVERB\n")
    assert read_source(TextSource(path=str(path)))[0].tags == ("B-PRON", "B-VERB")


def test_jsonl_spans_become_tags_of_the_words_they_touch(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "met Ms. Rice, today", "spans": [[4, 12, "person"]]}\n')
    (sequence,) = read_source(TextSource(path=str(path)))
    assert sequence.words == ("met", "Ms", ".", "Rice", ",", "today")
    assert sequence.tags == ("O", "B-person", "I-person", "I-person", "O", "O")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.conll", "paris\n", "line 1"),
        ("x.jsonl", '{"text": 3}\n', "line 1"),
        ("x.csv", "a,b\n", "must end in"),
        ("x.conll", "\n", "no sequence"),
    ],
)
def test_bad_training_data_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_source(TextSource(path=str(path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("out = 'x'", r"\[distill\] or a \[tagger\]"),
        ("out = 'x'\n[tagger]\nepochs = 1", r"\[\[train\]\]"),
        ("out = 'x'\nlearning = 1\n[tagger]\nepochs = 1", "learning"),
        ("out = 'x'\nwithout = ['a']\n[tagger]\nepochs = 1\n[[train]]\npath = 'a/x.conll'", "must leave some"),
        ("out = 'x'\nwithout = ['b']\n[tagger]\nepochs = 1\n[[train]]\npath = 'a/x.conll'", "must leave some"),
    ],
)
def test_bad_configurations_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_train_config(path)


tagged = st.lists(
    st.tuples(st.sampled_from(("we", "met", ",", "U.S.", "rice", ".")), st.sampled_from(LABELS)),
    min_size=1,
    max_size=20,
)


def valid(rows: list[tuple[str, str]]) -> TextSequence:
    """Make any tags valid IOB2."""
    tags: list[str] = []
    for _, tag in rows:
        follows = bool(tags) and tags[-1][2:] == tag[2:]
        tags.append("B-" + tag[2:] if tag.startswith("I-") and not follows else tag)
    return TextSequence("d", tuple(w for w, _ in rows), tuple(tags))


@given(tagged, st.integers(0, 1000))
def test_spoken_text_has_no_punctuation_and_valid_tags(rows: list[tuple[str, str]], seed: int) -> None:
    options = AugmentConfig(unpunctuated=1.0, filler=0.3, repetition=0.3)
    words, tags = speak(valid(rows), options, random.Random(seed))
    assert len(words) == len(tags)
    assert all(any(c.isalnum() for c in w) for w in words)
    for before, tag in zip(["O", *tags], tags, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


@given(st.lists(st.sampled_from("aab"), max_size=40), st.integers(0, 1000))
def test_joining_keeps_every_sequence_once_in_order_within_documents(names: list[str], seed: int) -> None:
    sequences = [TextSequence(name, (str(i),), ("O",)) for i, name in enumerate(names)]
    runs = join_sequences(sequences, random.Random(seed))
    assert [s for run in runs for s in run] == sequences
    assert all(len({s.document for s in run}) == 1 for run in runs)


def test_labels_are_read_at_the_last_piece_of_a_word() -> None:
    pieces = WordPieces(tokenizer(), LABELS)
    made = pieces.example([(["xu", "o'neil"], ["B-person", "B-place"])], 0, 100)
    assert made.labels.tolist() == [IGNORED, 1, 3, 4] + [IGNORED] * 3 + [4]  # x ##u | o | ' | n ##e ##i ##l
    assert made.word.tolist() == [0, 0, 1, 2, 3, 3, 3, 3]


def test_an_example_ends_at_a_word_within_the_limit() -> None:
    made = WordPieces(tokenizer(), LABELS).example([(["we", "xyz", "in"], ["O"] * 3)], 0, 3)
    assert made.ids.tolist() == WordPieces(tokenizer(), LABELS).units("we")[0]


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_blocks_partition_a_sequence_at_word_ends(sentences: int, seed: int) -> None:
    made = cut_to_prefix(example(sentences, seed), random.Random(seed))
    window = 16
    ends = block_ends(made, random.Random(seed), window)
    assert (np.diff(ends) >= 0).all()
    assert (ends >= np.arange(len(ends))).all()
    assert (ends[ends] == ends).all()  # an end is the end of its own block
    assert all(e + 1 == len(ends) or made.word[e] != made.word[e + 1] for e in set(ends.tolist()))
    first = tail_first(ends, made.sentence, window)
    assert (ends + 1 - first <= window).all()
    assert (first <= np.arange(len(ends))).all()


def test_block_training_reaches_one_word_blocks_and_whole_sentences() -> None:
    made = example(1)
    rng = random.Random(0)
    counts = {len(set(block_ends(made, rng, 128).tolist())) for _ in range(200)}
    assert {1, int(made.word[-1]) + 1} <= counts


def test_an_unannotated_type_leaves_o_open() -> None:
    sources = (TextSource(path="x", known=("person",)), TextSource(path="y"))
    table = possible_labels(LABELS, sources)
    assert table[0, 0].tolist() == [True, False, False, True, True]
    assert table[0, 1].tolist() == [False, True, False, False, False]
    assert torch.equal(table[1], torch.eye(5, dtype=torch.bool))


def test_a_set_that_is_left_out_is_not_trained_on(tmp_path: Path, conll: Path) -> None:
    other = tmp_path / "other" / "train.conll"
    other.parent.mkdir()
    other.write_text("xu\tB-place\n")
    lines = [f"[[train]]\npath = '{path}'" for path in (conll, other)]
    path = tmp_path / "c.toml"
    path.write_text("\n".join(["out = 'x'", "without = ['other']", "[tagger]", "epochs = 1", *lines]))
    config = read_train_config(path)
    assert [source.path for source in config.trained] == [str(conll)]
    assert len(config.train) == 2


def test_spans_end_early_at_the_words_named_and_the_rest_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("ms\tB-P\nrice\tI-P\nwho\tI-P\nsings\tI-P\nmet\tO\npeople\tB-X\nof\tB-P\nrome\tI-P\n")
    source = TextSource(path=str(path), labels={"P": "person", "X": "?"}, cut={"person": ("who", "of")})
    (sequence,) = read_source(source)
    assert sequence.tags == ("B-person", "I-person", "?", "?", "O", "?", "B-person", "I-person")
    assert label_names([sequence]) == ("O", "B-person", "I-person")
    made = WordPieces(tokenizer(), LABELS).example([(list(sequence.words), list(sequence.tags))], 0, 100)
    known = np.unique(made.word[made.labels != IGNORED])
    assert known.tolist() == [0, 1, 4, 6, 7]


def test_a_batch_of_one_owns_its_tensors() -> None:
    config = tiny_config()
    (batch,) = make_batches(
        [example(1)], config, StageConfig(epochs=1), random.Random(0)
    )  # a read-only view would warn
    assert batch.positions.tolist() == [list(range(batch.ids.shape[1]))]
