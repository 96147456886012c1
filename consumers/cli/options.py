"""Settings that several commands have, beside those of consumers/common/settings.py."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from consumers.common.logs import Level
from consumers.common.settings import SettingError, setting, split_names
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


def check_session(name: str | None) -> None:
    """Check what --session names, before anything is loaded.

    Raises:
        SettingError: no session can have this name.
    """
    from consumers.formats.keys import describe_session

    if name is not None and (wrong := describe_session(name)):
        raise SettingError("session", wrong)


LogLevelOption = Annotated[Level, setting("Lowest level that is logged.", panel="Logging")]
TracingOption = Annotated[
    bool,
    setting(
        "Record spans of OpenTelemetry for messages that belong to a trace, and export them over OTLP (extra otel).",
        "--tracing",
        panel="Logging",
    ),
]
SpeedOption = Annotated[
    str, setting("Speed: 1 is real time, 8 eight times as fast, max without waiting.", panel="Replay", metavar="X|max")
]

_http = partial(setting, panel="HTTP")
_DEFAULTS = HttpSettings()


@dataclass(frozen=True, kw_only=True)
class HttpFlags:
    """Where HTTP is served, to whom and how much, as flags have it."""

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
        Path | None, _http("File that holds the token, instead of HEARKEN_HTTP_TOKEN; or several, one a line.")
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        _http(
            "Origin of another site whose pages may send requests, such as http://localhost:3000, or * for all (needs a"
            " token). For several repeat the flag, or separate them by commas in the variable.",
            metavar="ORIGIN",
            show_default="none",
        ),
    ] = None
    trust_proxy: Annotated[
        list[str] | None,
        _http(
            "Address or network of a reverse proxy whose X-Forwarded-For is believed, so that limits of an address are"
            " those of the client. Repeat it, or separate by commas in the variable.",
            metavar="ADDRESS",
            show_default="none",
        ),
    ] = None
    http_connections: Annotated[
        int, _http("Largest number of requests and WebSockets in progress; health and metrics do not count.", min=1)
    ] = _DEFAULTS.max_connections
    http_address_connections: Annotated[
        int, _http("Largest number of requests and WebSockets of one address in progress.", min=1)
    ] = _DEFAULTS.address_connections
    http_token_connections: Annotated[
        int | None,
        _http(
            "Largest number of requests and WebSockets of one token in progress.",
            min=1,
            show_default="half of --http-connections if there are several tokens",
        ),
    ] = _DEFAULTS.token_connections
    http_address_texts: Annotated[
        int, _http("Largest number of texts in requests of one address that wait for their labels.", min=1)
    ] = _DEFAULTS.address_texts
    http_rate: Annotated[
        float,
        _http("Requests a second of one address, and of one token if there are several; 0: no limit.", metavar="N"),
    ] = _DEFAULTS.requests_per_second
    http_request_seconds: Annotated[
        float, _http("Time in which the headers of a request must arrive, and then its body.")
    ] = _DEFAULTS.request_seconds
    http_idle_seconds: Annotated[float, _http("Time without a frame after which a stream's WebSocket is closed.")] = (
        _DEFAULTS.idle_seconds
    )
    http_keep_alive_seconds: Annotated[
        int, _http("Time after which a connection without a request is closed.", min=1)
    ] = _DEFAULTS.keep_alive_seconds
    http_send_seconds: Annotated[
        float, _http("Time after which a connection is ended whose client takes nothing of what is sent.")
    ] = _DEFAULTS.send_seconds
    access_log: Annotated[
        bool, _http("Log every request with its route, status and duration, without text.", "--access-log")
    ] = False
    drop_unsupported_attributes: Annotated[
        bool,
        _http(
            "Leave attributes of Perspective that are not offered out of the answer, instead of refusing the request.",
            "--drop-unsupported-attributes",
        ),
    ] = False
    suggestions_file: Annotated[
        Path | None,
        _http(
            "File to which suggestions of Perspective's clients are appended, as rows that `hearken train` reads.",
            "--suggestions-file",
            metavar="FILE",
            show_default="they are not kept",
        ),
    ] = None

    live_raw: Annotated[
        bool,
        _http(
            "Show raw texts and their labels on the live page of a service that redacts, beside the redacted ones.",
            "--live-raw",
        ),
    ] = False

    def read(self) -> HttpSettings | None:
        """Check; None: no HTTP.

        Raises:
            SettingError: a value is not valid, or other machines could connect without a token.
        """
        return read_http_settings(
            self.http_host,
            self.http_port,
            self.http_token_file,
            allow_origins=tuple(split_names(self.allow_origin)),
            trust_proxies=tuple(split_names(self.trust_proxy)),
            max_connections=self.http_connections,
            address_connections=self.http_address_connections,
            token_connections=self.http_token_connections,
            address_texts=self.http_address_texts,
            requests_per_second=self.http_rate,
            request_seconds=self.http_request_seconds,
            idle_seconds=self.http_idle_seconds,
            keep_alive_seconds=self.http_keep_alive_seconds,
            send_seconds=self.http_send_seconds,
            access_log=self.access_log,
            drop_unsupported_attributes=self.drop_unsupported_attributes,
            suggestions_file=self.suggestions_file,
            live_raw=self.live_raw,
        )


def parse_speed(speed: str) -> float | None:
    """Read a replay's speed: a factor of real time, or None for `max` (without waiting).

    Raises:
        SettingError: it is neither.
    """
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = -1.0
    if not 0 < factor < float("inf"):
        raise SettingError("speed", f"{speed!r} is neither a factor above 0 (1 is real time) nor 'max'")
    return factor
