"""A disguised word that comes letter by letter changes how words before it are read, but not the final labels."""

import pytest

from encoder.restart.policies import parse_policy
from encoder.train.data.contrast.disguise import KINDS, disguise
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from tests.stream.engine.test_short_path import Mute, calm_tagger, run
from tests.stream.helpers import tell, update
from tests.stream.hybrid import tiny_tagger

SOME = [
    "leet",
    "asterisk",
    "spaces",
    "full stops and spaces",
    "emoji between",
    "long vowel",
    "zalgo",
    "regional indicators",
]
POLICIES = ["price:0.01", "never", "last:2", "always"]


@pytest.mark.parametrize("policy", POLICIES)
def test_final_labels_of_disguised_words_are_those_of_the_whole_text(policy):
    engine, whole = (Engine(tiny_tagger(), parse_policy(policy)) for _ in range(2))
    assert set(SOME) <= KINDS.keys()
    for kind in SOME:
        text = f"we met a {disguise(kind, 'stupid')} in paris, {disguise(kind, 'bitch')} 1d10t f***"
        for end in range(1, len(text) + 1):
            for revision in tell(engine, update(kind, text[:end]), first=end):
                assert all(x.text == text[x.start : x.end] for x in revision.spans)
                assert all(a.end <= b.start for a, b in zip(revision.spans, revision.spans[1:], strict=False))
        last = tell(engine, update(kind, text, final=True), first=len(text) + 1)[-1]
        offline = tell(whole, update(kind, text, final=True))[-1]
        assert [(x.start, x.end, x.label) for x in last.spans] == [(x.start, x.end, x.label) for x in offline.spans]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "cuts", [("1d10t", "*k"), ("s t u p i", " d"), ("we f*", "*k"), ("stuuup", "id"), ("f***", "x")]
)
def test_a_word_that_is_read_in_another_way_is_no_growth(policy, cuts):
    """The engine compares the labels, as it does where a labeller says nothing of what changed."""
    told = [update("u", cuts[0]), update("u", "".join(cuts))]
    said = [run(x(calm_tagger(1)), told, policy, "low", -1, coalesce=False) for x in (HybridLabeller, Mute)]
    assert said[0] == said[1]


def test_an_update_that_joins_letters_relabels_them():
    """The letters are one word now, so a span of one of them alone is gone, by the input or by the model."""
    engine = Engine(tiny_tagger(), parse_policy("always"))
    tell(engine, update("u", "we met s t u p i"))
    state = tell(engine, update("u", "we met s t u p i d"), first=1)
    for revision in state:
        assert all((x.start <= 7 and x.end >= 18) or x.end <= 7 for x in revision.spans)
