"""The command line. Wrong settings are one line on standard error that names the setting, and exit code 2."""

import asyncio
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from consumers.cli.bench import bench
from consumers.cli.calibrate import calibrate
from consumers.cli.dlq import dlq
from consumers.cli.evaluate import evaluate
from consumers.cli.http_options import HttpHostOption, HttpPortOption, HttpTokenFileOption
from consumers.cli.import_ import import_checkpoint
from consumers.cli.listen import listen
from consumers.cli.options import (
    ApacheKafkaOption,
    BrokerOption,
    ConnectOption,
    DeviceOption,
    FormatOption,
    IdleOption,
    InputTopicOption,
    LogOption,
    NumberFormatOption,
    OverloadOption,
    PolicyOption,
    SessionOption,
    StabilityOption,
    TaggerOption,
)
from consumers.cli.topics import app as topics_app
from consumers.cli.train import train
from consumers.cli.verify import verify
from consumers.common.exit_codes import end_with_code
from consumers.common.logs import configure_logging
from consumers.common.settings import (
    DEFAULT_IDLE_SECONDS,
    DEFAULT_OVERLOAD_SECONDS,
    DEFAULT_POLICY,
    DEFAULT_REMEMBER_SECONDS,
    DEFAULT_STABILITY,
    ServiceSettings,
    SettingError,
    Topics,
    check_budget,
    check_seconds,
    parse_speed,
    parse_taggers,
)
from consumers.formats.readers import NORMAL, check_format, make_reader, open_lines, remembered_by
from consumers.http.settings import DEFAULT_HOST, read_settings
from consumers.kafka.client.security import check_brokers, check_cluster

