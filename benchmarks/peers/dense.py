"""Re-runs by our own code of the tagger's weights: dense in plain torch, and packed with the engine's kernels.

The packed re-run has the engine's kernels and no padding but keeps nothing between words: what it is slower by than
the engine is what caches and restart points save, the rest is the kernels.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.peers.bert_weights import dense_twin
from benchmarks.peers.peer import SINGLE_TEXT_SESSIONS, Batch, Batches, Infer, Material, Peer, PeerFormat, Step
from encoder.model.dense import HybridModel
from encoder.runtime.interface import Encoder
from encoder.runtime.passes import Pass

ALONE, BATCHED, PACKED = "re-run one by one", "re-run batched", "re-run packed"


def build(material: Material) -> list[Peer]:
    """Make the dense model in float32 and bfloat16, and the packed side in the tagger's number format."""
    model = dense_twin(material.checkpoint)
    half = dense_twin(material.checkpoint).to(torch.bfloat16)
    formats = [PeerFormat("float32", infer_dense(model), 1e-4), PeerFormat("bfloat16", infer_dense(half), 0.03)]
    version, given = f"torch {torch.__version__}", "the tagger's weights, every layer looking both ways; inference mode"
    peers = [
        Peer(ALONE, version, given, [Batches(x, 1) for x in formats], sessions=SINGLE_TEXT_SESSIONS),
        Peer(BATCHED, version, given, [Batches(x, most) for x in formats for most in (8, None)], batched=True),
    ]
    return [*peers, *build_packed(material)]


def build_packed(material: Material) -> list[Peer]:
    """Make the packed side in the tagger's number format: the best engine that keeps nothing between words."""
    if material.encoder is None:
        return []
    given = "the engine's encoder and kernels, all texts in one pass without padding, nothing kept between words"
    return [Peer(PACKED, "", given, [PackedWay(material.encoder)])]


def infer_dense(model: HybridModel) -> Infer:
    """Return a function that computes scores of a padded batch; every query sees all tokens of its text."""

    def infer(batch: Batch) -> torch.Tensor:
        ids = torch.from_numpy(batch.ids)
        last = torch.from_numpy(batch.mask.sum(1, keepdims=True) - 1).expand_as(ids)
        with torch.inference_mode():
            scores: torch.Tensor = model(ids, torch.arange(ids.shape[1]).expand_as(ids), last)
        return scores

    return infer


@dataclass
class PackedWay:
    """The engine's encoder over whole texts, all in one pass; it holds a slot of the encoder for each text."""

    encoder: Encoder
    slots: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Number format."""
        return f"{self.encoder.number_format}, packed"

    def differs(self, texts: int) -> bool:
        """Return True: it is the only way."""
        return True

    def prepare(self, step: Step) -> list[Pass]:
        """Make a pass of each text, from its first token."""
        self.slots += [self.encoder.open_slot() for _ in range(len(self.slots), len(step.ids))]
        return [Pass(slot, 0, ids.astype(np.int32), 0, 0) for slot, ids in zip(self.slots, step.ids, strict=False)]

    def run(self, prepared: list[Pass]) -> None:
        """Compute all passes and take the best label of each token."""
        self.encoder.step(prepared).logits.argmax(-1)
