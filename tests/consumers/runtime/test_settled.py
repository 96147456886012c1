"""Thresholds of settled text: by hand, else as calibrated; a risk is promised where it was measured."""

import pytest
from structlog.testing import capture_logs

from consumers.common.settings import EngineSettings
from consumers.runtime.promises import ServedTagger
from consumers.runtime.settled import choose_rules, log_settled, watch_settled
from stream.revisions.emission import LOW, Emission
from stream.revisions.settled import DEFAULT_THRESHOLD
from tests.encoder.checkpoints.test_calibration import SETTLED
from tests.stream.hybrid import two_headed_tagger

POLICY = SETTLED.policy
MEASURED = Emission(SETTLED.show, SETTLED.change, SETTLED.wait)


@pytest.fixture
def served():
    tagger = two_headed_tagger()
    object.__setattr__(tagger, "settled", {"a": SETTLED})
    return [ServedTagger(tagger, ("a", "b"))]


@pytest.mark.parametrize(
    ("given", "level", "policy", "thresholds", "risks"),
    [
        (None, MEASURED, POLICY, (0.97, DEFAULT_THRESHOLD), {"a": 0.01}),
        (0.98, MEASURED, POLICY, (0.98, 0.98), {"a": 0.01}),
        (0.9, MEASURED, POLICY, (0.9, 0.9), {}),
        (None, Emission(SETTLED.show, SETTLED.change, 3), POLICY, (0.97, DEFAULT_THRESHOLD), {}),
        (None, LOW, POLICY, (0.97, DEFAULT_THRESHOLD), {}),
        (None, MEASURED, "always", (0.97, DEFAULT_THRESHOLD), {}),
    ],
)
def test_a_risk_is_promised_where_it_was_measured(served, given, level, policy, thresholds, risks):
    rules = choose_rules(EngineSettings(settled_threshold=given, publish_settled=True), served)
    assert tuple(rules.rule_of(x).threshold for x in "ab") == thresholds
    assert rules.publish
    watch = watch_settled(rules, served, level, policy)
    assert {tagger: x.alpha for tagger, x in watch.evidence.items()} == risks
    with capture_logs() as logs:
        log_settled(rules, watch, ("a", "b"))
    assert [(x["tagger"], x["threshold"], x["risk"]) for x in logs] == [
        ("a", thresholds[0], risks.get("a")),
        ("b", thresholds[1], None),
    ]


def test_a_head_that_is_not_served_promises_nothing(served):
    other = [ServedTagger(x.tagger, ("b",)) for x in served]
    rules = choose_rules(EngineSettings(), other)
    assert rules.by_tagger == {}
    assert watch_settled(rules, other, MEASURED, POLICY).evidence == {}
