"""How far text may be released: against the definition, and on values that are still being spoken."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.labelling.labeller import NO_WORDS
from stream.redaction.covers import Cover
from stream.redaction.policy import RedactionPolicy
from stream.redaction.release_limit import (
    BEGUN,
    DOUBTFUL,
    NEWER,
    NEWER_DOUBTFUL,
    NEWER_RULES,
    SURE,
    RuleView,
    TaggerView,
    find_release_limit,
)
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction
from stream.revisions.settled import SettledRule
from tests.stream.redaction.test_release import MARK, detect, streams

RULE = SettledRule(0.9)
_SURE = st.sampled_from((0.2, 0.6, 0.93, 0.99))


def view(text: str, stability: list[float], covered: list[bool], settled: int = 0, rule: SettledRule = RULE):
    """What a tagger says that covers some of the words of a text, each alone."""
    bounds = list(word_bounds(text))
    starts, ends = (np.array([x[i] for x in bounds], np.int32) for i in (0, 1))
    reading = NO_WORDS.replace(starts=starts, ends=ends, stability=np.array(stability, np.float32))
    covers = [Cover(a, b, "phone") for (a, b), yes in zip(bounds, covered, strict=True) if yes]
    return TaggerView(reading, settled, rule, covers)


def word_bounds(text: str):
    at = 0
    for word in text.split(" "):
        if word:
            yield at, at + len(word)
        at += len(word) + 1


@st.composite
def cases(draw: st.DrawFn):
    n = draw(st.integers(0, 14))
    text = " ".join(draw(st.lists(st.sampled_from(("a", "bb", "ccc")), min_size=n, max_size=n)))
    text += draw(st.sampled_from(("", " "))) if text else ""
    taggers = [
        view(
            text,
            draw(st.lists(_SURE, min_size=n, max_size=n)),
            draw(st.lists(st.booleans(), min_size=n, max_size=n)),
            draw(st.integers(0, len(text))),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    covered = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    covers = [Cover(*x, "card") for x, yes in zip(word_bounds(text), covered, strict=True) if yes]
    return text, taggers, RuleView(draw(st.integers(0, len(text))), covers)


def slowly(text: str, taggers, rules, whole: bool) -> int:
    """The last place up to which every word may go out, as `stream.redaction.release_limit` has it."""
    words = list(word_bounds(text))

    def is_covered(k: int, covers) -> bool:
        return any(x.start < words[k][1] and x.end > words[k][0] for x in covers)

    def may_go(k: int) -> bool:
        newer, end = len(words) - 1 - k, words[k][1]
        if end == len(text):
            return False
        owners = [x for x in taggers if is_covered(k, x.covers)]
        if not owners and not is_covered(k, rules.covers):
            plain = all(end <= x.settled or x.reading.stability[k] >= np.float32(x.rule.threshold) for x in taggers)
            return plain and end <= rules.settled
        sure = max([float(x.reading.stability[k]) for x in owners], default=0)
        by_rules = is_covered(k, rules.covers) and newer >= NEWER_RULES
        by_taggers = sure >= SURE or (sure >= DOUBTFUL and newer >= NEWER_DOUBTFUL)
        return newer >= NEWER and (by_rules or by_taggers)

    k = 0
    while k < len(words) and may_go(k):
        k += 1
    everyone = [x for view in (*taggers, rules) for x in view.covers]
    while whole and k and is_covered(k - 1, everyone):
        k -= 1
    return words[k][0] if k < len(words) else len(text)


@given(cases(), st.booleans())
def test_a_limit_is_that_of_its_definition(case, whole):
    assert find_release_limit(case[0], 0, case[1], case[2], whole=whole) == slowly(*case, whole)


def test_a_long_number_goes_out_while_it_is_said_and_one_doubt_does_not_hold_it():
    text = "it is " + "two one " * 8
    words = text.split()
    covered = [False] * 2 + [True] * 16
    sure = view(text, [0.97] * len(words), covered)
    assert text[: find_release_limit(text, 0, [sure], RuleView(len(text)), whole=False)].split() == words[:-NEWER]
    assert find_release_limit(text, 0, [sure], RuleView(len(text)), whole=True) == 6
    stability = [0.97] * len(words)
    stability[4] = 0.6
    doubtful = view(text, stability, covered)
    assert text[: find_release_limit(text, 0, [doubtful], RuleView(len(text)), whole=False)].split() == words[:-NEWER]
    stability[0] = 0.6
    assert find_release_limit(text, 0, [view(text, stability, covered)], RuleView(len(text)), whole=False) == 0


def test_at_a_threshold_of_one_no_plain_word_goes_out_before_the_close():
    view_at_one = view("all is well now ", [1.0] * 4, [False] * 4, rule=SettledRule(1.0))
    assert find_release_limit("all is well now ", 0, [view_at_one], RuleView(16), whole=False) == 0


@given(streams(), st.sampled_from(("label", "mask")), st.data())
def test_no_part_of_a_value_is_out_that_is_released_while_it_grows(updates, style, data):
    session, segment = SessionRedaction(RedactionPolicy(style=style), "s"), SegmentRedaction()
    for i, text in enumerate(updates):
        final = i == len(updates) - 1
        seen = detect(text)
        begun = [] if final or seen.settled == len(text) else [Cover(seen.settled, len(text), "phone")]
        places = [a for a, _ in word_bounds(text) if begun or a <= seen.settled] or [0]
        limit = data.draw(st.sampled_from(places))
        shown = session.redact_segment(segment, text, [*seen.covers, *begun], limit, final=final)
        assert MARK not in (shown or "").lower()


def test_an_address_waits_for_its_end_before_it_stands_for_its_beginning():
    text = "write to anna dot kovacs at fastpost dot org and then "
    start, limits = text.index("anna"), []
    for end, score in ((text.index("dot org"), BEGUN), (len(text), 0.95)):
        rules = RuleView(start, [Cover(start, min(end - 1, text.index(" and")), "email", score)])
        limits.append(find_release_limit(text[:end], 0, [], rules, whole=False))
    assert limits[0] == start
    assert limits[1] > start
