"""From what an operator named to an engine that runs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.settings import DEFAULT_REMEMBER_SECONDS, SettingError

if TYPE_CHECKING:
    from stream.engine import Engine


def build_engine(
    taggers: Sequence[str],
    policy: str,
    *,
    coalesce: bool,
    idle_seconds: float | None = None,
    remember_seconds: float = DEFAULT_REMEMBER_SECONDS,
    overload_seconds: float = 0.0,
) -> "Engine":
    """Load taggers and make an engine of them. Takes seconds: torch is only imported here.

    Args:
        taggers: names, as `encoder.choice.choose_taggers` reads them.
        policy: where restarts begin.
        coalesce, idle_seconds, remember_seconds: see `Engine`.
        overload_seconds: restarts get shorter while updates wait for longer; 0: never.

    Raises:
        SettingError: there is no such tagger or policy, or one tagger is named twice.
    """
    import torch

    from encoder.checkpoint import CheckpointError
    from encoder.choice import choose_taggers
    from encoder.restart import PolicyError, parse_policy
    from encoder.tagger import load_tagger
    from encoder.tokenizer import TokenizerError
    from stream.beside import SideBySide
    from stream.engine import Engine
    from stream.hybrid import HybridLabeller
    from stream.overload import Governor

    try:
        points = parse_policy(policy)
    except PolicyError as error:
        raise SettingError("policy", str(error)) from error
    torch.set_num_threads(1)  # engine.md: compute has one core, Kafka and the event loop the other
    try:
        chosen = choose_taggers(os.fspath(Path(tagger).expanduser()) for tagger in taggers)
        labellers = [HybridLabeller(load_tagger(os.fspath(x.folder)), x.heads) for x in chosen]
    except (CheckpointError, TokenizerError) as error:
        raise SettingError("tagger", str(error)) from error
    return Engine(
        labellers[0] if len(labellers) == 1 else SideBySide(labellers),
        points,
        coalesce=coalesce,
        idle_seconds=idle_seconds,
        remember_seconds=remember_seconds,
        governor=Governor(overload_seconds) if overload_seconds else None,
    )
