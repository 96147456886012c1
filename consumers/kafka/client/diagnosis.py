"""Diagnosis of refused connections, by a test connection, and of missing rights: aiokafka names neither cause."""

import asyncio
import ssl

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from consumers.common.errors import NotAuthorised
from consumers.kafka.client.security import Security, read_security

PROBE_SECONDS = 10.0
_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""


async def find_refusal(broker: str) -> str | None:
    """Return one line that names the variable to correct, from the first broker that answers; None without a diagnosis.

    None means that no broker answers, that the connection works, or that the cause is another: without TLS and SASL a
    refusal cannot be distinguished from a broker that is away.
    """
    security = read_security()
    if not (security.tls or security.sasl):
        return None
    for host, port in _hosts(broker):
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                connection: AIOKafkaConnection = await create_conn(host, port, **security.for_aiokafka())
        except (SaslAuthenticationFailed, UnsupportedSaslMechanismError) as error:
            return _explain_sasl(error, security)
        except (OSError, KafkaError) as error:  # TimeoutError is an OSError
            # A broker that requires a client certificate says so after the handshake, on the next read.
            for found in (error, error.__cause__):
                if isinstance(found, ssl.SSLError):
                    return _explain_tls(found)
            continue
        await connection.close()
        return None
    return None


AUTHORIZATION_ERRORS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    ClusterAuthorizationFailedError,
)


def explain_right(operations: str, subject: str) -> str:
    """One line about an operation that no ACL allows us; `subject` is such as `topic updates`."""
    return f"not authorised: {operations} on {subject}; an ACL must allow it"


def explain_authorization(error: KafkaError, name: str = "") -> NotAuthorised:
    """Name the operation that is missing, given one of `AUTHORIZATION_ERRORS`.

    Args:
        error: of a client.
        name: of the group, or of the transactional id.
    """
    if isinstance(error, TopicAuthorizationFailedError):
        names = next((x for x in error.args if x), name or "a topic of the service")
        topics = names if isinstance(names, str) else ", ".join(sorted(map(str, names)))
        return NotAuthorised(
            explain_right("Read or Write (input: Read; state: both; others: Write)", f"topic {topics}")
        )
    if isinstance(error, GroupAuthorizationFailedError):
        return NotAuthorised(explain_right("Read", f"group {name}"))
    if isinstance(error, TransactionalIdAuthorizationFailed):
        return NotAuthorised(explain_right("Write and Describe", f"transactional id {name}"))
    return NotAuthorised(explain_right("IdempotentWrite or Create", "the cluster"))


def _hosts(broker: str) -> list[tuple[str, int]]:
    pairs = (part.strip().rpartition(":") for part in broker.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]


def _explain_tls(error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"TLS failed ({error.reason or error}): does the broker ask for a client certificate "
            "(HEARKEN_SSL_CERTFILE), and does this port speak TLS (HEARKEN_SECURITY_PROTOCOL)?"
        )
    if error.verify_code in (_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH):
        return (
            f"the broker's certificate is for another name ({error.verify_message}): "
            "use the certificate's name in --broker, or set HEARKEN_SSL_CHECK_HOSTNAME=false if that is not possible"
        )
    return (
        f"the broker's certificate is not trusted ({error.verify_message}): "
        "HEARKEN_SSL_CAFILE must hold the authority that signed it"
    )


def _explain_sasl(error: KafkaError, security: Security) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        answer = " ".join(str(error).split())
        return f"the broker refuses the name and password: HEARKEN_SASL_USERNAME, HEARKEN_SASL_PASSWORD ({answer})"
    return f"the broker does not take {security.sasl_mechanism} at this port: HEARKEN_SASL_MECHANISM"
