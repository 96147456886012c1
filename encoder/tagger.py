"""Taggers: checkpoints loaded and ready to label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from encoder.checkpoints.calibration import Promise, SettledThreshold
from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint
from encoder.checkpoints.location import CheckpointError
from encoder.checkpoints.names import choose_taggers
from encoder.heads.head import Head
from encoder.heads.reader import HeadReader
from encoder.heads.stability_head import HeadStability
from encoder.heads.text_scores import TextScores
from encoder.heads.viterbi import Decoder
from encoder.model.config import HybridConfig
from encoder.restart.policy_text import DEFAULT_PRICE, most_cautious_policy
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.gpu.device import CPU, choose_device
from encoder.runtime.interface import Encoder
from encoder.session.pool import SessionPool
from encoder.tokenizer.incremental import IncrementalTokenizer


@dataclass(frozen=True, slots=True)
class Tagger:
    """Tokenizer, encoder, sessions and heads of one checkpoint. Not thread-safe: one compute thread owns it."""

    name: str
    config: HybridConfig
    tokenizer: IncrementalTokenizer
    sessions: SessionPool
    heads: tuple[Head, ...]
    """At least one, in the order of `config.label_sets`."""
    promises: Mapping[str, Promise] = field(default_factory=dict)
    """What was promised of published spans, by the name of the head; some or all may be missing."""
    settled: Mapping[str, SettledThreshold] = field(default_factory=dict)
    """Thresholds of settled text, likewise."""

    @property
    def encoder(self) -> Encoder:
        """The encoder that all sessions share."""
        return self.sessions.encoder

    @property
    def default_policy(self) -> str | None:
        """Default restart policy: the most cautious of its heads'; None if they have none in common."""
        return most_cautious_policy([head.default_policy for head in self.heads])


def load_tagger(
    name: str,
    *,
    max_sessions: int = 1024,
    max_pages: int | None = None,
    kernels: str = "auto",
    number_format: str = "auto",
    calibrated: bool = True,
    head: str | None = None,
    device: str | None = None,
) -> Tagger:
    """Load a shipped tagger by name ("ner") or a checkpoint folder by path.

    Args:
        name: shipped name or folder.
        max_sessions: sessions that can be cached at the same time; there may be more, which are then evicted.
        max_pages: memory limit of the cache in pages; None for the encoder's default.
        kernels: "auto", "torch", "numba" or "fused".
        number_format: "auto", "float32", "bfloat16" or "int8".
        calibrated: use the folder's calibration, if it has one.
        head: load only this head; None: all of them.
        device: "auto", "cpu", "cuda" or "cuda:N"; None: the value of HEARKEN_DEVICE, else auto
            (`encoder.runtime.gpu.device`).

    Raises:
        CheckpointError: the checkpoint cannot be read.
        DeviceError: there is no such device.
        TokenizerError: the tokenizer cannot be used incrementally.
        NumberFormatError: unknown number format, or one that this processor or model does not support.
        ValueError: unknown kernels, or limits too small for one session.
    """
    place = choose_device(device)
    checkpoint = load_checkpoint(name, calibrated=calibrated)
    if head in checkpoint.config.taggers:
        checkpoint = checkpoint.single_head(head)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    encoder = _make_encoder(checkpoint, place, max_sessions, max_pages, kernels, number_format)
    sessions = SessionPool(encoder, max_sessions=max_sessions, starts_word=tokenizer.starts_word())
    heads = make_heads(checkpoint)
    promises = {name or checkpoint.name: promise for name, promise in checkpoint.promises.items()}
    settled = {name or checkpoint.name: threshold for name, threshold in checkpoint.settled.items()}
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, sessions, heads, promises, settled)


def _make_encoder(
    checkpoint: Checkpoint,
    device: str,
    max_sessions: int,
    max_pages: int | None,
    kernels: str,
    number_format: str,
) -> Encoder:
    if device == CPU:
        return HybridEncoder(
            checkpoint, max_sessions=max_sessions, max_pages=max_pages, kernels=kernels, number_format=number_format
        )
    import torch

    from encoder.runtime.gpu.encoder import DeviceEncoder  # Triton is installed only where a GPU may be

    return DeviceEncoder(
        checkpoint,
        torch.device(device),
        make_heads(checkpoint),
        max_sessions=max_sessions,
        max_pages=max_pages,
        number_format=number_format,
    )


def load_single_tagger(name: str, **options: Any) -> Tagger:
    """Load a tagger with exactly one head.

    Args:
        name: a shipped tagger, a checkpoint with one head, or "CHECKPOINT:HEAD" (see
            `encoder.checkpoints.names.choose_taggers`).
        options: those of `load_tagger`.

    Raises:
        CheckpointError: the checkpoint cannot be read, or the name means several heads.
    """
    (choice,) = choose_taggers([name])
    if len(choice.heads) > 1:
        raise CheckpointError(f"{name} has several taggers: say which, for example {name}:{choice.heads[0]}")
    return load_tagger(str(choice.folder), head=choice.heads[0], **options)


def make_heads(checkpoint: Checkpoint) -> tuple[Head, ...]:
    """Make the heads of a checkpoint, in the order of its label sets."""
    config, heads, first = checkpoint.config, [], 0
    for (name, labels), head, spans in zip(
        config.label_sets.items(), checkpoint.stability_heads(), checkpoint.span_models(), strict=True
    ):
        end = first + len(labels) + config.stability
        known = checkpoint.calibration.get(name)
        scale, shift = (known.scale, known.shift) if known else (1.0, 0.0)
        policy = f"{known.policy}:{known.tau!r}" if known else DEFAULT_PRICE if config.stability else None
        decoder, stability = Decoder(labels), HeadStability(head, len(labels), scale, shift)
        reader = HeadReader(decoder, stability)
        names = config.text_scores.get(name)
        scores = TextScores(names, end) if names else None
        heads.append(
            Head(name or checkpoint.name, labels, decoder, stability, first, end, reader, policy, spans, scores)
        )
        first = scores.end if scores else end
    return tuple(heads)
