"""An update that changes no span takes a short path: what comes out is what the long one gives, to the byte."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stream.engine.update_comparer
from encoder.restart.policies import parse_policy
from encoder.tagger import Tagger
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import Labelling
from stream.revisions.emission import parse_emission
from stream.revisions.settled import SettledRule, SettledRules
from stream.sessions.snapshot import restore_sessions
from tests.stream.cuts import encode_value
from tests.stream.helpers import drain
from tests.stream.hybrid import ACTS, SCORES, tiny_tagger
from tests.stream.streams import ALL, messages, steps
from tests.tiny import LABELS, WORDS, tiny_checkpoint

PLAIN = ["we", "met", "in", "and", "the", "x", "e\u0301", ",", *WORDS]
SIGNS = ["*", "*x", "-", ".", "'s", "x!", "\u200b", "😀", "(", "s t u p i", "d", "f*", "**k"]
CALM = 9.0
"""Added to the score of no label."""
POLICIES = ["price:0.01", "stability:0.6", "never", "last:2", "always"]


@cache
def calm_tagger(heads: int) -> Tagger:
    """Most words have no label, as in life."""
    two = {"labels": ("O",), "taggers": {"a": LABELS, "b": ACTS}, "text_scores": SCORES} if heads == 2 else {}
    checkpoint = tiny_checkpoint(stability=8, **two)
    checkpoint.weights["head.bias"][[0, len(LABELS)][:heads]] += CALM
    return tiny_tagger(checkpoint)


class Mute(HybridLabeller):
    """Says nothing of what changed, so that the engine has to compare readings."""

    def decode(self, plans: Sequence[Any]) -> list[tuple[Labelling, ...]]:
        return [tuple(map(_forget, readings)) for readings in super().decode(plans)]


def _forget(x: Labelling) -> Labelling:
    return Labelling(x.starts, x.ends, x.labels, x.probability, x.stability, x.spans, x.work, scores=x.scores)


def run(
    labeller: HybridLabeller,
    told,
    policy: str,
    level: str,
    crash: int,
    coalesce: bool,
    settled: SettledRule | None = None,
) -> list[object]:
    said: list[object] = []
    kept: dict[tuple[str, str | None], Any] = {}
    rules = SettledRules(dict.fromkeys(("tiny", "a", "b"), settled or SettledRule()), publish=settled is not None)
    make = partial(
        Engine, labeller, parse_policy(policy), emission=parse_emission(level), coalesce=coalesce, rules=rules
    )
    engine = make()
    for offset, message in enumerate(told):
        engine.submit(message, offset)
        if coalesce and offset % 3:
            continue
        for result in drain(engine):
            said += [*result.revisions, result.stats, result.answered, result.settled]
            said += [(x.session, x.segment, x.value and encode_value(x.value)) for x in result.entries]
            kept |= {(x.session, x.segment): x for x in result.entries}
        if offset == crash:
            for session in engine.intake.sessions:
                engine.drop(session)
            drain(engine)
            engine = make()
            for session, saved in restore_sessions(kept.values()).items():
                engine.restore(saved, session)
    return said


@pytest.mark.parametrize("heads", [1, 2])
@given(
    script=steps([*PLAIN, *SIGNS], [*ALL, *["append", "delta"] * 8], most=25),
    policy=st.sampled_from(POLICIES),
    level=st.sampled_from(["low", "0.52:0.5", "medium"]),
    crash=st.integers(0, 30),
    coalesce=st.booleans(),
    settled=st.none() | st.builds(SettledRule, st.sampled_from([0.1, 0.5, 0.6, 0.9])),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_short_path_says_what_the_long_one_says(heads, script, policy, level, crash, coalesce, settled):
    told = messages(script)
    said = [run(x(calm_tagger(heads)), told, policy, level, crash, coalesce, settled) for x in (HybridLabeller, Mute)]
    assert said[0] == said[1]


def test_most_updates_take_it_and_some_do_not(monkeypatch):
    taken: list[bool] = []
    judge = stream.engine.update_comparer.spans_unchanged
    monkeypatch.setattr(
        stream.engine.update_comparer, "spans_unchanged", lambda *about: taken.append(judge(*about)) or taken[-1]
    )
    told = messages([(0, 0, "append", (word,), 0) for word in PLAIN])
    run(HybridLabeller(calm_tagger(1)), told, "price:0.01", "low", -1, coalesce=False)
    assert len(told) / 2 < sum(taken) < len(taken) - 1
    taken.clear()
    run(Mute(calm_tagger(1)), told, "price:0.01", "low", -1, coalesce=False)
    assert not any(taken)
