"""TLS and SASL settings: read from variables and files, half of them is no setting, and none of them is ever shown."""

import ast
import ssl
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.kafka.client.security import (
    Security,
    SecurityError,
    clear_security_variables,
    read_security,
    variable_names,
)
from tests.waiting import run

ROOT = Path(__file__).parents[3]
LOGIN = {
    "HEARKEN_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "HEARKEN_SASL_MECHANISM": "SCRAM-SHA-512",
    "HEARKEN_SASL_USERNAME": "labeller",
    "HEARKEN_SASL_PASSWORD": "pass word",
}
CLIENTS = {
    "AIOKafkaConsumer",
    "GroupConsumer",
    "AIOKafkaProducer",
    "AIOKafkaAdminClient",
    "Consumer",
    "Producer",
    "AdminClient",
}
OPTIONS = {"aiokafka_options", "librdkafka_options"}


def make_certificate(folder: Path, password: str = "") -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    certificate, key = folder / "own.pem", folder / "own.key"
    hidden = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=worker", *hidden]
    run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


def refusal_of(environ: dict[str, str]) -> str:
    with pytest.raises(SecurityError) as caught:
        read_security(environ)
    return str(caught.value)


def test_nothing_set_is_plaintext() -> None:
    security = read_security({})
    assert security == Security()
    assert security.for_aiokafka() == {"security_protocol": "PLAINTEXT"}
    assert security.for_librdkafka() == {"security.protocol": "plaintext"}


def test_a_login_reaches_both_kinds_of_client() -> None:
    security = read_security(LOGIN)
    assert security.for_aiokafka() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "labeller",
        "sasl_plain_password": "pass word",
    }
    assert security.for_librdkafka() == {
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "labeller",
        "sasl.password": "pass word",
    }


def test_secrets_are_not_shown() -> None:
    both = Security(
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="labeller",
        sasl_password="hush",
        ssl_certfile=Path("own.pem"),
        ssl_key_password="psst",
    )
    assert "labeller" in repr(both)
    assert "hush" not in repr(both) + str(both)
    assert "psst" not in repr(both) + str(both)


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from a file\n")
    given = {x: y for x, y in LOGIN.items() if x != "HEARKEN_SASL_PASSWORD"} | {"HEARKEN_SASL_PASSWORD_FILE": str(path)}
    assert read_security(given).sasl_password == "from a file"
    path.write_text("another\n")
    assert read_security(given).sasl_password == "another"
    path.write_text("\n")
    assert refusal_of(given) == f"HEARKEN_SASL_PASSWORD_FILE: {path} is empty"
    path.unlink()
    assert refusal_of(given).startswith("HEARKEN_SASL_PASSWORD_FILE: cannot be read: ")
    assert "use one of them" in refusal_of(given | {"HEARKEN_SASL_PASSWORD": "x"})


