"""The program `hearken`: registers the commands and returns exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from consumers.cli import dlq, topics
from consumers.cli.bench import bench
from consumers.cli.broker import broker
from consumers.cli.calibrate import calibrate
from consumers.cli.config import show_config
from consumers.cli.demo import demo
from consumers.cli.evaluate import evaluate
from consumers.cli.flags import add_command
from consumers.cli.help import show_help
from consumers.cli.help_text import Group
from consumers.cli.import_ import import_checkpoint
from consumers.cli.listen import listen
from consumers.cli.purge import purge
from consumers.cli.replay import replay
from consumers.cli.serve import serve
from consumers.cli.tag import tag
from consumers.cli.thresholds import thresholds
from consumers.cli.train import train
from consumers.cli.verify import verify
from consumers.cli.warm import warm
from consumers.common.exit_codes import end_with_code
from consumers.common.standard_streams import guard_standard_streams

RUN, INSPECT, TRAIN, OPERATE = "Run", "Inspect", "Train", "Operate"


def _make_group(help: str) -> typer.Typer:
    return typer.Typer(cls=Group, help=help, rich_markup_mode=None, pretty_exceptions_enable=False)


app = _make_group("Labels live text while it is still arriving.")
app.info.context_settings = {"help_option_names": ["-h", "--help"]}
topics_app = _make_group("Create or check the service's topics.")
dlq_app = _make_group("Count or replay dead letters.")

add_command(app, demo, RUN)
add_command(app, tag, RUN)
add_command(app, serve, RUN)
add_command(app, listen, RUN)
add_command(app, replay, RUN)
add_command(app, broker, RUN)
add_command(app, bench, INSPECT)
add_command(app, evaluate, INSPECT)
add_command(app, thresholds, INSPECT)
add_command(app, verify, INSPECT)
add_command(app, show_config, INSPECT, "config")
add_command(app, show_help, INSPECT, "help")
add_command(app, train, TRAIN)
add_command(app, import_checkpoint, TRAIN, "import")
add_command(app, calibrate, TRAIN)
add_command(app, warm, OPERATE)
add_command(app, purge, OPERATE)
add_command(topics_app, topics.check)
add_command(topics_app, topics.create)
add_command(dlq_app, dlq.list_letters, name="list")
add_command(dlq_app, dlq.replay_dead_letters, name="replay")
app.add_typer(topics_app, name="topics", rich_help_panel=OPERATE)
app.add_typer(dlq_app, name="dlq", rich_help_panel=OPERATE)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # slow to import

        typer.echo(f"hearken {version('hearken')}")
        raise typer.Exit


@app.callback()
def _root(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    # Compute and Kafka share the cores: OpenMP threads must not spin while they wait. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments is None:  # a process of its own
        guard_standard_streams()
    given = None if arguments is None else list(arguments)
    return end_with_code(lambda: app(args=given, prog_name="hearken", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
