"""Whether a peer computes what it was given: its scores against our own dense encoder of the same weights."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.peer import Batch, Batches, Format, IntArray, Peer, PeerMismatch, pad
from encoder.model.dense import HybridModel


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How near one peer's scores in one number format are to ours in float32."""

    peer: str
    format: str
    error: float
    """Root of the mean square of the differences, as a share of that of the scores."""
    same_labels: float
    """Share of the tokens that get the same label."""
    allowed: float


def check_peers(peers: Iterable[Peer], model: HybridModel, texts: Sequence[IntArray]) -> list[Agreement]:
    """Compare on texts of different lengths in one padded batch.

    Raises:
        PeerMismatch: a peer's scores are further off than its number format explains.
    """
    batch = pad(texts)
    ours = dense_scores(model, batch)
    found: dict[tuple[str, str], Agreement] = {}
    for peer in peers:
        for way in peer.ways:
            if isinstance(way, Batches) and (peer.name, way.format.name) not in found:
                found[peer.name, way.format.name] = _compare(peer.name, way.format, batch, ours)
    return list(found.values())


def dense_scores(model: HybridModel, batch: Batch) -> NDArray[np.float32]:
    """Scores of our dense model, (B, T, labels); every query sees all tokens of its text."""
    ids = torch.from_numpy(batch.ids)
    last = torch.from_numpy(batch.mask.sum(1, keepdims=True) - 1).expand_as(ids)
    with torch.inference_mode():
        scores: NDArray[np.float32] = model(ids, torch.arange(ids.shape[1]).expand_as(ids), last).numpy()
    return scores


def _compare(name: str, format: Format, batch: Batch, ours: NDArray[np.float32]) -> Agreement:
    theirs = format.infer(batch)
    scores = theirs.float().numpy() if isinstance(theirs, torch.Tensor) else np.asarray(theirs, np.float32)
    seen = batch.mask.astype(bool)
    a, b = scores[seen], ours[seen]
    found = Agreement(
        peer=name,
        format=format.name,
        error=float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2))),
        same_labels=float(np.mean(a.argmax(-1) == b.argmax(-1))),
        allowed=format.tolerance,
    )
    if not found.error <= format.tolerance:  # also where it is no number
        raise PeerMismatch(
            f"{name} in {format.name} is {found.error:.3f} off the weights that it was given ({format.tolerance} is "
            "allowed): its time would say nothing"
        )
    return found
