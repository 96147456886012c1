"""TLS and SASL settings of Kafka connections, from environment variables and the files that they name.

They are read when a client is made (consumers/kafka/client/clients.py, consumers/kafka/client/topic_reader.py), so a
password changed in its file applies to every client made afterwards. There are no flags, because process arguments are
visible to other users.
"""

import os
import ssl
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from consumers.common.settings import SettingError, check_broker

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

PREFIX = "HEARKEN_"
SECRETS = ("sasl_password", "ssl_key_password")
"""Settings that may be in a file, which the variable with the suffix _FILE names."""


class SecurityError(SettingError):
    """A security variable is invalid; unlike other settings it has no flag."""

    def __init__(self, name: str, detail: str) -> None:
        Exception.__init__(self, f"{PREFIX}{name.upper()}: {detail}")
        self.name = name
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Security:
    """Security settings of the connections to brokers. The repr shows no secrets.

    Raises:
        SecurityError: the protocol needs a setting that is missing, or has no use for one that is set.
    """

    security_protocol: Protocol = "PLAINTEXT"
    sasl_mechanism: Mechanism | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    """Certificate authorities for the brokers' certificates; None for the system's."""
    ssl_certfile: Path | None = None
    """Client certificate, for brokers that require one."""
    ssl_keyfile: Path | None = None
    """Key of the client certificate; None if it is in the same file."""
    ssl_key_password: str | None = field(default=None, repr=False)
    ssl_check_hostname: bool = True

    def __post_init__(self) -> None:
        self._check_sasl()
        self._check_tls()

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        """Whether clients log in with name and password."""
        return self.security_protocol.startswith("SASL")

    def ssl_context(self) -> ssl.SSLContext:
        """Make the context of TLS connections.

        Raises:
            SecurityError: a file cannot be read or is invalid.
        """
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
        except OSError as error:  # ssl.SSLError is one
            raise SecurityError("ssl_cafile", f"{self.ssl_cafile} holds no certificates: {error}") from error
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile is not None:
            self._load_client_certificate(context)
        return context

    def for_aiokafka(self) -> dict[str, Any]:
        """Return the options of an aiokafka client.

        Raises:
            SecurityError: see `ssl_context`.
        """
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.tls:
            options["ssl_context"] = self.ssl_context()
        if self.sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return options

    def for_librdkafka(self) -> dict[str, Any]:
        """Return the settings of a librdkafka client."""
        options: dict[str, Any] = {"security.protocol": self.security_protocol.lower()}
        if self.tls:
            options["ssl.endpoint.identification.algorithm"] = "https" if self.ssl_check_hostname else "none"
            options |= _drop_unset({"ssl.ca.location": self.ssl_cafile})
        if self.ssl_certfile is not None:
            key = self.ssl_keyfile or self.ssl_certfile
            options |= {"ssl.certificate.location": str(self.ssl_certfile), "ssl.key.location": str(key)}
            options |= _drop_unset({"ssl.key.password": self.ssl_key_password})
        if self.sasl:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password,
            }
        return options

    def _check_sasl(self) -> None:
        for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
            value = getattr(self, name)
            if self.sasl and not value:
                raise SecurityError(name, f"{self.security_protocol} needs it, and it is not set")
            if not self.sasl and value:
                raise SecurityError(name, f"has no use with {self.security_protocol}; {_suggest_protocol('SASL_SSL')}")

    def _check_tls(self) -> None:
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password"):
            if not self.tls and getattr(self, name):
                wanted = "SASL_SSL" if self.sasl else "SSL"
                raise SecurityError(name, f"has no use with {self.security_protocol}; {_suggest_protocol(wanted)}")
        if not self.tls and not self.ssl_check_hostname:
            raise SecurityError("ssl_check_hostname", f"has no use with {self.security_protocol}, which has no TLS")
        for name in ("ssl_keyfile", "ssl_key_password"):
            if getattr(self, name) and not self.ssl_certfile:
                raise SecurityError(name, f"{PREFIX}SSL_CERTFILE must name the certificate that it belongs to")

    def _load_client_certificate(self, context: ssl.SSLContext) -> None:
        assert self.ssl_certfile is not None
        password = self.ssl_key_password or ""
        try:
            # Without a password callback OpenSSL would prompt on the terminal.
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, password=lambda: password)
        except OSError as error:
            wrong = "ssl_keyfile" if self.ssl_keyfile else "ssl_certfile"
            if not self.ssl_certfile.is_file():
                wrong = "ssl_certfile"
            detail = f"certificate and key cannot be used ({PREFIX}SSL_KEY_PASSWORD, if the key has one): {error}"
            raise SecurityError(wrong, detail) from error


