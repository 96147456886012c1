"""One convention of names and times: what is cut off spans, what is no name, and what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.train.data.convention import TagSpan, apply_convention, spans_of, trim_span
from encoder.train.data.sequence import TextSequence


def tagged(text: str) -> TextSequence:
    """Read "Dr/B-person Okoro/I-person sang": words, with a tag where they have one."""
    pairs = [word.rpartition("/") if "/" in word else (word, "/", "O") for word in text.split()]
    return TextSequence("d", tuple(word for word, _, _ in pairs), tuple(tag for _, _, tag in pairs))


def show(sequence: TextSequence) -> str:
    return " ".join(w if t == "O" else f"{w}/{t}" for w, t in zip(sequence.words, sequence.tags, strict=True))


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (
            "the/B-place Hague/I-place 's/I-place lamps",
            "the Hague/B-place 's lamps",
        ),
        (
            "The/B-organization Tarn/I-organization Trust's/I-organization boat",
            "The Tarn/B-organization Trust/I-organization 's boat",
        ),
        ("Mr/B-person ./I-person Dana/I-person Whitlow/I-person", "Mr . Dana/B-person Whitlow/I-person"),
        ("Prof./B-person Dr./I-person Okoro/I-person", "Prof . Dr . Okoro/B-person"),
        ("the/B-person President/I-person spoke", "the President/? spoke"),
        ("met/O @/B-person marlo_q/B-person today", "met @marlo_q/? today"),
        ("in #oslo/B-place again", "in #oslo/? again"),
        ("two Norwegian/B-place boats", "two Norwegian boats"),
        ("New/B-place Norwegian/I-place", "New/B-place Norwegian/I-place"),
        ("at/B-time the/I-time end/I-time of/I-time May/I-time", "at the end/B-time of/I-time May/I-time"),
        ("for/B-time this/I-time week/I-time", "for this/B-time week/I-time"),
        ("we/B-person met us/B-place", "we met us/B-place"),
        ("the/B-organization", "the"),
        ('"/B-product Kite/I-product 3/I-product "/I-product', '" Kite/B-product 3/I-product "'),
        ("Acme/B-organization Inc/I-organization ./I-organization", "Acme/B-organization Inc/I-organization ."),
        ("in the/B-place U.S./I-place", "in the U.S./B-place"),
        ("met Duke/B-person Arlen!/I-person", "met Duke/B-person Arlen/I-person !"),
        ("by/B-time tomorrow,/I-time", "by tomorrow/B-time ,"),
        ("from/? Oslo/B-place", "from/? Oslo/B-place"),
        ("Ann/B-person Bo/B-person", "Ann/B-person Bo/B-person"),
    ],
)
def test_spans_are_brought_to_the_convention(given_: str, wanted: str) -> None:
    assert show(apply_convention(tagged(given_))) == wanted
    assert show(apply_convention(tagged(wanted))) == wanted  # what is in the convention stays as it is


def test_spans_without_a_capital_are_unknown_where_a_set_labels_plain_nouns() -> None:
    said = tagged("the/B-organization council/I-organization met Tarn/B-organization council/I-organization")
    assert show(apply_convention(said, capitals=True)) == (
        "the council/? met Tarn/B-organization council/I-organization"
    )


WORDS = st.sampled_from(("the", "Mr", ".", "Dana", "'s", "’", "s", "@", "of", "Oslo's", "us", "U.S.", "#x", "French"))


@given(st.lists(st.tuples(WORDS, st.sampled_from(("O", "B-person", "I-person", "B-place", "B-time", "I-time", "?")))))
def test_the_convention_is_its_own_fixed_point_and_gives_valid_tags(rows: list[tuple[str, str]]) -> None:
    once = apply_convention(TextSequence("d", tuple(w for w, _ in rows), tuple(t for _, t in rows)))
    assert apply_convention(once) == once
    for before, tag in zip(("O", *once.tags), once.tags, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]
    for span in spans_of(once.tags):
        assert trim_span(once.words, span) == span


def test_a_span_of_split_words_loses_its_possessive() -> None:
    words = ("o", "'", "neil", "'", "s")
    assert trim_span(words, TagSpan(0, 5, "person")) == TagSpan(0, 3, "person")
