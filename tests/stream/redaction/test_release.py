"""Released text: no part of a covered value is ever out, and what is out only grows unless the source rewrites."""

import re
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from stream.redaction.covers import Cover
from stream.redaction.policy import RedactionPolicy, parse_release
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction

PLAIN = ("so", "well", "they", "came", "at", "seven", "[PERSON]", "and", "Oh,", "we", "left.")
VALUES = {
    "person": ("qzada qzbyron", "qzlin"),
    "phone": ("qz1 qz2 qz3 qz4", "qz77-qz88"),
    "email": ("qzx at qzy dot qzorg",),
}
"""Values of each label; no other word has "qz" in it, so a single letter pair out is a leak."""
MARK = "qz"
_VALUE = re.compile("|".join(re.escape(x) for found in VALUES.values() for x in found), re.IGNORECASE)
_LABELS = {value: label for label, found in VALUES.items() for value in found}


class Seen(NamedTuple):
    covers: list[Cover]
    settled: int


def detect(text: str) -> Seen:
    """A detector with an honest offset: it finds whole values, and knows where the end of a text may become one."""
    covers = [Cover(*x.span(), _LABELS[x[0].lower()]) for x in _VALUE.finditer(text)]
    for start in range(len(text)):
        rest = text[start:].lower()
        begins = start == 0 or not text[start - 1].isalnum()
        if begins and any(value.startswith(rest) for value in _LABELS):
            return Seen(covers, start)
    last = len(text) if not text or not text[-1].isalnum() else text.rfind(" ") + 1
    return Seen(covers, last)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A text of plain words and whole values."""
    values = st.sampled_from(sorted(_LABELS)).flatmap(lambda x: st.sampled_from([x, x.title(), x.upper()]))
    return " ".join(draw(st.lists(st.one_of(st.sampled_from(PLAIN), values), max_size=8)))


@st.composite
def streams(draw: st.DrawFn) -> list[str]:
    """Updates of one segment: texts cut anywhere, each perhaps another than the one before; the last one is whole."""
    updates = []
    for text in draw(st.lists(texts(), min_size=1, max_size=4)):
        cuts = draw(st.lists(st.integers(0, len(text)), max_size=6))
        updates += [text[:cut] for cut in (sorted(cuts) if draw(st.booleans()) else cuts)]
    return [*updates, text]


@given(
    streams(),
    st.sampled_from(("settled", "final")),
    st.sampled_from(("label", "numbered", "mask", "hash")),
    st.sampled_from(("omit", "masked")),
)
def test_no_part_of_a_covered_value_is_ever_released(updates, release, style, withheld):
    policy = RedactionPolicy(release=parse_release(release), style=style, key=b"k" * 16, withheld=withheld)
    session, segment = SessionRedaction(policy, "s"), SegmentRedaction()
    for i, text in enumerate(updates):
        final = i == len(updates) - 1
        seen = detect(text)
        shown = session.redact_segment(segment, text, seen.covers, seen.settled, final=final)
        assert MARK not in (shown or "").lower()
        assert segment.released.text == "" or text.startswith(segment.released.source)
        for redaction, cover in zip(segment.released.redactions, segment.released.redactions[1:], strict=False):
            assert redaction.to <= cover.at
            assert redaction.end <= cover.start
    assert segment.released.source == text


@given(texts(), st.lists(st.integers(0, 200), max_size=8), st.sampled_from(("settled", "words:0", "words:2")))
def test_released_text_only_grows_while_the_source_only_appends(text, cuts, release):
    session = SessionRedaction(RedactionPolicy(release=parse_release(release)), "s")
    segment, before = SegmentRedaction(), ""
    for cut in sorted(cuts):
        seen = detect(text[:cut])
        session.redact_segment(segment, text[:cut], seen.covers, seen.settled, final=False)
        assert segment.released.text.startswith(before)
        before = segment.released.text


@given(streams(), st.data())
def test_whatever_a_detector_says_a_released_redaction_stands_while_its_words_do(updates, data):
    """The offset and the covers are not honest here: they come and go as they like."""
    session, segment, before = SessionRedaction(RedactionPolicy(), "s"), SegmentRedaction(), ""
    last = ""
    for text in updates:
        spans = data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=3))
        covers = [Cover(a, min(a + n, len(text)), "person") for a, n in spans]
        session.redact_segment(segment, text, covers, data.draw(st.integers(0, 60)), final=False)
        if text.startswith(last):
            assert segment.released.text.startswith(before)
        before, last = segment.released.text, text


def redact(*steps: tuple[str, list[tuple[str, str]], int | None], **policy: object) -> list[str | None]:
    """Results of updates of one segment; a step is its text, its values with labels, and the settled offset."""
    session, segment = SessionRedaction(RedactionPolicy(**policy), "s"), SegmentRedaction()
    out = []
    for text, values, settled in steps:
        covers = [Cover(text.index(x), text.index(x) + len(x), label) for x, label in values]
        out.append(
            session.redact_segment(
                segment, text, covers, len(text) if settled is None else settled, final=settled is None
            )
        )
    return out


def test_words_keep_the_form_in_which_they_were_released():
    spoken = "so you get me on two oh two one"
    assert redact(
        (spoken, [("two oh two one", "phone")], 16),
        (spoken + " before noon", [("two oh two one", "phone")], 42),
        ("So, you get me on (202) 1 before noon.", [("202) 1", "phone")], None),
    ) == ["so you get me on", "so you get me on [PHONE] before", "so you get me on [PHONE] before noon."]


def test_a_rewritten_word_releases_the_text_from_there_anew():
    steps = [("i met rita in may", [("rita", "person")], 17), ("I met Rita on Monday.", [("Rita", "person")], 9)]
    assert redact(*steps) == ["i met [PERSON] in may", "i met [PERSON]"]


def test_a_redaction_whose_words_moved_stands_though_the_model_is_silent():
    steps = [("ask tom for it", [("tom", "person")], 14), ("please ask Tom for it", [], None)]
    assert redact(*steps) == ["ask [PERSON] for it", "please ask [PERSON] for it"]


def test_a_value_that_grows_behind_its_redaction_has_one_placeholder():
    steps = [("dial 202", [("202", "phone")], 8), ("dial 202 555 now", [("202 555", "phone")], 16)]
    assert redact(*steps) == ["dial [PHONE]", "dial [PHONE] now"]
    assert redact(*steps, style="mask")[1] == "dial ******* now"


def test_overlapping_spans_are_one_redaction_with_the_label_of_the_surest():
    session, segment = SessionRedaction(RedactionPolicy(), "s"), SegmentRedaction()
    covers = [Cover(6, 14, "person", 0.6), Cover(10, 18, "place", 0.9)]
    assert session.redact_segment(segment, "hello anna paris!!", covers, 18, final=True) == "hello [PLACE]"


def test_withheld_text_can_be_shown_as_blocks():
    steps = [("hi anna b", [("anna", "person")], 2), ("hi anna b", [("anna", "person")], None)]
    assert redact(*steps, withheld="masked") == ["hi ████ █", "hi [PERSON] b"]


def test_what_cannot_be_labelled_releases_nothing():
    session, segment = SessionRedaction(RedactionPolicy(), "s"), SegmentRedaction()
    assert session.redact_segment(segment, "the code", [], 3, final=False) == "the"
    assert session.withhold_segment(segment, "the code is 4711 really") is None
    assert session.withhold_segment(segment, "no it was 4711") == ""


def test_a_typed_placeholder_cannot_pass_for_ours():
    for typed in ("[PERSON_1]", "[[PHONE]", "[PERSON", "x[1]"):
        for cut in range(len(typed) + 1):
            session, segment = SessionRedaction(RedactionPolicy(style="numbered"), "s"), SegmentRedaction()
            session.redact_segment(segment, "a " + typed[:cut], [], 2 + cut, final=False)
            session.redact_segment(
                segment, "a " + typed + " anna", [Cover(3 + len(typed), 7 + len(typed), "person")], 0, final=True
            )
            assert re.findall(r"\[[A-Z0-9_]+\]?", segment.released.text) == ["[PERSON_1]"]
            assert len(segment.released.text) == len("a " + typed + " ") + len("[PERSON_1]")
