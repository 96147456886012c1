"""Settings of the HTTP server, checked once at start."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from consumers.common.settings import SettingError
from consumers.http.ops.stalls import STALL_SECONDS

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8477
OFF = "off"
TOKEN_VARIABLE = "HEARKEN_HTTP_TOKEN"
MIN_TOKEN = 16
"""Minimum length of a token in characters; guesses are not rate-limited, so the token must be long."""


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Settings of one HTTP server.

    Raises:
        SettingError: a value is invalid, or would allow access from other machines without a token.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    """0: any free port."""
    token: str | None = field(default=None, repr=False)
    """Required to see texts and to have texts labelled. None: anyone who reaches the port may."""
    port_given: bool = True
    """Whether the port was set explicitly. If not and it is taken, the service runs without HTTP."""
    max_body_bytes: int = 1 << 20
    max_frame_bytes: int = 1 << 20
    """Limit of one WebSocket message."""
    max_connections: int = 256
    """Limit of requests and WebSockets in flight, without health and metrics."""
    max_sessions: int = 64
    """Limit of open sessions of one WebSocket."""
    body_seconds: float = 30.0
    """Time limit of receiving a body."""
    stall_seconds: float = STALL_SECONDS
    """Time without progress after which waiting work counts as stalled and /healthz answers 503."""
    grace_seconds: int = 5
    """Time limit of requests in flight when the server stops."""

    def __post_init__(self) -> None:
        if not self.host or any(x.isspace() or x == "/" for x in self.host):
            raise SettingError("http_host", f"{self.host!r} is not an address to listen at, such as 127.0.0.1")
        if not 0 <= self.port < 65536:
            raise SettingError("http_port", f"{self.port} is not a port")
        if self.token is not None:
            _check_token(self.token)
        elif not is_loopback(self.host):
            raise SettingError(
                "http_host",
                f"{self.host} can be reached from elsewhere, so a token is needed: set {TOKEN_VARIABLE} (or"
                f" {TOKEN_VARIABLE}_FILE) to {MIN_TOKEN} or more random characters",
            )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_http_settings(host: str, port: str | None, token_file: Path | None = None) -> HttpSettings | None:
    """Return the settings from flags and variables; None for no HTTP.

    Args:
        host: address to listen at.
        port: a number, `off`, or None for the default.
        token_file: file with the token; without it the variable is used.

    Raises:
        SettingError: see `HttpSettings`.
    """
    if port is not None and port.strip().lower() == OFF:
        return None
    if port is not None and not (port.isascii() and port.isdigit()):
        raise SettingError("http_port", f"{port!r} is neither a port nor '{OFF}'")
    number = DEFAULT_PORT if port is None else int(port)
    return HttpSettings(host=host, port=number, token=_read_token(token_file), port_given=port is not None)


def _read_token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError("http_token_file", f"{file} cannot be read ({type(error).__name__})") from error


def _check_token(token: str) -> None:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise SettingError("http_token_file", "a token is printable ASCII without blanks")
    if len(token) < MIN_TOKEN:
        raise SettingError(
            "http_token_file", f"a token has at least {MIN_TOKEN} characters; try `openssl rand -hex 24`"
        )
