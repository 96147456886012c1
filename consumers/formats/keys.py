"""What the key of a record is, when it is not the name of a session: the serializers of others, in words."""

import json
import re

from stream.messages.errors import InputError
from stream.messages.types import End
from stream.messages.validation import check_message

KEY = "the record's key"
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_ADVICE = "send the session's name as plain UTF-8 (StringSerializer)"


def describe_key(key: bytes, session: str | None = None) -> str | None:
    """Describe a key that cannot be used; None if it is ordinary text. The description never quotes the key.

    Args:
        key: of a record.
        session: that the record's message names; None if only the key names it.
    """
    name = None if session is None else session.encode("utf-8", "surrogatepass")
    if not key:
        return "the record's key is empty, not null"
    if key[:1] == b"\0" and len(key) > 5 and (len(key) != 8 or (name and key.endswith(name))):
        return f"the record's key begins with the prefix of a schema registry (byte 0 and a schema id): {_ADVICE}"
    is_number = _CONTROLS.search(key) or key[:1] == b"\xff"
    if len(key) in (4, 8) and (is_number or name == b"%d" % int.from_bytes(key, "big", signed=True)):
        return f"the record's key is a number of {len(key)} bytes: {_ADVICE}"
    if key.startswith(b"\xef\xbb\xbf"):
        return f"the record's key begins with a byte order mark: {_ADVICE}"
    if b"\0" in key and not len(key) % 2:
        return f"the record's key is UTF-16: {_ADVICE}"
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        return f"the record's key, which names its session, is not UTF-8 (byte {error.start} of {len(key)}): {_ADVICE}"
    if _CONTROLS.search(key):
        return f"the record's key has control characters: {_ADVICE}"
    return None if session is None else _describe_other(text, session)


def describe_session(name: str) -> str | None:
    """Say why a name that an option or a query gives cannot be that of a session; None if it can."""
    try:
        check_message(End(session=name))
    except InputError as error:
        return error.detail
    detail = describe_key(name.encode())
    return None if detail is None else name_source(detail, "the name")


def name_source(detail: str, source: str) -> str:
    """Return a description with the option or query that the session comes from, where there are no records."""
    return detail.replace(KEY, source).removesuffix(f": {_ADVICE}")


def _describe_other(key: str, session: str) -> str:
    """Describe how a text differs from the session's name."""
    if key[:1] in '"{[':
        try:
            value = json.loads(key)
        except (ValueError, RecursionError):
            value = None
        if value == session:
            return f"the record's key is the message's session in JSON quotes: {_ADVICE}"
        if isinstance(value, dict | list):
            return f"the record's key is a JSON {'object' if isinstance(value, dict) else 'array'}: {_ADVICE}"
    for how, change in (("white space", str.split), ("upper and lower case", str.casefold)):
        if change(key) == change(session):
            return f"the record's key differs from the message's session in {how}"
    return "the record's key is not the message's session"
