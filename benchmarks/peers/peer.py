"""What a peer is: a name, what it was given, and ways to run it, of which the fastest is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.quiet import quiet
from encoder.checkpoints.checkpoint import Checkpoint

IntArray = NDArray[np.int64]


class MissingPackages(Exception):
    """A peer cannot run here; the message says what to install."""


class PeerMismatch(Exception):
    """A peer's scores are not those of the weights that it was given: its time would say nothing."""


class Step(NamedTuple):
    """What all sessions have said by one word."""

    texts: list[str]
    ids: list[IntArray]
    """(n,) each: the tokens of one window at most."""


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
        """Tell whether it is worth to try for so many texts."""
        ...

    def prepare(self, step: Step) -> Any:
        """Lay a step out for `run`; it is not charged."""
        ...

    def run(self, prepared: Any) -> None:
        """Label the step; it is charged."""
        ...


@dataclass(frozen=True)
class Format:
    """A neural peer in one number format."""

    name: str
    infer: Infer
    tolerance: float
    """How far its scores may be from ours in float32: root of the mean square, as a share of that of the scores."""


@dataclass(frozen=True)
class Batches:
    """A format with at most so many texts at once, those of like length together."""

    format: Format
    most: int | None
    """None: all of them."""

    @property
    def name(self) -> str:
        """Number format and size of batches."""
        if self.most == 1:
            return f"{self.format.name}, one by one"
        return f"{self.format.name}, " + ("all in a batch" if self.most is None else f"batches of {self.most}")

    def differs(self, texts: int) -> bool:
        """Tell whether this is another way than one with smaller batches, for so many texts."""
        return self.most == 1 or texts > (self.most or 1)

    def prepare(self, step: Step) -> list[Batch]:
        """Sort by length, so that little is padded."""
        texts = sorted(step.ids, key=len)
        most = self.most or len(texts)
        return [pad(texts[i : i + most]) for i in range(0, len(texts), most)]

    def run(self, prepared: list[Batch]) -> None:
        """Run batch after batch."""
        for batch in prepared:
            self.format.infer(batch)


@dataclass(frozen=True)
class Peer:
    """Something to compare with; its packages are here."""

    name: str
    version: str
    given: str
    """How it was set up, for readers."""
    ways: Sequence[Way]
    sessions: int | None = None
    """It labels one text after the other, so no more sessions than these need be measured to know its rate."""


@dataclass(frozen=True)
class Material:
    """What peers are made of."""

    checkpoint: Checkpoint
    calibration: list[IntArray]
    """Tokens of texts, not those that are timed: where numbers of quantisation come from."""


Build = Callable[[Material], list[Peer]]
"""Raises MissingPackages."""


@dataclass
class Gathered:
    """The peers that there are."""

    peers: list[Peer] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """By name, why each other one is left out."""


def gather(builds: dict[str, Build], material: Material, tell: Callable[[str], None]) -> Gathered:
    """Make all peers whose packages are here; `tell` is told of each before it is made (seconds each)."""
    found = Gathered()
    for name, build in builds.items():
        tell(name)
        try:
            with quiet():
                found.peers += build(material)
        except MissingPackages as error:
            found.missing[name] = str(error)
    return found


def pad(texts: Sequence[IntArray]) -> Batch:
    """Put texts, (n,) each, into one batch."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for i, text in enumerate(texts):
        ids[i, : len(text)] = text
        mask[i, : len(text)] = 1
    return Batch(ids, mask)
