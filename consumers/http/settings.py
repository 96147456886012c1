"""Settings of the HTTP server, checked once at start."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consumers.common.settings import SettingError
from consumers.http.ops.stalls import STALL_SECONDS

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8477
OFF = "off"
TOKEN_VARIABLE = "HEARKEN_HTTP_TOKEN"
MIN_TOKEN = 16
"""Minimum length of a token in characters."""
SPARE_CONNECTIONS = 128
"""Connections beyond those with work in progress. Health checks are answered over them when everything else is full."""
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")


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
    more_tokens: tuple[str, ...] = field(default=(), repr=False)
    """Further tokens, each with limits of its own."""
    allow_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may send requests; `*`: all, which needs a token."""
    trust_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    port_given: bool = True
    """Whether the port was set explicitly. If not and it is taken, the service runs without HTTP."""
    max_body_bytes: int = 1 << 20
    max_frame_bytes: int = 1 << 20
    """Limit of one WebSocket message."""
    max_connections: int = 512
    """Limit of requests and WebSockets in flight, without health and metrics."""
    address_connections: int = 256
    """The same limit for one address; of IPv6 one /64 network counts as an address."""
    token_connections: int | None = None
    """The same limit for one token; None: half of `max_connections` if there are several tokens."""
    address_texts: int = 4096
    """Limit of texts that wait for their labels in requests of one address."""
    requests_per_second: float = 1000.0
    """Requests of one address, and of one token if there are several, in the long run; 0: no limit."""
    max_sessions: int = 64
    """Limit of open sessions of one WebSocket."""
    request_seconds: float = 30.0
    """Time limit of receiving the headers of a request, and of receiving its body."""
    keep_alive_seconds: int = 75
    """Time after which a connection without a request is closed."""
    idle_seconds: float = 600.0
    """Time without a frame after which a stream is closed."""
    send_seconds: float = 20.0
    """Time after which a connection is ended whose client takes nothing of what is sent."""
    access_log: bool = False
    """Log every request, without its text."""
    drop_unsupported_attributes: bool = False
    """Leave attributes of Perspective that are not offered out of the answer, instead of refusing the request."""
    suggestions_file: Path | None = None
    """File that gets the suggestions of Perspective's clients, a line each; None: they are not kept."""
    live_raw: bool = False
    """Show raw texts and their labels on the live page of a service that redacts, too, beside the redacted ones."""
    stall_seconds: float = STALL_SECONDS
    """Time without progress after which waiting work counts as stalled and /healthz answers 503."""
    grace_seconds: int = 5
    """Time limit of requests in flight when the server stops."""

    def __post_init__(self) -> None:
        if not self.host or any(x.isspace() or x == "/" for x in self.host):
            raise SettingError("http_host", f"{self.host!r} is not an address to listen at, such as 127.0.0.1")
        if not 0 <= self.port < 65536:
            raise SettingError("http_port", f"{self.port} is not a port")
        self._check_limits()
        if self.suggestions_file is not None:
            _check_writable(self.suggestions_file)
        for origin in self.allow_origins:
            _check_origin(origin, self.token is not None)
        for proxy in self.trust_proxies:
            _parse_network(proxy)
        if self.token is not None:
            for token in self.tokens:
                _check_token(token)
        elif not is_loopback(self.host):
            raise SettingError(
                "http_host",
                f"{self.host} can be reached from elsewhere, so a token is needed: set {TOKEN_VARIABLE} (or"
                f" {TOKEN_VARIABLE}_FILE) to {MIN_TOKEN} or more random characters",
            )

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens."""
        return () if self.token is None else (self.token, *self.more_tokens)

    @property
    def token_limit(self) -> int:
        """Limit of requests and WebSockets in flight for one token."""
        if self.token_connections is not None:
            return self.token_connections
        return max(1, self.max_connections // 2) if self.more_tokens else self.max_connections

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in _parse_network(proxy) for proxy in self.trust_proxies)

    def _check_limits(self) -> None:
        for name in ("max_connections", "address_connections", "token_connections", "address_texts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingError(f"http_{name.removeprefix('max_')}", f"{value} is too few; at least 1 is needed")
        if not 0 <= self.requests_per_second < float("inf"):
            raise SettingError("http_rate", f"{self.requests_per_second} is not a number of requests (0: no limit)")
        for name in ("request_seconds", "idle_seconds", "send_seconds", "keep_alive_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise SettingError(f"http_{name}", f"{getattr(self, name)} is not a number of seconds above 0")


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_http_settings(
    host: str, port: str | None, token_file: Path | None = None, **others: Any
) -> HttpSettings | None:
    """Return the settings from flags and variables; None for no HTTP.

    Args:
        port: a number, `off`, or None for the default.
        token_file: file with the token, or with several, one a line; without it the variable is used.
        others: further fields of `HttpSettings`.

    Raises:
        SettingError: see `HttpSettings`.
    """
    if port is not None and port.strip().lower() == OFF:
        return None
    if port is not None and not (port.isascii() and port.isdigit()):
        raise SettingError("http_port", f"{port!r} is neither a port nor '{OFF}'")
    number = DEFAULT_PORT if port is None else int(port)
    tokens = _read_tokens(token_file)
    token, more = (tokens[0], tuple(tokens[1:])) if tokens else (None, ())
    return HttpSettings(host=host, port=number, token=token, more_tokens=more, port_given=port is not None, **others)


def _read_tokens(file: Path | None) -> list[str]:
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE, "")
    else:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError("http_token_file", f"{file} cannot be read ({type(error).__name__})") from error
        if not text.strip():
            raise SettingError("http_token_file", f"{file} is empty; write a token of {MIN_TOKEN} or more characters")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _check_writable(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))  # it will hold texts of users
    except OSError as error:
        raise SettingError("suggestions_file", f"{file} cannot be written ({type(error).__name__})") from error


def _check_token(token: str) -> None:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise SettingError("http_token_file", "a token is printable ASCII without blanks")
    if len(token) < MIN_TOKEN:
        raise SettingError(
            "http_token_file", f"a token has at least {MIN_TOKEN} characters; try `openssl rand -hex 24`"
        )


def _check_origin(origin: str, has_token: bool) -> None:
    if origin in ("*", "null"):
        if not has_token:
            raise SettingError("allow_origin", f"{origin!r} lets pages of any site send requests, so a token is needed")
    elif not _ORIGIN.fullmatch(origin):
        raise SettingError(
            "allow_origin",
            f"{origin!r} is not an origin: scheme, host and port in small letters, such as"
            " http://localhost:3000, without a path",
        )
    elif origin.endswith(_DEFAULT_PORTS.get(origin.partition(":")[0], "/")):
        raise SettingError("allow_origin", f"{origin!r} has the default port, which browsers leave out; do so, too")


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingError("trust_proxy", f"{text!r} is neither an address nor a network, such as 10.0.0.0/8") from None
