import pytest

from encoder.restart.policies import Always, Entropy, Last, Never, Price, StabilityThreshold, Whether, parse_policy
from encoder.restart.policy_text import PolicyError
from tests.encoder.restart.reference import doubtful, point_of, restart_point_reference


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("always", Always()),
        ("never", Never()),
        ("last:3", Last(3)),
        ("entropy:.1", Entropy(0.1)),
        ("entropy:0", Entropy(0)),
        ("stability:.95", StabilityThreshold(0.95)),
        ("whether:1", Whether(1.0)),
        ("price:.02", Price(0.02)),
    ],
)
def test_parses(text, policy):
    assert parse_policy(text) == policy


WRONG = [
    "",
    "sometimes",
    "last",
    "last:",
    "last:0",
    "last:x",
    "last:1.5",
    "entropy:-1",
    "entropy:nan",
    "entropy:inf",
    "stability",
    "stability:1.01",
    "stability:-.1",
    "stability:nan",
    "whether:x",
]


@pytest.mark.parametrize("text", [*WRONG, "never:1", "always:"])
def test_refuses_with_what_is_allowed(text):
    with pytest.raises(PolicyError, match=r"last:K .* entropy:T"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("policy", "point"),
    [
        (Always(), 0),
        (Never(), 4),
        (Last(1), 4),
        (Last(3), 2),
        (Last(9), 0),
        (Entropy(0.15), 1),
        (Entropy(0.5), 4),
        (StabilityThreshold(0.85), 1),
        (StabilityThreshold(0.5), 4),
        (StabilityThreshold(1.0), 0),
        (Whether(0.7), 0),
        (Whether(0.55), 4),
    ],
)
def test_points(policy, point):
    standing = doubtful([0.1, 0.2, 0.1, 0.4])
    assert point_of(policy, standing) == point
    assert restart_point_reference(policy, standing) == point


@pytest.mark.parametrize("policy", [Always(), Never(), Last(2), Entropy(0.1)])
def test_an_empty_segment_starts_at_its_start(policy):
    assert point_of(policy, doubtful([])) == 0