app = typer.Typer(
    name="hearken",
    help="Labels live text while it is still arriving.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(train)
app.command("import")(import_checkpoint)
app.command()(bench)
app.command()(evaluate)
app.command()(calibrate)
app.command()(listen)
app.add_typer(dlq)
app.command()(verify)
app.add_typer(topics_app)


class InputKind(StrEnum):
    """What a line of standard input is."""

    UPDATES = "updates"
    TEXT = "text"


@app.command()
def serve(
    broker: BrokerOption = "localhost:9092",
    input_topic: InputTopicOption = Topics.input,
    output_topic: Annotated[str, typer.Option(envvar="HEARKEN_OUTPUT_TOPIC", help="Topic of revisions.")] = (
        Topics.output
    ),
    dead_letter_topic: Annotated[
        str, typer.Option(envvar="HEARKEN_DEAD_LETTER_TOPIC", help="Topic of records that could not be used.")
    ] = Topics.dead_letter,
    state_topic: Annotated[
        str | None,
        typer.Option(envvar="HEARKEN_STATE_TOPIC", help="Compacted topic of kept states; GROUP.state if not given."),
    ] = None,
    group: Annotated[str, typer.Option(envvar="HEARKEN_GROUP", help="Consumer group.")] = ServiceSettings.group,
    instance_id: Annotated[
        str | None,
        typer.Option(envvar="HEARKEN_INSTANCE_ID", help="Static membership: a name that this instance keeps."),
    ] = None,
    guarantee: Annotated[
        str, typer.Option(envvar="HEARKEN_GUARANTEE", help="at_least_once or exactly_once.")
    ] = ServiceSettings.guarantee,
    tagger: TaggerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    stability: StabilityOption = DEFAULT_STABILITY,
    number_format: NumberFormatOption = "auto",
    format: FormatOption = NORMAL,
    in_flight: Annotated[
        int, typer.Option(envvar="HEARKEN_IN_FLIGHT", help="Messages at work at most; more are left with the broker.")
    ] = ServiceSettings.in_flight,
    commit_seconds: Annotated[
        float,
        typer.Option(
            envvar="HEARKEN_COMMIT_SECONDS", help="How often offsets are committed; exactly once: transactions too."
        ),
    ] = ServiceSettings.commit_seconds,
    transaction_seconds: Annotated[
        float, typer.Option(envvar="HEARKEN_TRANSACTION_SECONDS", help="A transaction that takes longer is given up.")
    ] = ServiceSettings.transaction_seconds,
    session_timeout_seconds: Annotated[
        float,
        typer.Option(envvar="HEARKEN_SESSION_TIMEOUT_SECONDS", help="Unheard of for so long, partitions are lost."),
    ] = ServiceSettings.session_timeout_seconds,
    fetch_wait_ms: Annotated[
        int,
        typer.Option(
            min=0,
            envvar="HEARKEN_FETCH_WAIT_MS",
            help="How long brokers may hold a fetch until something comes; the embedded one always does, to the end.",
        ),
    ] = ServiceSettings.fetch_wait_ms,
    on_lost_input: Annotated[
        str,
        typer.Option(
            envvar="HEARKEN_ON_LOST_INPUT", help="When committed offsets are gone: fail, or skip to what is there."
        ),
    ] = ServiceSettings.on_lost_input,
    coalesce: Annotated[
        bool, typer.Option(envvar="HEARKEN_COALESCE", help="Label only the newest of several waiting updates.")
    ] = True,
    device: DeviceOption = "auto",
    overload_seconds: OverloadOption = DEFAULT_OVERLOAD_SECONDS,
    budget_gflops: Annotated[
        float,
        typer.Option(
            envvar="HEARKEN_BUDGET_GFLOPS",
            help="GFLOPs a second beyond which restarts get scarce; 0: as many as it takes.",
        ),
    ] = 0.0,
    budget_share: Annotated[
        float,
        typer.Option(
            envvar="HEARKEN_BUDGET_SHARE",
            help="The same in seconds of the compute thread a second, 0 to 1; 0: as many as it takes.",
        ),
    ] = 0.0,
    remember_seconds: Annotated[
        float,
        typer.Option(
            envvar="HEARKEN_REMEMBER_SECONDS", help="How long `rev` goes on for a session that ended and speaks again."
        ),
    ] = DEFAULT_REMEMBER_SECONDS,
    remember_segments: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            envvar="HEARKEN_REMEMBER_SEGMENTS",
            help="Closed segments of a session that can be edited or deleted; by default 64, of a chat's format 1024.",
        ),
    ] = None,
    idle_seconds: IdleOption = DEFAULT_IDLE_SECONDS,
    connect_seconds: ConnectOption = ServiceSettings.connect_seconds,
    shutdown_seconds: Annotated[
        float, typer.Option(envvar="HEARKEN_SHUTDOWN_SECONDS", help="How long a shutdown waits for work in flight.")
    ] = ServiceSettings.shutdown_seconds,
    http_host: HttpHostOption = DEFAULT_HOST,
    http_port: HttpPortOption = None,
    http_token_file: HttpTokenFileOption = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=256,
            envvar="HEARKEN_WORKERS",
            help="Processes that share partitions and, in memory, weights: as many as cores at most. Linux only.",
        ),
    ] = 1,
    log_level: LogOption = "info",
    log_text: Annotated[
        bool,
        typer.Option("--log-text", envvar="HEARKEN_LOG_TEXT", help="Log messages with their text: personal data."),
    ] = False,
) -> int:
    """Label what comes through Kafka, until SIGTERM."""
    configure_logging(log_level, log_text)
    from consumers.runtime.engine_factory import build_engine
    from consumers.runtime.serve import serve as serve_until_signal
    from consumers.runtime.serve_many import check_workers, serve_many

    settings = ServiceSettings(
        broker=broker,
        topics=Topics(
            input=input_topic, output=output_topic, dead_letter=dead_letter_topic, state=state_topic or f"{group}.state"
        ),
        group=group,
        instance_id=instance_id,
        guarantee=guarantee,  # type: ignore[arg-type]  # checked there
        transaction_seconds=transaction_seconds,
        session_timeout_seconds=session_timeout_seconds,
        fetch_wait_ms=fetch_wait_ms,
        on_lost_input=on_lost_input,  # type: ignore[arg-type]  # checked there
        in_flight=in_flight,
        commit_seconds=commit_seconds,
        idle_seconds=idle_seconds,
        connect_seconds=connect_seconds,
        shutdown_seconds=shutdown_seconds,
        log_text=log_text,
    )
    check_cluster(broker)
    check_format(format)
    check_workers(workers)
    http = read_settings(http_host, http_port, http_token_file)
    check_seconds("remember_seconds", remember_seconds)
    if overload_seconds:
        check_seconds("overload_seconds", overload_seconds)
    check_budget(budget_gflops, budget_share)
    make_engine = lambda: build_engine(  # noqa: E731
        parse_taggers(tagger),
        policy,
        coalesce=coalesce,
        stability=stability,
        idle_seconds=idle_seconds,
        remember_seconds=remember_seconds,
        remember_segments=remember_segments or remembered_by(format),
        overload_seconds=overload_seconds,
        budget_gflops=budget_gflops,
        budget_share=budget_share,
        device=device,
        number_format=number_format,
    )
    if workers > 1:
        log_as = partial(configure_logging, log_level, log_text)
        return serve_many(workers, settings, make_engine, http, format, log_as)
    asyncio.run(serve_until_signal(settings, make_engine, http, format))
    return 0


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="Recorded stream: messages with times, in normal form or a vendor's."
        ),
    ],
    broker: BrokerOption = "localhost:9092",
    input_topic: InputTopicOption = Topics.input,
    speed: Annotated[
        str, typer.Option(envvar="HEARKEN_SPEED", help="1 is its own pace, 8 eight times as fast, max without waiting.")
    ] = "1",
    format: FormatOption = NORMAL,
    session: SessionOption = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Send a vendor's messages as they are, for `serve --format`.")
    ] = False,
    connect_seconds: ConnectOption = ServiceSettings.connect_seconds,
    log_level: LogOption = "info",
) -> None:
    """Produce a recorded stream."""
    configure_logging(log_level)
    check_cluster(broker)
    Topics(input=input_topic)
    factor = parse_speed(speed)
    check_format(format)
    from consumers.recordings.jsonl import read_recording
    from consumers.recordings.replay import replay as replay_recording
    from consumers.recordings.vendor_file import VendorFile

    recording = read_recording(file) if format == NORMAL else VendorFile(file, format, session).read(raw)
    asyncio.run(replay_recording(recording, broker, input_topic, factor, connect_seconds))


