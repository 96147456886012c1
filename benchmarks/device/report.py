"""What the bench of a device found; microseconds and milliseconds are the device's unless a field says otherwise."""

from collections.abc import Sequence

import msgspec
import numpy as np


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the device does at best, measured in the same run."""

    teraflops: float
    """Of a large matrix product in the linears' number format."""
    gigabytes: float
    """A second, read and written by a large copy."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A word for every session, step after step; or every segment computed whole (`saturated`)."""

    sessions: int
    saturated: bool
    tail_tokens: float
    """A step, computed by the tail."""
    device_words: float
    """Words a second by the device's own time for a step: the tensor part."""
    words: float
    """Words a second by the clock of the host, which lays out requests and reads flips."""
    p50_ms: float
    """Of a step, by the host's clock."""
    p99_ms: float
    launches: float
    """A step: calls by which the host sets the device to work, copies among them."""
    kernels: float
    """A step: what then runs on the device, the nodes of graphs among them."""
    waits: float
    """A step: calls in which the host waits, beyond the one for the read-back. To be 0."""
    reruns: int
    """Steps whose tail ran twice."""
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
        """Sum up steps of a word for each session."""
        p50, p99 = np.percentile(seconds, (50, 99)) * 1000
        rate = sessions / float(np.median(seconds))
        return cls(sessions=sessions, words=rate, p50_ms=float(p50), p99_ms=float(p99))


class KernelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel, or two that belong together, at one size, beside torch's."""

    kernel: str
    size: str
    ours_us: float
    peers_us: dict[str, float]
    """Of each way that torch has; without those that failed."""
    failed: dict[str, str]
    """Why they did."""
    bandwidth_share: float

    @property
    def best(self) -> tuple[str, float] | None:
        """The fastest of torch's ways, and how many times as long it takes as ours."""
        if not self.peers_us:
            return None
        name = min(self.peers_us, key=self.peers_us.__getitem__)
        return name, self.peers_us[name] / self.ours_us


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    tagger: str
    device: str
    policy: str
    words: int
    number_format: str
    limits: Limits
    rows: list[StepRow]
    engine: list[EngineRow]
    kernels: list[KernelRow]
