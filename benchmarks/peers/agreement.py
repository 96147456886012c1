"""PeerAgreement of a peer with its weights: its scores against those of our own dense encoder."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.dense import infer_dense
from benchmarks.peers.peer import Batch, Batches, IntArray, Peer, PeerFormat, PeerMismatch, pad
from encoder.model.dense import HybridModel


class PeerAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """Distance of one peer's scores in one number format from ours in float32."""

    peer: str
    format: str
    error: float
    """Relative root mean square error."""
    same_labels: float
    """Share of the tokens with the same best label."""
    allowed: float


def check_peers(peers: Iterable[Peer], model: HybridModel, texts: Sequence[IntArray]) -> list[PeerAgreement]:
    """Compare on texts of different lengths in one padded batch.

    Raises:
        PeerMismatch: a peer's scores differ by more than its number format explains.
    """
    batch = pad(texts)
    ours = dense_scores(model, batch)
    found: dict[tuple[str, str], PeerAgreement] = {}
    for peer in peers:
        for way in peer.ways:
            if isinstance(way, Batches) and (peer.name, way.format.name) not in found:
                found[peer.name, way.format.name] = _compare(peer.name, way.format, batch, ours)
    return list(found.values())


def dense_scores(model: HybridModel, batch: Batch) -> NDArray[np.float32]:
    """Return the scores of our dense model, (B, T, labels) float32; every query sees all tokens of its text."""
    scores: NDArray[np.float32] = infer_dense(model)(batch).numpy()
    return scores


def _compare(name: str, format: PeerFormat, batch: Batch, ours: NDArray[np.float32]) -> PeerAgreement:
    theirs = format.infer(batch)
    scores = theirs.float().numpy() if isinstance(theirs, torch.Tensor) else np.asarray(theirs, np.float32)
    seen = batch.mask.astype(bool)
    a, b = scores[seen], ours[seen]
    found = PeerAgreement(
        peer=name,
        format=format.name,
        error=float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2))),
        same_labels=float(np.mean(a.argmax(-1) == b.argmax(-1))),
        allowed=format.tolerance,
    )
    if not found.error <= format.tolerance:  # also where it is no number
        raise PeerMismatch(
            f"the scores of {name} in {format.name} differ by {found.error:.3f} from those of its weights (allowed: "
            f"{format.tolerance}), so its time would mean nothing"
        )
    return found