@app.command()
def tag(
    input: Annotated[
        InputKind,
        typer.Option(envvar="HEARKEN_INPUT", help="updates: messages as JSON lines; text: a closed segment each."),
    ] = InputKind.UPDATES,
    format: FormatOption = NORMAL,
    session: SessionOption = None,
    final_only: Annotated[
        bool, typer.Option("--final-only", envvar="HEARKEN_FINAL_ONLY", help="Write only closing revisions.")
    ] = False,
    tagger: TaggerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    stability: StabilityOption = DEFAULT_STABILITY,
    device: DeviceOption = "auto",
    number_format: NumberFormatOption = "auto",
) -> int:
    """Label lines of standard input; revisions go to standard output."""
    configure_logging("warning")
    check_format(format)
    if input is InputKind.TEXT and format != NORMAL:
        raise SettingError("format", "lines of text are of no format: leave --input or --format out")
    from consumers.runtime.engine_factory import build_engine
    from consumers.runtime.tag_lines import TEXT_SESSION, TextReader
    from consumers.runtime.tag_lines import tag as tag_lines

    engine = build_engine(
        parse_taggers(tagger), policy, coalesce=False, stability=stability, device=device, number_format=number_format
    )
    is_text = input is InputKind.TEXT
    reader = TextReader() if is_text else make_reader(format, engine.segments, TEXT_SESSION)
    return tag_lines(engine, reader, final_only, session, partial(open_lines, format))


@app.command()
def demo(
    speed: Annotated[str, typer.Option(envvar="HEARKEN_SPEED", help="Times real time, or max.")] = "10",
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Brokers to use, not our own; topics hearken-demo-* stay there."),
    ] = None,
    apache_kafka: ApacheKafkaOption = False,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A recorded stream of yours, not the sample.")
    ] = None,
    tagger: TaggerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    stability: StabilityOption = DEFAULT_STABILITY,
    picture: Annotated[Path | None, typer.Option(help="Save a picture of the view (SVG) in the middle of it.")] = None,
    picture_after: Annotated[float, typer.Option(help="Seconds from the first label to the picture.")] = 20.0,
    http_port: HttpPortOption = None,
) -> int:
    """Show it: a broker, the service, and a live transcript that is labelled while it arrives."""
    configure_logging("warning")
    factor = parse_speed(speed)
    check_brokers(broker, own=apache_kafka)
    from consumers.demo.demo import demo as show
    from consumers.kafka.brokers.embedded import OwnBroker

    if picture is not None:
        picture.unlink(missing_ok=True)
    shot = None if picture is None else (picture, picture_after)
    own = OwnBroker.APACHE if apache_kafka else OwnBroker.EMBEDDED
    page = read_settings(DEFAULT_HOST, http_port)
    return asyncio.run(show(factor, broker or own, file, parse_taggers(tagger), policy, stability, shot, page))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    # Compute and Kafka share the cores: OpenMP threads must not spin while they wait. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = None if arguments is None else list(arguments)
    return end_with_code(lambda: app(args=given, prog_name="hearken", standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
