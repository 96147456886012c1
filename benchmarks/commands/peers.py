"""`python -m benchmarks peers`: the same words through Hearken and through what one would use in its place."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.common import mistakes_told, parse_numbers, progress, save, show
from consumers.common.settings import DEFAULT_POLICY, DEFAULT_TAGGER


def peers(
    tagger: Annotated[str, typer.Option(help="Shipped tagger or checkpoint folder.")] = DEFAULT_TAGGER,
    sessions: Annotated[str, typer.Option(help="Numbers of live sessions, parted by commas.")] = "1,8,64",
    words: Annotated[str, typer.Option(help="Words of each session's segment, parted by commas.")] = "20,60,250",
    policy: Annotated[str, typer.Option(help="Restart policy.")] = DEFAULT_POLICY,
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved repeats of each side.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Of a segment's words, those that peers run on.")] = 6,
    out: Annotated[Path | None, typer.Option(help="Folder for peers.json.")] = None,
) -> None:
    """Measure words a second against transformers, ONNX Runtime, OpenVINO and spaCy re-run on every word."""
    counts = parse_numbers("--sessions", sessions, "1,8,64")
    lengths = parse_numbers("--words", words, "20,60,250")
    from benchmarks.peers.run import run_peers
    from benchmarks.report.peer_tables import peer_tables

    with mistakes_told(), progress("peers") as tell:
        report = run_peers(tagger, counts, lengths, policy, repeats=repeats, steps=steps, tell=tell)
    show(peer_tables(report))
    if out is not None:
        typer.echo(save(out, "peers", report))