@pytest.mark.parametrize(
    ("change", "named", "said"),
    [
        ({"HEARKEN_SECURITY_PROTOCOL": "TLS"}, "SECURITY_PROTOCOL", "use PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"HEARKEN_SECURITY_PROTOCOL": ""}, "SASL_MECHANISM", "has no use with PLAINTEXT"),
        ({"HEARKEN_SECURITY_PROTOCOL": "SSL"}, "SASL_MECHANISM", "has no use with SSL"),
        ({"HEARKEN_SASL_MECHANISM": ""}, "SASL_MECHANISM", "needs it"),
        ({"HEARKEN_SASL_MECHANISM": "GSSAPI"}, "SASL_MECHANISM", "use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"HEARKEN_SASL_USERNAME": " "}, "SASL_USERNAME", "needs it"),
        ({"HEARKEN_SASL_PASSWORD": ""}, "SASL_PASSWORD", "needs it"),
        ({"HEARKEN_SSL_CAFILE": __file__}, "SSL_CAFILE", "has no use with SASL_PLAINTEXT"),
        ({"HEARKEN_SSL_CHECK_HOSTNAME": "false"}, "SSL_CHECK_HOSTNAME", "has no TLS"),
        ({"HEARKEN_SSL_CHECK_HOSTNAME": "perhaps"}, "SSL_CHECK_HOSTNAME", "true or false"),
        ({"HEARKEN_SSL_KEY_PASSWORD": "x"}, "SSL_KEY_PASSWORD", "has no use"),
        (
            {"HEARKEN_SECURITY_PROTOCOL": "SASL_SSL", "HEARKEN_SSL_KEYFILE": __file__},
            "SSL_KEYFILE",
            "HEARKEN_SSL_CERTFILE must name",
        ),
        (
            {"HEARKEN_SECURITY_PROTOCOL": "SASL_SSL", "HEARKEN_SSL_CAFILE": "/nowhere.pem"},
            "SSL_CAFILE",
            "not a readable file",
        ),
        (
            {"HEARKEN_SECURITY_PROTOCOL": "SASL_SSL", "HEARKEN_SSL_CAFILE": __file__},
            "SSL_CAFILE",
            "holds no certificates",
        ),
    ],
)
def test_half_a_setting_is_one_line_that_names_the_variable(change: dict[str, str], named: str, said: str) -> None:
    message = refusal_of(LOGIN | change)
    assert message.startswith(f"HEARKEN_{named}: ")
    assert said in message
    assert LOGIN["HEARKEN_SASL_PASSWORD"] not in message


def test_tls_checks_the_broker_unless_told_otherwise(tmp_path: Path) -> None:
    authority, _ = make_certificate(tmp_path)
    given = {"HEARKEN_SECURITY_PROTOCOL": "ssl", "HEARKEN_SSL_CAFILE": str(authority)}
    security = read_security(given)
    context = security.for_aiokafka()["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [dict(x[0] for x in one["subject"])["commonName"] for one in context.get_ca_certs()] == ["worker"]
    assert security.for_librdkafka() == {
        "security.protocol": "ssl",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": str(authority),
    }
    trusting = read_security(given | {"HEARKEN_SSL_CHECK_HOSTNAME": "False"})
    assert not trusting.ssl_context().check_hostname
    assert trusting.ssl_context().verify_mode is ssl.CERT_REQUIRED
    assert trusting.for_librdkafka()["ssl.endpoint.identification.algorithm"] == "none"


def test_a_key_with_a_password_needs_it_and_nobody_is_asked(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "secret")
    given = {
        "HEARKEN_SECURITY_PROTOCOL": "SSL",
        "HEARKEN_SSL_CERTFILE": str(certificate),
        "HEARKEN_SSL_KEYFILE": str(key),
    }
    assert "HEARKEN_SSL_KEY_PASSWORD" in refusal_of(given)
    assert "HEARKEN_SSL_KEY_PASSWORD" in refusal_of(given | {"HEARKEN_SSL_KEY_PASSWORD": "wrong"})
    right = read_security(given | {"HEARKEN_SSL_KEY_PASSWORD": "secret"})
    assert right.for_librdkafka()["ssl.key.location"] == str(key)
    assert right.for_librdkafka()["ssl.key.password"] == "secret"


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["replay", str(ROOT / "consumers/samples/interview.jsonl")],
        ["dlq", "list"],
        ["dlq", "replay"],
        ["topics", "check"],
        ["topics", "create"],
        ["verify"],
        ["demo", "--broker", "localhost:9092"],
    ],
    ids=" ".join,
)
def test_every_command_that_speaks_to_brokers_says_so_at_once(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEARKEN_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("HEARKEN_SASL_PASSWORD", "hush")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("hearken: HEARKEN_SASL_MECHANISM: ")
    assert error.count("\n") == 1
    assert "hush" not in error


def test_a_broker_of_our_own_is_spoken_to_plainly() -> None:
    environ = dict.fromkeys(variable_names(), "x") | {"HEARKEN_BROKER": "here:1"}
    clear_security_variables(environ)
    assert environ == {"HEARKEN_BROKER": "here:1"}


def makers(tree: ast.Module) -> list[ast.Call]:
    """Where clients are made: calls of their classes, and of `partial` with one of them."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in CLIENTS]
    return made + [c for c in calls if c.args and isinstance(c.args[0], ast.Name) and c.args[0].id in CLIENTS]


def test_no_client_is_made_without_them() -> None:
    bare, made = [], 0
    for path in (ROOT / "consumers").rglob("*.py"):
        if path.name in ("embedded.py", "apache_kafka.py"):  # brokers of our own, on loopback
            continue
        for call in makers(ast.parse(path.read_text("utf-8"))):
            made += 1
            names = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
            if not names & OPTIONS:
                bare.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert bare == []
    assert made >= 8, "this test has lost sight of them"
