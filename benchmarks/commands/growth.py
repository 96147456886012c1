"""`python -m benchmarks growth`: what a word costs as something grows, and how near that is to what the machine
could do.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.common import mistakes_told, parse_parts, progress, save, show
from consumers.common.settings import DEFAULT_POLICY, DEFAULT_TAGGER

PARTS = ["length", "sessions", "rewriting", "threshold", "floors"]
PartsOption = Annotated[str | None, typer.Option(help="Only these parts, parted by commas.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="A short form, to see that it works: no figures.")]


def growth(
    tagger: Annotated[str, typer.Option(help="Shipped tagger or checkpoint folder.")] = DEFAULT_TAGGER,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    parts: PartsOption = None,
    quick: QuickOption = False,
    out: Annotated[Path | None, typer.Option(help="Folder for a JSON file a part.")] = None,
) -> None:
    """Measure what a word costs by number and length of sessions, rewriting and threshold, and how far from its floor.

    Parts: length, sessions, rewriting, threshold, floors.
    """
    names = parse_parts(parts, PARTS)
    from benchmarks.growth.registry import FULL, QUICK, run_part
    from benchmarks.report.growth_tables import TABLES

    for name in names:
        with mistakes_told(), progress(name) as tell:
            found = run_part(name, tagger, policy, QUICK if quick else FULL, tell)
        show([table(found) for table in TABLES[name]])
        if out is not None:
            typer.echo(save(out, name, found))
