"""What an operator can set about HTTP, checked once at start."""

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
LEAST_TOKEN = 16
"""Characters; nothing slows down who guesses, so guessing must be hopeless."""


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """One HTTP server.

    Raises:
        SettingError: a value that cannot work, or that would let strangers in.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    """0: any that is free."""
    token: str | None = field(default=None, repr=False)
    """Whoever shows it may see texts and have texts labelled. None: whoever reaches the port may."""
    asked: bool = True
    """Somebody named the port. If not, the service goes on without HTTP where it is taken."""
    max_body_bytes: int = 1 << 20
    max_frame_bytes: int = 1 << 20
    """Of one WebSocket message."""
    max_connections: int = 256
    """Requests and WebSockets at work at the same time; health and metrics do not count."""
    max_sessions: int = 64
    """Sessions of one WebSocket."""
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    stall_seconds: float = STALL_SECONDS
    """Work that has waited for so long without any progress is stuck: /healthz says 503."""
    grace_seconds: int = 5
    """How long requests may go on after the end was asked for."""

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
                f" {TOKEN_VARIABLE}_FILE) to {LEAST_TOKEN} or more random characters",
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_settings(host: str, port: str | None, token_file: Path | None = None) -> HttpSettings | None:
    """What flags and variables say; None: no HTTP.

    Args:
        host: where to listen.
        port: a number, `off`, or None for the default.
        token_file: holds the token; if not given, the variable does.

    Raises:
        SettingError: a value that cannot work, or that would let strangers in.
    """
    if port is not None and port.strip().lower() == OFF:
        return None
    if port is not None and not (port.isascii() and port.isdigit()):
        raise SettingError("http_port", f"{port!r} is neither a port nor '{OFF}'")
    number = DEFAULT_PORT if port is None else int(port)
    return HttpSettings(host=host, port=number, token=_read_token(token_file), asked=port is not None)


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
    if len(token) < LEAST_TOKEN:
        raise SettingError(
            "http_token_file", f"a token has at least {LEAST_TOKEN} characters; try `openssl rand -hex 24`"
        )
