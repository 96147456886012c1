"""Engine factory: builds an engine from the settings of a command."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.common.settings import (
    DEFAULT_REMEMBER_SECONDS,
    DEFAULT_REMEMBER_SEGMENTS,
    DEFAULT_STABILITY,
    SettingError,
)

if TYPE_CHECKING:
    from stream.engine.engine import Engine


def build_engine(
    taggers: Sequence[str],
    policy: str,
    *,
    coalesce: bool,
    stability: str = DEFAULT_STABILITY,
    idle_seconds: float | None = None,
    remember_seconds: float = DEFAULT_REMEMBER_SECONDS,
    remember_segments: int = DEFAULT_REMEMBER_SEGMENTS,
    overload_seconds: float = 0.0,
    budget_gflops: float = 0.0,
    budget_share: float = 0.0,
    device: str | None = None,
    number_format: str = "auto",
) -> "Engine":
    """Load taggers and build an engine. Takes seconds: torch is only imported here.

    Args:
        taggers: names, as `encoder.checkpoints.names.choose_taggers` reads them.
        policy: restart policy.
        coalesce: see `Engine`.
        stability: emission level, as `stream.revisions.emission.parse_emission` reads it.
        idle_seconds: see `Engine`.
        remember_seconds: see `Engine`.
        remember_segments: see `Engine`.
        overload_seconds: restarts are limited while updates wait for longer than this; 0: never.
        budget_gflops: restarts are limited while more than this many GFLOPs a second are computed; 0: never.
        budget_share: the same as a share of the compute thread's time; give at most one of the two.
        device: see `encoder.runtime.gpu.device.choose_device`.
        number_format: of the encoder's matrix products, see `encoder.runtime.number_format`.

    Raises:
        SettingError: an unknown tagger, policy, emission level, device or number format, or a tagger is named twice.
    """
    # Compute has one core, Kafka and the event loop the other. `set_num_threads` alone is too late: it reaches the
    # compute thread only with torch's first loop there, and oneDNN uses two threads until then.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from encoder.checkpoints.location import CheckpointError
    from encoder.checkpoints.names import choose_taggers
    from encoder.restart.policies import PolicyError, most_cautious_policy, parse_policy, resolve_policy
    from encoder.runtime.gpu.device import DeviceError
    from encoder.runtime.number_format import NumberFormatError
    from encoder.tagger import load_tagger
    from encoder.tokenizer.incremental import TokenizerError
    from stream.engine.engine import Engine
    from stream.labelling.hybrid import HybridLabeller
    from stream.labelling.multi_model import MultiModelLabeller
    from stream.overload.budget import Budget
    from stream.overload.governor import Governor
    from stream.revisions.emission import EmissionError, parse_emission

    try:
        emission = parse_emission(stability)
    except EmissionError as error:
        raise SettingError("stability", str(error)) from error
    budget = Budget(1e9 * budget_gflops) if budget_gflops else Budget(budget_share, "seconds") if budget_share else None
    torch.set_num_threads(1)
    try:
        chosen = choose_taggers(os.fspath(Path(tagger).expanduser()) for tagger in taggers)
        loaded = [load_tagger(os.fspath(x.folder), number_format=number_format, device=device) for x in chosen]
        labellers = [HybridLabeller(one, x.heads) for one, x in zip(loaded, chosen, strict=True)]
    except NumberFormatError as error:
        raise SettingError("number_format", str(error)) from error
    except (CheckpointError, TokenizerError) as error:
        raise SettingError("tagger", str(error)) from error
    except DeviceError as error:
        raise SettingError("device", str(error)) from error
    try:
        points = parse_policy(resolve_policy(policy, most_cautious_policy([x.own for y in labellers for x in y.heads])))
    except PolicyError as error:
        raise SettingError("policy", str(error)) from error
    return Engine(
        labellers[0] if len(labellers) == 1 else MultiModelLabeller(labellers),
        points,
        coalesce=coalesce,
        emission=emission,
        idle_seconds=idle_seconds,
        remember_seconds=remember_seconds,
        remember_segments=remember_segments,
        governor=Governor(overload_seconds) if overload_seconds else None,
        budget=budget,
    )
