"""Styles of replacements, numbers of values in a session, and policies that are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.redaction.covers import Cover
from stream.redaction.policy import RedactionError, RedactionPolicy, parse_labels, parse_release
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction
from stream.redaction.values import normalise_value


def say(session: SessionRedaction, before: str, label: str, value: str) -> str:
    """The redacted form of a sentence with one value."""
    text = f"{before} {value}!"
    cover = Cover(len(before) + 1, len(before) + 1 + len(value), label)
    shown = session.redact_segment(SegmentRedaction(), text, [cover], 0, final=True)
    assert shown is not None
    return shown


@pytest.mark.parametrize(
    ("label", "forms"),
    [
        (
            "phone",
            ["(415) 555-0142", "four one five five five five oh one four two", "415 triple five zero one four two"],
        ),
        ("card", ["4111 1111 1111 1111", "4111-1111-1111-1111", "four triple one 1111 1111 1111"]),
        ("person", ["Ada Byron", "ada  byron", "ADA BYRON"]),
        ("email", ["Ada.Byron@example.org", "ada dot byron at example dot org"]),
        ("postcode", ["SW1A 1AA", "s w one a one a a", "sw1a1aa"]),
        ("account", ["73", "seventy three", "seventy-three"]),
    ],
)
def test_the_same_value_in_another_form_has_the_same_number(label, forms):
    session = SessionRedaction(RedactionPolicy(style="numbered"), "s")
    assert say(session, "first", label, "other") == f"first [{label.upper()}_1]!"
    for form in forms:
        assert say(session, "then", label, form) == f"then [{label.upper()}_2]!", normalise_value(label, form)
    assert say(session, "last", label, "another") == f"last [{label.upper()}_3]!"


def test_a_hash_depends_on_key_and_value_alone():
    one = SessionRedaction(RedactionPolicy(style="hash", key=b"0123456789abcdef"), "s")
    same = SessionRedaction(RedactionPolicy(style="hash", key=b"0123456789abcdef"), "another")
    other = SessionRedaction(RedactionPolicy(style="hash", key=b"0123456789abcdeg"), "s")
    assert say(one, "a", "person", "Tom") == say(same, "a", "person", "tom")
    assert len({say(one, "a", "person", x) for x in ("Tom", "Tim")} | {say(other, "a", "person", "Tom")}) == 3


def test_a_surrogate_is_of_the_same_kind_and_the_same_in_its_session():
    session = SessionRedaction(RedactionPolicy(style="surrogate"), "s")
    mail = say(session, "to", "email", "ada at example dot org")
    assert mail == say(session, "to", "email", "ada@example.org")
    assert "@" in mail
    assert "ada@" not in mail
    assert say(session, "to", "email", "bo@example.org") != mail
    assert say(SessionRedaction(RedactionPolicy(style="surrogate"), "t"), "to", "email", "ada@example.org") != mail
    assert any(x.isdigit() for x in say(session, "on", "phone", "555 0142"))


@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_any_value_of_any_label_can_be_replaced(label, value):
    for style in ("label", "numbered", "mask", "hash", "surrogate"):
        session = SessionRedaction(RedactionPolicy(style=style, key=b"k" * 16), "s")
        cover = Cover(2, 2 + len(value), label)
        session.redact_segment(SegmentRedaction(), "a " + value, [cover], 0, final=True)


def test_a_policy_that_cannot_be_is_refused():
    for make, setting in (
        (lambda: RedactionPolicy(style="hash"), "redact_key"),
        (lambda: RedactionPolicy(hash_ids=True), "redact_key"),
        (lambda: RedactionPolicy(key=b"short"), "redact_key"),
        (lambda: parse_release("words:x"), "release"),
        (lambda: parse_release("soon"), "release"),
        (lambda: parse_labels("phon", frozenset({"phone"})), "redact"),
        (lambda: parse_labels(" , ", frozenset({"phone"})), "redact"),
    ):
        with pytest.raises(RedactionError) as refused:
            make()
        assert refused.value.setting == setting
    assert parse_labels("all", frozenset()) is None
    assert parse_labels("PHONE, person", frozenset({"phone", "person", "x"})) == {"phone", "person"}


def test_only_chosen_labels_are_covered():
    session = SessionRedaction(RedactionPolicy(labels=frozenset({"phone"})), "s")
    assert say(session, "i am", "person", "Tom") == "i am Tom!"
