"""What the rules say of a text's beginning holds, whatever is appended."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.rules.merge import RuleSpan
from stream.rules.reader import PersonalDataRules
from stream.rules.user.rules_file import CustomRules, load_rules
from tests.stream.rules.talk import texts

OWN = """
[[pattern]]
label = "employee"
regex = 'jane( [a-z]+)? \\d{2,4}|m+(e|i)?'
[[pattern]]
label = "locker"
regex = '[A-Z]{2}\\d{2}'
spoken = true
context = ["room"]
[[words]]
label = "project"
words = ["elm street park", "account"]
[allow]
words = ["411", "four one one"]
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> CustomRules:
    path = tmp_path_factory.mktemp("rules") / "rules.toml"
    path.write_text(OWN, "utf-8")
    return load_rules(path)


def covered(spans: Sequence[RuleSpan]) -> set[int]:
    return {i for x in spans for i in range(x.start, x.end)}


def check_prefixes(rules: PersonalDataRules, text: str, context: str = "") -> None:
    full = rules.read(text, context)
    whole = covered(full.spans)
    for n in range(len(text)):
        reading = rules.read(text[:n], context)
        known = covered(reading.spans)
        unsettled = reading.first_unsettled
        assert 0 <= unsettled <= n
        growing = rules.read(text[:n], context, growing=True)
        assert growing.first_unsettled == unsettled
        assert {i for i in covered(growing.spans) if i < unsettled} == {i for i in known if i < unsettled}
        assert {i for i in whole if i < unsettled} == {i for i in known if i < unsettled}, (text[:n], unsettled)
        for span in full.spans:
            if span.end <= unsettled:
                assert span._replace(open=False) in [x._replace(open=False) for x in reading.spans], (text[:n], span)


@given(text=texts)
@settings(max_examples=150, deadline=None)
@example("write to jane dot miller at example dot org that's m i double l e r yes")
@example("born the hang on twenty first of july nineteen forty one, see website double w dot let me see jo dot com")
@example("mail as r o s a at f a s t i mean f a s m a i l dot de")
@example("Tel:020 7946\u200b 0958’s 😀4️⃣1️⃣ 555-0142, no, 0147x12 IBAN:GB82 WEST")
@example("my number is for one one five five five no sorry six and flat b 12 elm street north")
def test_text_before_the_offset_is_covered_as_it_will_be(text: str):
    check_prefixes(PersonalDataRules(), text)


@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_rules_of_a_user_keep_the_same_promise(text: str, own: CustomRules):
    check_prefixes(PersonalDataRules(own), text)


@given(text=texts, context=texts)
@settings(max_examples=40, deadline=None)
def test_it_holds_after_earlier_segments_too(text: str, context: str):
    check_prefixes(PersonalDataRules(), text, context)


@given(text=texts)
@settings(max_examples=60, deadline=None)
def test_spans_are_inside_the_text_in_order_and_apart(text: str):
    end = 0
    for span in PersonalDataRules().find(text):
        assert end <= span.start < span.end <= len(text)
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        assert 0 < span.score <= 1
        end = span.end


@given(text=texts, cut=st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_earlier_lines_count_like_earlier_segments(text: str, cut: int):
    """A line break in a text does what the end of a segment does."""
    lines = text.split("\n")
    n = cut % len(lines)
    context, rest = "\n".join(x for x in lines[:n] if x.strip()), "\n".join(lines[n:])
    shift = len("\n".join(lines[:n])) + 1 if n else 0
    together = [x for x in PersonalDataRules().find(text) if x.start >= shift]
    assert [(x.start - shift, x.end - shift, x.label) for x in together] == [
        (x.start, x.end, x.label) for x in PersonalDataRules().find(rest, context)
    ]
