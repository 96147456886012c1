"""What is said of topics' settings where one broker cannot show it: several replicas. The rest is in tests/kafka."""

import pytest

from consumers.formats.decode import MAX_BYTES
from consumers.kafka.client.clients import MAX_REQUEST
from consumers.kafka.topics.rules import LARGEST_RECORD, LARGEST_STATE, WANTED, TopicRole, find_faults


@pytest.mark.parametrize("role", list(WANTED))
def test_what_we_make_is_without_fault(role: TopicRole) -> None:
    assert find_faults(role, WANTED[role] | {"min.insync.replicas": "2"}, replication=3) == []
    assert find_faults(role, {}, replication=1) == []


@pytest.mark.parametrize(
    ("in_sync", "replication", "severity", "said"),
    [
        (4, 3, "error", "only 3 replicas: nothing can be written; set min.insync.replicas=2"),
        (3, 3, "warning", "while one broker is down; set min.insync.replicas=2"),
        (2, 2, "warning", "while one broker is down; set min.insync.replicas=1"),
        (1, 3, "warning", "can be lost with it; set min.insync.replicas=2"),
    ],
)
def test_replicas_that_do_not_add_up(in_sync: int, replication: int, severity: str, said: str) -> None:
    (fault,) = find_faults("output", {"min.insync.replicas": str(in_sync)}, replication)
    assert fault.severity == severity
    assert said in fault.detail


def test_the_largest_we_send_fits() -> None:
    assert LARGEST_RECORD > MAX_BYTES
    assert LARGEST_STATE > MAX_REQUEST


def test_a_codec_that_we_cannot_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.kafka.topics.rules.READABLE", ("producer", "uncompressed", "gzip"))
    assert [x.severity for x in find_faults("input", {"compression.type": "zstd"}, 1)] == ["error"]
    assert find_faults("input", {"compression.type": "gzip"}, 1) == []
