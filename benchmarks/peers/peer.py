"""Interface of a peer: a name, how it was set up, and ways to run it, of which the fastest is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.quiet import quiet
from encoder.checkpoints.checkpoint import Checkpoint
from encoder.runtime.interface import Encoder

IntArray = NDArray[np.int64]
SINGLE_TEXT_SESSIONS = 4
"""Sessions that suffice to measure the rate of a peer that labels one text after the other."""


class MissingPackages(Exception):
    """A package that a peer needs is missing; the message says what to install."""


class PeerMismatch(Exception):
    """A peer's scores are not those of the weights that it was given, so its time would mean nothing."""


class Step(NamedTuple):
    """The texts of all sessions after some word."""

    texts: list[str]
    ids: list[IntArray]
    """(n,) each: the tokens of the last window."""


class Batch(NamedTuple):
    """Texts padded to the longest of them."""

    ids: IntArray  # (B, T)
    mask: IntArray  # (B, T) 1 where there is a token


Infer = Callable[[Batch], Any]
"""Gives logits, (B, T, labels): an array or a tensor."""


class Way(Protocol):
    """One way to run a peer."""

    @property
    def name(self) -> str:
        """Number format and size of batches."""
        ...

    def differs(self, texts: int) -> bool:
        """Return whether it is worth trying with this number of texts."""
        ...

    def prepare(self, step: Step) -> Any:
        """Lay out a step for `run`; not timed."""
        ...

    def run(self, prepared: Any) -> None:
        """Label the step; timed."""
        ...


@dataclass(frozen=True)
class PeerFormat:
    """A neural peer in one number format."""

    name: str
    infer: Infer
    tolerance: float
    """Largest allowed distance of its scores from ours in float32: relative root mean square error."""


@dataclass(frozen=True)
class Batches:
    """A format in batches of at most `most` texts of similar length."""

    format: PeerFormat
    most: int | None
    """None: all of them."""

    @property
    def name(self) -> str:
        """Number format and size of batches."""
        if self.most == 1:
            return f"{self.format.name}, one by one"
        return f"{self.format.name}, " + ("all in a batch" if self.most is None else f"batches of {self.most}")

    def differs(self, texts: int) -> bool:
        """Return whether it differs from smaller batches with this number of texts."""
        return self.most == 1 or texts > (self.most or 1)

    def prepare(self, step: Step) -> list[Batch]:
        """Sort by length, so that padding is small."""
        texts = sorted(step.ids, key=len)
        most = self.most or len(texts)
        return [pad(texts[i : i + most]) for i in range(0, len(texts), most)]

    def run(self, prepared: list[Batch]) -> None:
        """Run batch after batch."""
        for batch in prepared:
            self.format.infer(batch)


@dataclass(frozen=True)
class Peer:
    """A side to compare with, whose packages are installed."""

    name: str
    version: str
    given: str
    """How it was set up, for the report."""
    ways: Sequence[Way]
    sessions: int | None = None
    """Most sessions that need to be measured, for a peer that labels one text after the other."""
    batched: bool = False
    """It differs from another peer only where there are several sessions."""


@dataclass(frozen=True)
class Material:
    """What peers are built from."""

    checkpoint: Checkpoint
    calibration: list[IntArray]
    """Tokens of texts that calibrate quantisation; other texts than those that are timed."""
    encoder: Encoder | None = None
    """The tagger's own, for the packed re-run."""


Build = Callable[[Material], list[Peer]]
"""Raises MissingPackages."""


@dataclass
class BuiltPeers:
    """The peers that could be built."""

    peers: list[Peer] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """By name, why each of the others could not."""


def build_peers(builds: dict[str, Build], material: Material, progress: Callable[[str], None]) -> BuiltPeers:
    """Build all peers whose packages are installed; `progress` is called with each name before (seconds each)."""
    found = BuiltPeers()
    for name, build in builds.items():
        progress(name)
        try:
            with quiet():
                found.peers += build(material)
        except MissingPackages as error:
            found.missing[name] = str(error)
    return found


def pad(texts: Sequence[IntArray]) -> Batch:
    """Pad texts, (n,) each, to one batch."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = text
        mask[i, : len(text)] = 1
    return Batch(ids, mask)
