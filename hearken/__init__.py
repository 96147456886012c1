"""Hearken as a library: taggers in this process, clients of a server, and the state that messages add up to.

    import hearken

    stream = hearken.load("english", taggers=["ner", "pii"]).stream()
    for text in ["we met anna", "we met anna rice", "we met anna rice in rome"]:
        for revision in stream.replace(text):
            print(revision.tagger, [(span.label, span.text) for span in revision.spans])

What is listed in `__all__` is public: names and fields are added, never changed. The rooms behind it (`consumers`,
`stream`, `encoder`) are not, and import nothing of this package. docs/python.md is the guide.
"""

from hearken.async_client import AsyncClient, AsyncStream
from hearken.client import Client, ClientStream
from hearken.http import ServerRefused, ServerUnreachable
from hearken.messages import (
    Changed,
    Delete,
    End,
    Event,
    InputError,
    Message,
    RedactedDelete,
    RedactedEnd,
    RedactedMessage,
    RedactedPart,
    RedactedUpdate,
    Retracted,
    Revision,
    ServerError,
    Span,
    Update,
    Was,
    WordTime,
    decode_event,
    decode_redacted,
)
from hearken.model import LoadError, Model, load
from hearken.state import LiveLabels, LiveSegment, LiveSession, LiveState, apply, forget
from hearken.stream import LabellingError, Stream

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Changed",
    "Client",
    "ClientStream",
    "Delete",
    "End",
    "Event",
    "InputError",
    "LabellingError",
    "LiveLabels",
    "LiveSegment",
    "LiveSession",
    "LiveState",
    "LoadError",
    "Message",
    "Model",
    "RedactedDelete",
    "RedactedEnd",
    "RedactedMessage",
    "RedactedPart",
    "RedactedUpdate",
    "Retracted",
    "Revision",
    "ServerError",
    "ServerRefused",
    "ServerUnreachable",
    "Span",
    "Stream",
    "Update",
    "Was",
    "WordTime",
    "apply",
    "decode_event",
    "decode_redacted",
    "forget",
    "load",
]
