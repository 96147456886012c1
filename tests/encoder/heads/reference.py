"""References of the compiled head reader: textbook Viterbi, and the stability head evaluated in torch."""

import numpy as np
import torch
from numpy.typing import NDArray

from encoder.heads.stability import StabilityLogit
from encoder.heads.stability_head import HeadStability, make_features
from encoder.heads.viterbi import Decoded
from encoder.model.dense import StabilityHead

_EDGE = 1e-6


def stability_without_head(probability: NDArray[np.float32]) -> StabilityLogit:
    """Take the probability of the label for its stability: for checkpoints without a stability head."""
    p = probability.clip(_EDGE, 1 - _EDGE)
    return StabilityLogit(np.log(p / (1 - p)), np.zeros_like(p))


def decode_reference(
    names: tuple[str, ...], logits: NDArray[np.float32], starts: NDArray[np.int64], before: NDArray[np.int32]
) -> Decoded:
    """Reference of `Decoder.decode`: textbook Viterbi with a transition matrix and log-softmax."""
    allowed = np.array([[_follows(a, b) for b in names] for a in names])
    log_p = logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
    labels = np.empty(len(logits), np.int32)
    for s, previous in enumerate(before.tolist()):
        rows = log_p[starts[s] : starts[s + 1]]
        score = np.where([_follows(names[previous] if previous >= 0 else "O", b) for b in names], 0.0, -np.inf)
        steps: list[NDArray[np.intp]] = []
        for i, row in enumerate(rows):
            paths = score[:, None] + np.where(allowed, 0.0, -np.inf) if i else np.broadcast_to(score, allowed.shape)
            steps.append(paths.argmax(axis=0))
            score = (paths.max(axis=0) if i else score) + row
        best = int(score.argmax())
        for i in range(len(rows) - 1, -1, -1):
            labels[starts[s] + i] = best
            best = int(steps[i][best])
    p = np.exp(log_p)
    chosen = p[np.arange(len(labels)), labels].astype(np.float32)
    return Decoded(labels, chosen, -(p * log_p).sum(axis=1).astype(np.float32))


def _follows(a: str, b: str) -> bool:
    """Whether label `b` may follow label `a`."""
    return not b.startswith("I-") or a[2:] == b[2:]


def predict(
    stability: HeadStability,
    columns: NDArray[np.float32],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    entropy: NDArray[np.float32],
    right: NDArray[np.int32],
) -> StabilityLogit:
    """Compute base and drift of words that were just computed.

    Args:
        stability: of the tagger.
        columns: (N, labels + units) scores of the words.
        labels, probability, entropy, right: (N,) as `make_features` takes them.
    """
    if stability.head is None:
        base, drift = stability_without_head(probability)
    else:
        logits, products = columns[:, : stability.labels], columns[:, stability.labels :]
        features = make_features(logits, labels, probability, entropy, right)
        with torch.inference_mode():
            units = len(stability.head.features)
            head = StabilityHead(1, stability.labels, units)
            names = "label.weight", "features.weight", "out.weight", "out.bias"
            weights = dict(zip(names, map(torch.from_numpy, stability.head), strict=True))
            head.load_state_dict(weights, strict=False)
            out = head(
                torch.from_numpy(np.ascontiguousarray(products)),
                torch.from_numpy(labels.astype(np.int64)),
                torch.from_numpy(features),
            )
        base, drift = out.numpy().T
    scale, shift = np.float32(stability.scale), np.float32(stability.shift)
    return StabilityLogit(scale * base + shift, scale * drift)
