"""An Apache Kafka that lets in only whom it knows: its certificates, its users, its listeners."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consumers.kafka.brokers.apache_kafka import ApacheKafka, find_jars, free_ports
from tests.waiting import run

USER, PASSWORD = "labeller", "correct-horse-9"
LIMITED = "limited"
"""A user with the same password that may do only what ACLs allow; it logs in with PLAIN."""

PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{{port}},LOGIN://127.0.0.1:{login},MUTUAL://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},LOGIN://localhost:{login},MUTUAL://localhost:{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.both
ssl.truststore.type=PEM
ssl.truststore.location={folder}/authority.pem
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.login.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.login.plain.sasl.jaas.config={security}.plain.PlainLoginModule required {users};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user};User:CN=worker
"""


@dataclass(frozen=True)
class SecureKafka:
    """Where it is, by listener, and what its clients need.

    Attributes:
        plain: the address that the broker itself and a test's own reader use, which may do anything.
        login: SASL_SSL, with `USER` and `PASSWORD`; the certificate is localhost's.
        mutual: SSL; clients show a certificate.
        folder: of authority.pem, stranger.pem (another authority), worker.pem and worker.key.
    """

    plain: str
    login: str
    mutual: str
    folder: Path


@contextmanager
def secure_kafka() -> Iterator[SecureKafka]:
    """A running one, which leaves nothing behind."""
    libs = find_jars()
    assert libs is not None
    login, mutual = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="hearken-tls-") as name:
        folder = Path(name)
        make_certificates(folder)
        properties = PROPERTIES.format(
            login=login,
            mutual=mutual,
            folder=folder,
            user=USER,
            users=f'user_{USER}="{PASSWORD}" user_{LIMITED}="{PASSWORD}"',
            security="org.apache.kafka.common.security",
        )
        users = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        data = Path(tempfile.mkdtemp(prefix="hearken-kafka-"))
        broker = ApacheKafka(libs, data, ephemeral=True, properties=properties, format_options=users)
        try:
            broker.start()
            yield SecureKafka(broker.address, f"localhost:{login}", f"localhost:{mutual}", folder)
        finally:
            broker.stop()


def make_certificates(folder: Path) -> None:
    """An authority, what it signed for the broker (localhost) and for a worker, and an authority that nobody knows."""
    for name in ("authority", "stranger"):
        _openssl(
            folder, f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        )
    for name, names in (("broker", "DNS:localhost"), ("worker", "DNS:worker")):
        (folder / "names").write_text(f"subjectAltName={names}\n")
        _openssl(folder, f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        signed = "-CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names"
        _openssl(folder, f"x509 -req -in {name}.csr -out {name}.pem {signed}")
    (folder / "broker.both").write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())


def _openssl(folder: Path, arguments: str) -> None:
    run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
