"""Labels of sentence ends and commas, read off the marks of a text; segments cut out of documents."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.model.config import ConfigError
from encoder.train.config import AugmentConfig, TextSource
from encoder.train.data.augment import speak
from encoder.train.data.batches import WordPieces, make_examples
from encoder.train.data.punctuation import MOST_WORDS, cut_segments, punctuate, tag_marks
from encoder.train.data.sequence import TextSequence
from encoder.train.data.text import label_names, read_source
from tests.encoder.train.samples import tokenizer

SHOWN = {"O": "", "?": "<?>", "B-period": "<.>", "B-question": "<?q>", "B-comma": "<,>"}
MARKS = st.sampled_from([".", ",", "?", "!", ";", ":", "--", "...", '"', "(", ")"])
WORDS = st.sampled_from(["the", "harbour", "U.S.", "Dr.", "3.30", "don't", "Anna", "sixty-two", "$5"])


class Letters(random.Random):
    """Says abbreviations letter by letter, no fillers and no repetitions."""

    def random(self) -> float:
        return 0.99


def sequence(text: str, document: str = "d") -> TextSequence:
    words = tuple(text.split())
    return TextSequence(document, words, ("O",) * len(words))


def shown(text: str, *, marks_apart: bool = False, cased: bool = True) -> str:
    """The words as they are spoken, each with its label."""
    tagged = tag_marks(sequence(text), marks_apart=marks_apart, cased=cased)
    if tagged is None:
        return ""
    words, tags = speak(tagged, AugmentConfig(), Letters())
    return " ".join(word + SHOWN[tag] for word, tag in zip(words, tags, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Well, we sold it. Did you know?", "Well<,> we sold it<.> Did you know<?q>"),
        ("It burned down! All of it.", "It burned down<.> All of it<.>"),
        ("Dr. Weber met Mr. Low at 3.30. He left.", "Dr Weber met Mr Low at 3 30<.> He left<.>"),
        ("It weighs 2.5 kilos, e.g. wet.", "It weighs 2 5 kilos<,> e g wet<.>"),
        ("He lives in the U.S.", "He lives in the U S<.>"),
        ("In the U.S. Trains are slow.", "In the U S<?> Trains are slow<.>"),
        ('"Are you cold?" she asked.', "Are you cold<?q> she asked<.>"),
        ('She said "no." Then (at last) he left.', "She said no<.> Then at last he left<.>"),
        ("We waited; it rained: hard - or so -- they said.", "We waited<?> it rained<?> hard or so<?> they said<.>"),
        ("I thought ... never mind...", "I thought<?> never mind<.>"),
        ("we met at no. four then.", "we met at no<?> four then<.>"),
        ("1. Peel them, then wait", "1<?> Peel them<,> then wait<?>"),
        ("What?! Yes.", "What<?q> Yes<.>"),
        ("so do i, see :) fine.", "so do i<,> see fine<.>"),
        ("no marks at all here", ""),
    ],
)
def test_words_are_labelled_by_the_mark_after_them(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_marks_and_clitics_that_a_tokenizer_has_cut_off_are_put_together() -> None:
    assert shown("I do n't know , she 's at St. Mary 's .", marks_apart=True) == "I don't know<,> she's at St Mary's<.>"
    assert shown("it is open. we are late.", cased=False) == "it is open<.> we are late<.>"
    assert shown("It is 5 p.m. we are late.", cased=True) == "It is 5 p m we are late<.>"


def test_a_word_said_as_several_has_its_label_at_the_last() -> None:
    tagged = tag_marks(sequence("That was in 1939, a well-known case."), marks_apart=False, cased=True)
    assert tagged is not None
    words, tags = speak(tagged, AugmentConfig(number_words=1.0), random.Random(1))
    assert dict(zip(words, tags, strict=True)) == dict.fromkeys(words, "O") | {"nine": "B-comma", "case": "B-period"}
    fillers = speak(tagged, AugmentConfig(filler=1.0), random.Random(1))
    assert fillers[1].count("?") >= len(words) - 2, "nobody knows which mark a filler would have"


@given(st.lists(st.tuples(WORDS, st.lists(MARKS, max_size=3)), min_size=1, max_size=12), st.booleans())
def test_labels_are_the_same_with_marks_and_without(parts: list[tuple[str, list[str]]], apart: bool) -> None:
    text = " ".join((" " if apart else "").join([word, *marks]) for word, marks in parts)
    tagged = tag_marks(sequence(text), marks_apart=apart, cased=True)
    if tagged is None:
        return
    spoken = speak(tagged, AugmentConfig(), random.Random(0))
    marked = [tag for word, tag in zip(tagged.words, tagged.tags, strict=True) if any(c.isalnum() for c in word)]
    assert [tag for tag in spoken[1] if tag != "O"] == [tag for tag in marked if tag != "O"]
    assert all(
        tag == "O" for word, tag in zip(tagged.words, tagged.tags, strict=True) if not any(c.isalnum() for c in word)
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers())
def test_segments_cover_a_document_and_leave_marks_with_their_words(lengths: list[int], seed: int) -> None:
    texts = [
        TextSequence("d", (*(f"w{i}" for i in range(n)), "."), ("O",) * (n - 1) + ("B-period", "O")) for n in lengths
    ]
    segments = list(cut_segments(texts, random.Random(seed)))
    for part in ("words", "tags"):
        assert [x for s in segments for x in getattr(s, part)] == [x for t in texts for x in getattr(t, part)]
    assert all(s.words and s.words[0] != "." and len(s.words) <= MOST_WORDS + 1 for s in segments)


def test_segments_hold_several_sentences_and_end_inside_them() -> None:
    texts = punctuate([sequence("We went down to the old harbour and the boats were gone.")] * 600)
    last = [next(tag for tag in reversed(s.tags[: -1 if s.words[-1] == "." else None])) for s in texts]
    assert 0.15 < sum(tag == "O" for tag in last) / len(texts) < 0.45
    assert sum(s.tags.count("B-period") > 1 for s in texts) > len(texts) / 4
    assert {s.document for s in texts} == {"d"}


def test_only_neighbours_of_a_document_share_a_segment() -> None:
    loose = punctuate([sequence(f"Number {i} is here.", "") for i in range(50)])
    assert all(s.words[-1] == "." or len(s.words) < 4 for s in loose)
    assert max(len(s.words) for s in loose) == 5
    parts = [sequence(f"part {i} ends here.", f"talk_{i}") for i in (2, 0, 1, 5)]
    words = [word for s in punctuate(parts) for word in s.words if word.isdigit()]
    assert words == ["0", "1", "2", "5"]


def test_a_source_gives_the_labels_of_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("Oh\tB-x\n,\tO\nyes\tO\n.\tO\n")
    assert label_names(read_source(TextSource(path=str(path), punctuation=True)))[1::2] == ("B-comma", "B-period")
    rows = tmp_path / "x.jsonl"
    rows.write_text('{"text": "It cost 3.50 in the U.S. shop, no?"}\n')
    assert [t for s in read_source(TextSource(path=str(rows), punctuation=True)) for t in s.tags if t != "O"] == [
        "B-comma",
        "B-question",
    ]
    bare = tmp_path / "bare.conll"
    bare.write_text("oh\tO\nyes\tO\n")
    with pytest.raises(ConfigError, match="no punctuation marks"):
        read_source(TextSource(path=str(bare), punctuation=True))
    with pytest.raises(ConfigError, match="needs a `path`"):
        TextSource(generate="pii", count=1, punctuation=True)


def test_a_document_that_only_its_first_sentence_names_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("# newdoc_id = a\nOne\tO\n\nTwo\tO\n\n# newdoc_id = b\nThree\tO\n")
    assert [s.document for s in read_source(TextSource(path=str(path)))] == ["a", "a", "b"]


def test_texts_with_marks_are_spoken_half_the_time_in_written_sessions() -> None:
    pieces = WordPieces(tokenizer(), ("O", "B-period", "I-period"))
    texts = [TextSequence("", ("we", "go", "."), ("O", "B-period", "O"), punctuation=True)] * 400

    most = len(pieces.sentence(texts[0].words, texts[0].tags, 0).ids)

    def with_mark(augment: AugmentConfig) -> float:
        examples = make_examples(pieces, [texts], augment, 64, random.Random(2))
        return sum(len(x.ids) == most for x in examples) / len(examples)

    assert with_mark(AugmentConfig()) == 1.0
    assert 0.1 < with_mark(AugmentConfig(unpunctuated=0.6)) < 0.3
