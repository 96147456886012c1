"""`python -m benchmarks report`: all of it, as JSON, plots and the page docs/performance.md."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from benchmarks.commands.common import mistakes_told, parse_parts, progress, save
from benchmarks.commands.growth import PARTS, PartsOption, QuickOption
from consumers.common.settings import DEFAULT_POLICY, DEFAULT_TAGGER

PEERS = "peers"
PAGE = "performance.md"


def report(
    out: Annotated[Path, typer.Option(help=f"Folder with {PAGE}, whose blocks are written anew; plots go there.")],
    tagger: Annotated[str, typer.Option(help="Shipped tagger or checkpoint folder.")] = DEFAULT_TAGGER,
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    parts: PartsOption = None,
    keep: Annotated[Path, typer.Option(help="Folder for a JSON file a part.")] = Path("runs/bench"),
    resume: Annotated[bool, typer.Option("--resume", help="Do not measure parts again whose file is there.")] = False,
    quick: QuickOption = False,
) -> None:
    """Measure peers, growth and floors; write tables and plots of all that the folder of results then has.

    Parts: length, sessions, rewriting, threshold, floors, peers. What was measured is kept when a later part fails or
    is stopped: go on with --resume.
    """
    names = parse_parts(parts, [*PARTS, PEERS])
    with mistakes_told():
        for name in names:
            if not (resume and (keep / f"{name}.json").exists()):
                with progress(name) as tell:
                    typer.echo(save(keep, name, _measure(name, tagger, policy, quick, tell)), err=True)
        for path in _write(keep, out):
            typer.echo(path)


def _measure(name: str, tagger: str, policy: str, quick: bool, tell: Any) -> Any:
    from benchmarks.growth.registry import FULL, QUICK, run_part
    from benchmarks.peers.run import run_peers

    if name != PEERS:
        return run_part(name, tagger, policy, QUICK if quick else FULL, tell)
    if quick:
        return run_peers(tagger, [1, 2], [6], policy, repeats=1, steps=2, tell=tell)
    return run_peers(tagger, [1, 8, 64], [20, 60, 250], policy, repeats=5, steps=6, tell=tell)


def _write(keep: Path, out: Path) -> list[Path]:
    """Write the page and the plots of all results that are there."""
    from benchmarks.growth.registry import read_part
    from benchmarks.peers.report import PeersReport
    from benchmarks.report.page import PageError, blocks_of, write_page
    from benchmarks.report.plots import PLOTS, plot_peers

    files = {name: keep / f"{name}.json" for name in [*PARTS, PEERS]}
    found = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    try:
        growth = {name: read_part(name, data) for name, data in found.items() if name != PEERS}
        peers = msgspec.json.decode(found[PEERS], type=PeersReport) if PEERS in found else None
    except msgspec.DecodeError as error:
        raise PageError(f"{keep} has results of another version ({error}): measure all parts again") from error
    write_page(out / PAGE, blocks_of(peers, growth))
    pictures = {name: out / f"performance-{name}.png" for name in found}
    for name, part in growth.items():
        PLOTS[name](part, pictures[name])
    if peers is not None:
        plot_peers(peers, pictures[PEERS])
    return [out / PAGE, *pictures.values()]
