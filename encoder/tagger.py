"""A tagger: a checkpoint made ready to run."""

from dataclasses import dataclass
from typing import Any

import torch

from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint
from encoder.checkpoints.location import CheckpointError
from encoder.checkpoints.names import choose_taggers
from encoder.heads.head import Head
from encoder.heads.reader import HeadReader
from encoder.heads.stability import HeadStability
from encoder.heads.viterbi import Decoder
from encoder.model.config import HybridConfig
from encoder.restart.policies import DEFAULT_PRICE, most_cautious_policy
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.gpu.device import choose_device
from encoder.runtime.interface import Encoder
from encoder.session.pool import SessionPool
from encoder.tokenizer.incremental import IncrementalTokenizer


@dataclass(frozen=True, slots=True)
class Tagger:
    """Everything that turns text into labels, for many sessions. Not thread-safe: one compute thread owns it."""

    name: str
    config: HybridConfig
    tokenizer: IncrementalTokenizer
    sessions: SessionPool
    heads: tuple[Head, ...]
    """At least one, in the order of `config.label_sets`."""

    @property
    def encoder(self) -> Encoder:
        """The hybrid encoder under all sessions."""
        return self.sessions.encoder

    @property
    def own(self) -> str | None:
        """Its own restart policy, the most cautious of all heads; see `most_cautious_policy`."""
        return most_cautious_policy([head.own for head in self.heads])


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
        max_sessions: sessions that hold states at the same time; more can live.
        max_pages: memory limit in pages of the cache; None for the encoder's own default.
        kernels: "auto", "torch", "numba" or "fused".
        number_format: "auto", "float32", "bfloat16" or "int8".
        calibrated: with the calibration that the folder has, if any.
        head: only this one of its heads; None: all of them.
        device: "auto", "cpu", "cuda" or "cuda:N"; None: what HEARKEN_DEVICE says, else auto
        (`encoder.runtime.gpu.device`).

    Raises:
        CheckpointError: it cannot be read.
        DeviceError: the device is not there.
        TokenizerError: its tokenizer cannot follow live text.
        NumberFormatError: unknown number format, or one that this processor or model cannot have.
        ValueError: unknown kernels, or limits too small for one session.
    """
    place = choose_device(device)
    checkpoint = load_checkpoint(name, calibrated=calibrated)
    if head in checkpoint.config.taggers:
        checkpoint = checkpoint.alone(head)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    encoder = _make_encoder(checkpoint, place, max_sessions, max_pages, kernels, number_format)
    sessions = SessionPool(encoder, max_sessions=max_sessions, starts_word=tokenizer.starts_word())
    heads = make_heads(checkpoint)
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, sessions, heads)


def _make_encoder(
    checkpoint: Checkpoint,
    device: torch.device,
    max_sessions: int,
    max_pages: int | None,
    kernels: str,
    number_format: str,
) -> Encoder:
    if device.type == "cpu":
        return HybridEncoder(
            checkpoint, max_sessions=max_sessions, max_pages=max_pages, kernels=kernels, number_format=number_format
        )
    from encoder.runtime.gpu.encoder import DeviceEncoder  # Triton is there only where a GPU may be

    return DeviceEncoder(
        checkpoint, device, max_sessions=max_sessions, max_pages=max_pages, number_format=number_format
    )


def load_single_tagger(name: str, **options: Any) -> Tagger:
    """Load one tagger, as if its head were alone on its trunk; named as `encoder.checkpoints.names.choose_taggers`
    reads it.

    Args:
        name: a shipped tagger, a checkpoint with one head, or "CHECKPOINT:HEAD".
        options: those of `load_tagger`.

    Raises:
        CheckpointError: it cannot be read, or it means several heads.
    """
    (choice,) = choose_taggers([name])
    if len(choice.heads) > 1:
        raise CheckpointError(f"{name} has several taggers: say which, for example {name}:{choice.heads[0]}")
    return load_tagger(str(choice.folder), head=choice.heads[0], **options)


def make_heads(checkpoint: Checkpoint) -> tuple[Head, ...]:
    """Make the heads of a checkpoint ready."""
    config, heads, first = checkpoint.config, [], 0
    for (name, labels), head in zip(config.label_sets.items(), checkpoint.stability_heads(), strict=True):
        end = first + len(labels) + config.stability
        known = checkpoint.calibration.get(name)
        scale, shift = (known.scale, known.shift) if known else (1.0, 0.0)
        own = f"{known.policy}:{known.tau!r}" if known else DEFAULT_PRICE if config.stability else None
        decoder, settling = Decoder(labels), HeadStability(head, len(labels), scale, shift)
        reader = HeadReader(decoder, settling)
        heads.append(Head(name or checkpoint.name, labels, decoder, settling, first, end, reader, own))
        first = end
    return tuple(heads)
