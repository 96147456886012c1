"""Replacements: what stands in a redacted text in place of a value, and which value has which number in a session."""

import hashlib
import hmac
import re
from collections.abc import Callable

from stream.redaction.policy import RedactionPolicy
from stream.redaction.values import normalise_value

MASK, BLOCK = "*", "\u2588"
"""Sign of a masked value, and of text that is withheld."""
_BRACKET = re.compile(r"\[(?=[A-Z0-9_]|$)")
_NOT_IN_NAME = re.compile(r"[^A-Z0-9]+")
ESCAPED = "\uff3b"
"""Full-width bracket: stands for a `[` of the raw text that could begin a placeholder."""


def escape_placeholders(text: str) -> str:
    """Return raw text in which nothing can pass for a placeholder of ours: no `[` stands before a capital or digit.

    A `[` at the end is replaced too, since the next part of the text is not known yet. Lengths stay the same.
    """
    return _BRACKET.sub(ESCAPED, text) if "[" in text else text


def mask_withheld(text: str) -> str:
    """Return text as blocks: one for each character that is not white space."""
    return "".join(x if x.isspace() else BLOCK for x in text)


def hash_name(key: bytes, kind: str, name: str) -> str:
    """Return the keyed hash of an id, a speaker or a value: 16 hexadecimal digits."""
    return hmac.new(key, f"{kind}\0{name}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


def digest_value(key: bytes, value: str) -> bytes:
    """Return the digest under which a value is remembered; with a key it cannot be found by trying values."""
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8, key=key[:64]).digest()


def replace_value(
    policy: RedactionPolicy, session: str, label: str, value: str, number: Callable[[str, bytes], int]
) -> str:
    """Return what stands in place of a value.

    Args:
        policy: its style.
        session: id of the session, which makes surrogates of different sessions differ.
        label, value: of the span, as in the raw text.
        number: gives the number of a value in its session, by label and digest.
    """
    if policy.style == "mask":
        return MASK * len(value)
    name = _NOT_IN_NAME.sub("_", label.upper()).strip("_") or "REDACTED"
    if policy.style == "label":
        return f"[{name}]"
    normal = normalise_value(label, value)
    if policy.style == "hash":
        return f"[{name}:{hash_name(policy.key, label, normal)}]"
    place = number(label, digest_value(policy.key, normal))
    if policy.style == "numbered":
        return f"[{name}_{place}]"
    from stream.redaction.surrogates import make_surrogate  # Faker is slow to import

    return make_surrogate(label, f"{session}\0{label}\0{place}")


MakeReplacement = Callable[[str, str], str]
"""Returns what stands in place of a value, from its label and its raw text."""
