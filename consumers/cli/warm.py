"""`hearken warm`: fills the cache folder."""

from dataclasses import dataclass
from typing import Annotated

import typer

from consumers.cli.flags import Select
from consumers.common.logs import configure_logging
from consumers.common.settings import OFFLINE, EngineSettings


@dataclass(frozen=True, kw_only=True)
class WarmCommand:
    """Settings of `hearken warm`."""

    engine: Annotated[EngineSettings, Select("tagger number_format", **OFFLINE)]


def warm(settings: WarmCommand) -> None:
    """Compile and pack what labelling on this processor needs, so that later starts are quick.

    The files lie in HEARKEN_CACHE_DIR, else in hearken below XDG_CACHE_HOME, else in ~/.cache/hearken.
    """
    configure_logging("error")
    from consumers.runtime.engine_factory import check_engine
    from consumers.runtime.warm import warm_cache

    check_engine(settings.engine)
    warm_cache(settings.engine, typer.echo)
