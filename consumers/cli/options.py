"""Settings that several commands have, beside those of consumers/common/settings.py."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from consumers.common.logs import Level
from consumers.common.settings import setting
from consumers.http.settings import DEFAULT_HOST, DEFAULT_PORT, HttpSettings, read_http_settings

ApacheKafkaOption = Annotated[
    bool,
    setting(
        "Start an Apache Kafka for this run (`make kafka` fetches it).", "--apache-kafka", panel="Kafka", variable=False
    ),
]


def _complete_format(incomplete: str) -> list[str]:
    from consumers.formats.registry import AUTO, FORMATS  # slow to import

    return [name for name in (AUTO, *FORMATS) if name.startswith(incomplete)]


FormatOption = Annotated[
    str,
    setting(
        "Format of the messages: auto, {formats}.", panel="Messages", metavar="FORMAT", autocompletion=_complete_format
    ),
]
SessionOption = Annotated[
    str | None,
    setting(
        "Session of all messages.",
        panel="Messages",
        metavar="NAME",
        show_default="the one that they name, or the file's name",
        variable=False,
    ),
]
LogLevelOption = Annotated[Level, setting("Lowest level that is logged.", panel="Logging")]
SpeedOption = Annotated[
    str, setting("Speed: 1 is real time, 8 eight times as fast, max without waiting.", panel="Replay", metavar="X|max")
]


@dataclass(frozen=True, kw_only=True)
class HttpFlags:
    """Where HTTP is served, as flags have it."""

    http_host: Annotated[
        str,
        setting(
            "Address at which HTTP listens; other machines reach it only with a token (HEARKEN_HTTP_TOKEN).",
            panel="HTTP",
            metavar="HOST",
        ),
    ] = DEFAULT_HOST
    http_port: Annotated[
        str | None,
        setting(
            "Port of HTTP (live page, health, metrics, labels), or off.",
            panel="HTTP",
            metavar="PORT|off",
            show_default=str(DEFAULT_PORT),
        ),
    ] = None
    http_token_file: Annotated[
        Path | None, setting("File that holds the token, instead of HEARKEN_HTTP_TOKEN.", panel="HTTP")
    ] = None

    def read(self) -> HttpSettings | None:
        """Check; None: no HTTP.

        Raises:
            SettingError: a value is not valid, or other machines could connect without a token.
        """
        return read_http_settings(self.http_host, self.http_port, self.http_token_file)
