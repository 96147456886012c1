"""Flags that several commands have."""

from typing import Annotated

import typer

from consumers.common.logs import Level
from consumers.common.settings import TAGGER_HELP
from consumers.formats.readers import FORMAT_HELP

BrokerOption = Annotated[
    str, typer.Option(envvar="HEARKEN_BROKER", metavar="HOST:PORT", help="Kafka brokers, separated by commas.")
]
ApacheKafkaOption = Annotated[
    bool, typer.Option("--apache-kafka", help="Start an Apache Kafka of its own (`make kafka` fetches it).")
]
InputTopicOption = Annotated[str, typer.Option(envvar="HEARKEN_INPUT_TOPIC", help="Topic of updates.")]
TaggerOption = Annotated[list[str] | None, typer.Option(help=TAGGER_HELP)]
PolicyOption = Annotated[
    str,
    typer.Option(
        envvar="HEARKEN_POLICY",
        help="Where restarts begin: always, never, last:K (words), entropy:T (nats), stability:T, whether:T, price:P "
        "(changes a word), or default: what the tagger was calibrated to, else price:0.005; last:3 without its head.",
    ),
]
StabilityOption = Annotated[
    str,
    typer.Option(
        envvar="HEARKEN_STABILITY",
        help="How sure a span must be before it is shown, and before it is changed: low, medium, high, or SHOW:CHANGE.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(envvar="HEARKEN_DEVICE", help="Where taggers compute: auto (the CPU), cpu, cuda, or cuda:N."),
]
FormatOption = Annotated[str, typer.Option(envvar="HEARKEN_FORMAT", help=FORMAT_HELP)]
NumberFormatOption = Annotated[
    str,
    typer.Option(
        envvar="HEARKEN_NUMBER_FORMAT",
        help="What the encoder's products are computed in: auto (the fastest here), float32, bfloat16 or int8.",
    ),
]
SessionOption = Annotated[
    str | None,
    typer.Option(help="The session of all messages; by default the one they name, or the file's name where none does."),
]
ConnectOption = Annotated[
    float, typer.Option(envvar="HEARKEN_CONNECT_SECONDS", help="How long to wait for a broker that does not answer.")
]
LogOption = Annotated[Level, typer.Option(envvar="HEARKEN_LOG_LEVEL", help="Least level that is logged.")]
OverloadOption = Annotated[
    float,
    typer.Option(
        envvar="HEARKEN_OVERLOAD_SECONDS",
        help="Restarts get shorter while updates wait for longer than this; 0: never.",
    ),
]
IdleOption = Annotated[
    float, typer.Option(envvar="HEARKEN_IDLE_SECONDS", help="Sessions that hear nothing for so long are closed.")
]