def read_security(environ: Mapping[str, str] = os.environ) -> Security:
    """Read the variables and the files that they name. Empty variables count as unset.

    Raises:
        SecurityError: a variable is invalid; the message names it.
    """
    given = {name.name: environ.get(PREFIX + name.name.upper(), "").strip() for name in fields(Security)}
    given |= {name: _read_secret(environ, name) for name in SECRETS}
    paths = {name: _find_file(name, given[name]) for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile")}
    security = Security(
        security_protocol=_choose("security_protocol", given["security_protocol"] or "PLAINTEXT", get_args(Protocol)),
        sasl_mechanism=_choose("sasl_mechanism", given["sasl_mechanism"], ("", *get_args(Mechanism))) or None,
        sasl_username=given["sasl_username"] or None,
        sasl_password=given["sasl_password"] or None,
        ssl_key_password=given["ssl_key_password"] or None,
        ssl_check_hostname=_read_bool("ssl_check_hostname", given["ssl_check_hostname"]),
        **paths,
    )
    if security.tls:
        security.ssl_context()
    return security


def check_cluster(broker: str) -> None:
    """Check a list of `HOST:PORT` and the security variables.

    Raises:
        SettingError: one of them is invalid.
    """
    check_broker(broker)
    read_security()


def aiokafka_options() -> dict[str, Any]:
    """Return the security options of an aiokafka client; see `read_security`."""
    return read_security().for_aiokafka()


def librdkafka_options() -> dict[str, Any]:
    """Return the security settings of a librdkafka client; see `read_security`."""
    return read_security().for_librdkafka()


def clear_security_variables(environ: MutableMapping[str, str] = os.environ) -> None:
    """Unset the variables for this process and its children: brokers started by a command are open, on loopback."""
    for name in variable_names():
        environ.pop(name, None)


def variable_names() -> list[str]:
    """Return the names of all variables read here."""
    names = [PREFIX + name.name.upper() for name in fields(Security)]
    return names + [f"{PREFIX}{name.upper()}_FILE" for name in SECRETS]


def _suggest_protocol(protocol: str) -> str:
    return f"set {PREFIX}SECURITY_PROTOCOL={protocol}, or unset it"


def _drop_unset(options: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}


def _choose(name: str, value: str, known: tuple[Any, ...]) -> Any:
    value = value.upper()
    if value not in known:
        # The value is not repeated, because it could be a secret in the wrong variable.
        raise SecurityError(name, f"use {', '.join(filter(None, known))}")
    return value


def _read_bool(name: str, value: str) -> bool:
    if value.lower() not in ("", "true", "false", "1", "0"):
        raise SecurityError(name, "use true or false")
    return value.lower() not in ("false", "0")


def _find_file(name: str, value: str) -> Path | None:
    if not value:
        return None
    if not os.access(value, os.R_OK) or not Path(value).is_file():
        raise SecurityError(name, f"{value} is not a readable file")
    return Path(value)


def _read_secret(environ: Mapping[str, str], name: str) -> str:
    """Read a secret from its variable or its file, without the file's trailing line breaks."""
    value = environ.get(PREFIX + name.upper(), "")
    path = environ.get(f"{PREFIX}{name.upper()}_FILE", "")
    if not path:
        return value
    if value:
        raise SecurityError(name, f"is set, and {PREFIX}{name.upper()}_FILE too: use one of them")
    try:
        secret = Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SecurityError(f"{name}_file", f"cannot be read: {error}") from error
    if not secret:
        raise SecurityError(f"{name}_file", f"{path} is empty")
    return secret


def check_broker_choice(broker: str | None, *, own: bool) -> None:
    """Check the settings of a running cluster, or unset them for a broker that the command starts.

    Raises:
        SettingError: both were requested, or the cluster's settings are invalid.
    """
    if broker is None:
        clear_security_variables()
        return
    check_cluster(broker)
    if own:
        raise SettingError("broker", "either a broker that runs or --apache-kafka, not both")
