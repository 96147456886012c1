"""Results of the GPU benchmark; times are the device's unless a field says otherwise."""

from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.harness.tables import Columns, Table, make_table
from consumers.common.console import percent


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the device, measured in the same run."""

    teraflops: float
    """Of a large matrix product in the linears' number format."""
    gigabytes: float
    """A second, read and written by a large copy."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of a word for every session, or of every segment computed whole (`saturated`)."""

    sessions: int
    saturated: bool
    tail_tokens: float
    """Computed by the tail in a step."""
    device_words: float
    """Words a second by device time: the tensor part."""
    words: float
    """Words a second by host time, which includes laying out requests and copying results."""
    p50_ms: float
    """Of a step, by host time."""
    p99_ms: float
    launches: float
    """Launch calls of a step, including copies."""
    kernels: float
    """Kernels that a step runs, including nodes of graphs."""
    waits: float
    """Calls of a step in which the host waits, without the one for the results; should be 0."""
    gemm_share: float
    """Of the measured rate, by the FLOPs of the step's linears."""
    bandwidth_share: float
    """Of the measured bandwidth, by the bytes that a step has to read and write."""


class EngineRow(msgspec.Struct, frozen=True, kw_only=True):
    """From updates in to revisions out, in one process."""

    sessions: int
    words: float
    """A second."""
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, sessions: int, seconds: Sequence[float]) -> "EngineRow":
        """Summarise steps of a word for each session."""
        p50, p99 = np.percentile(seconds, (50, 99)) * 1000
        rate = sessions / float(np.median(seconds))
        return cls(sessions=sessions, words=rate, p50_ms=float(p50), p99_ms=float(p99))


class KernelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel, or two that belong together, at one size, beside torch."""

    kernel: str
    size: str
    ours_us: float
    peers_us: dict[str, float]
    """By torch implementation, without those that failed."""
    failed: dict[str, str]
    """Why they did."""
    bandwidth_share: float

    @property
    def best(self) -> tuple[str, float] | None:
        """Return torch's fastest implementation and its time over ours; None if all failed."""
        if not self.peers_us:
            return None
        name = min(self.peers_us, key=self.peers_us.__getitem__)
        return name, self.peers_us[name] / self.ours_us


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """A figure to be reached."""

    name: str
    wanted: str
    got: str
    """Empty if it was not measured."""
    reached: bool


class DeviceReport(msgspec.Struct, kw_only=True):
    """All results so far."""

    tagger: str
    device: str
    policy: str
    words: int
    number_format: str
    limits: Limits
    rows: list[StepRow] = []
    engine: list[EngineRow] = []
    kernels: list[KernelRow] = []
    skipped: list[str] = []
    """Parts that were not measured because the time was up."""
    failed: dict[str, str] = {}
    """Parts that failed, with the error."""

    def aims(self) -> list[Aim]:
        """Compare the figures with the aims."""
        by_word = [x for x in self.rows if not x.saturated]
        tensor = max((x.device_words for x in by_word), default=0.0)
        engine = max((x.words for x in self.engine), default=0.0)
        late = next((x.p99_ms for x in by_word if x.sessions == AIM_SESSIONS), 0.0)
        share = next((x.gemm_share for x in self.rows if x.saturated), 0.0)
        return [
            _aim("tensor part", "2,000,000 words/s", f"{tensor:,.0f}", tensor, tensor >= 2e6),
            _aim("update to revision", "100,000 words/s", f"{engine:,.0f}", engine, engine >= 1e5),
            _aim(f"p99 of a step at {AIM_SESSIONS:,} sessions", "5 ms at most", f"{late:.2f}", late, late <= 5),
            _aim("share of the measured GEMM rate", "50 % at least", percent(share), share, share >= 0.5),
        ]


AIM_SESSIONS = 1000


def _aim(name: str, wanted: str, got: str, number: float, reached: bool) -> Aim:
    return Aim(name=name, wanted=wanted, got=got if number else "", reached=bool(number) and reached)


def step_table(rows: Sequence[StepRow]) -> Table:
    """Lay out steps."""
    steps: Columns[StepRow] = {
        "sessions": lambda x: f"{x.sessions:,}" + (", whole" if x.saturated else ""),
        "words/s, device": lambda x: f"{x.device_words:,.0f}",
        "words/s": lambda x: f"{x.words:,.0f}",
        "p50 ms": lambda x: f"{x.p50_ms:.2f}",
        "p99 ms": lambda x: f"{x.p99_ms:.2f}",
        "tail tokens": lambda x: f"{x.tail_tokens:,.1f}",
        "launches": lambda x: f"{x.launches:,.1f}",
        "kernels": lambda x: f"{x.kernels:,.1f}",
        "waits": lambda x: f"{x.waits:,.1f}",
        "of GEMM %": lambda x: percent(x.gemm_share),
        "of bandwidth %": lambda x: percent(x.bandwidth_share),
    }
    return make_table("steps", rows, steps)


def engine_table(rows: Sequence[EngineRow]) -> Table:
    """Lay out the whole engine."""
    engine: Columns[EngineRow] = {
        "sessions": lambda x: f"{x.sessions:,}",
        "words/s": lambda x: f"{x.words:,.0f}",
        "p50 ms": lambda x: f"{x.p50_ms:.2f}",
        "p99 ms": lambda x: f"{x.p99_ms:.2f}",
    }
    return make_table("from updates to revisions, one process", rows, engine)


def kernel_table(rows: Sequence[KernelRow]) -> Table:
    """Lay out kernels beside torch."""
    kernels: Columns[KernelRow] = {
        "kernel": lambda x: x.kernel,
        "size": lambda x: x.size,
        "torch's best": lambda x: f"{x.best[0]} {x.peers_us[x.best[0]]:.1f} us" if x.best else "-",
        "failed": lambda x: "; ".join(f"{name}: {why}" for name, why in x.failed.items()),
        "us": lambda x: f"{x.ours_us:.1f}",
        "ratio": lambda x: f"{x.best[1]:.2f}x" if x.best else "-",
        "of bandwidth %": lambda x: percent(x.bandwidth_share),
    }
    return make_table("kernels beside torch (above 1x: ours is faster)", rows, kernels, left=4)


def aim_table(report: DeviceReport) -> Table:
    """Lay out the aims."""
    aims: Columns[Aim] = {
        "aim": lambda x: x.name,
        "wanted": lambda x: x.wanted,
        "measured": lambda x: x.got or "not measured",
        "reached": lambda x: "yes" if x.reached else "no" if x.got else "-",
    }
    return make_table("aims", report.aims(), aims, left=2)


def describe(report: DeviceReport) -> str:
    """Say in one line what is measured, and the limits of the device."""
    return (
        f"{report.tagger} on {report.device}, {report.number_format}, {report.policy}, {report.words} words a segment; "
        f"measured limits: {report.limits.teraflops:,.0f} TFLOP/s, {report.limits.gigabytes:,.0f} GB/s"
    )
