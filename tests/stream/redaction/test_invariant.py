"""The invariant of redaction, with the rules as they are: what a text would not release when it is closed at once is in
no message of any stream that it was cut into, nor is its first word.
"""

import re
from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.messages.types import Update
from stream.redaction.messages import RedactedUpdate
from stream.redaction.policy import RedactionPolicy, parse_release
from stream.redaction.rule_covers import make_detector
from stream.sessions.redactor import Redactor
from tests.stream.fake_tagger import FakeLabeller
from tests.stream.helpers import drain
from tests.stream.rules.talk import dialogues, salads

DETECT = make_detector()
_PLACEHOLDER = re.compile(r"\[[A-Z_]+\]")
_WORD = re.compile(r"[^\W_]+")
lines = st.deferred(
    lambda: st.sampled_from([x for text in dialogues() for x in text.split("\n") if DETECT(x, "").covers])
)
whole_texts = st.one_of(st.lists(lines, min_size=1, max_size=2).map(" ".join), salads.map(lambda x: x[:120]))


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[str, list[int]]]:
    """Texts, of which each rewrites the one before, with the places at which they are cut into updates."""
    return [
        (text, draw(st.lists(st.integers(0, len(text)), max_size=5)))
        for text in draw(st.lists(whole_texts, min_size=1, max_size=3))
    ]


def redact(updates: Iterator[tuple[str, bool]], release: str) -> Iterator[str]:
    """What readers have of a segment after each of its updates."""
    policy = RedactionPolicy(release=parse_release(release))
    engine = Engine(FakeLabeller(), Last(3), redactor=Redactor(policy, frozenset(), DETECT))
    shown = ""
    for offset, (text, final) in enumerate(updates):
        engine.submit(Update(session="s", segment="a", text=text, final=final), offset)
        for output in (x for result in drain(engine) for x in result.redacted):
            assert isinstance(output.message, RedactedUpdate)
            shown = output.message.text
        yield shown


def words_of(shown: str) -> set[str]:
    """The words in clear, without case and punctuation."""
    return set(_WORD.findall(_PLACEHOLDER.sub(" ", shown).lower()))


@given(streams(), st.sampled_from(("settled", "settled", "final")))
@settings(max_examples=60, deadline=None)
@example([("reach me on four one five five five five oh one four two after six", [25, 32, 45])], "settled")
@example(
    [("write to jo dot marlow at example dot org now", [11, 18, 25, 33]), ("call her on oh two oh", [14, 18])],
    "settled",
)
def test_no_message_has_a_word_that_the_closed_text_would_not_release(
    stream: list[tuple[str, list[int]]], release: str
) -> None:
    updates = [(text[:cut], False) for text, cuts in stream for cut in sorted(cuts)]
    at = [i for i, (_, cuts) in enumerate(stream) for _ in cuts]
    closed = [words_of(shown) for text, _ in stream for shown in redact(iter([(text, True)]), release)]
    last, before = "", ""
    for place, ((text, _), shown) in enumerate(zip(updates, redact(iter(updates), release), strict=True)):
        allowed = set().union(*closed[: at[place] + 1])
        assert words_of(shown) <= allowed, (text, shown)
        if text.startswith(last):
            assert shown.startswith(before)
        last, before = text, shown
    *_, shown = redact(iter([*updates, (stream[-1][0], True)]), release)
    assert words_of(shown) <= set().union(*closed), shown
