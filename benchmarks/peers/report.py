"""Results of a comparison with peers."""

import msgspec

from benchmarks.harness.interleaved import SideRow
from benchmarks.harness.machine import Setting
from benchmarks.peers.agreement import PeerAgreement

OURS = "hearken"


class PeerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """How a peer was set up."""

    side: str
    version: str
    given: str


class PeersReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one run."""

    setting: Setting
    repeats: int
    window: int
    """Most tokens of a re-run: Hearken's own window."""
    share_of_core: float
    """Processor time over wall time of all sides together: below 1 something else was running."""
    rows: list[SideRow]
    given: list[PeerSetup]
    agreement: list[PeerAgreement]
    missing: dict[str, str]

    def ratios(self, row: SideRow) -> tuple[float, float, float] | None:
        """Return how many times as fast as this row Hearken is: with closing, without it, and by processor time."""
        (ours,) = (x for x in self.rows if (x.words, x.sessions, x.side) == (row.words, row.sessions, OURS))
        if row is ours:
            return None
        return (
            ours.words_per_second / row.words_per_second,
            ours.open_words_per_second / row.open_words_per_second,
            row.cpu_ms / ours.cpu_ms,
        )
