"""AsyncAPI 3 description of the Kafka topics and of the WebSocket `/v1/stream`."""

from collections.abc import Mapping
from typing import Any

from consumers.common.settings import REDACTED_TOPIC, Topics

Json = dict[str, Any]
VERSION = "3.0.0"
_ID = "Id of the session, in UTF-8."
_TRACE = ("traceparent", "tracestate")


def describe_channels(schemas: Mapping[str, Json]) -> Json:
    """Describe topics and WebSocket as AsyncAPI 3.

    Args:
        schemas: of the messages and their parts, by name; references among them are to `#/components/schemas/`.
    """
    topics = Topics()
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Hearken",
            "version": "1",
            "description": "Labels live text while it is still arriving. Offsets are Unicode code points.",
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "`--broker`"},
            "http": {
                "host": "localhost:8477",
                "protocol": "ws",
                "description": "`--http-host`, `--http-port`; with a token wss is for a proxy in front",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
        },
        "channels": {
            "updates": _topic(topics.input, "Live text (`--input-topic`).", "Update", "Delete", "End"),
            "revisions": _topic(topics.output, "Labels of live text (`--output-topic`).", "Revision"),
            "redacted": _topic(
                REDACTED_TOPIC,
                "Released text with covered values replaced (`--redacted-topic`, with `--redact`).",
                "RedactedUpdate",
                "RedactedDelete",
                "RedactedEnd",
            ),
            "deadLetters": _topic(
                topics.dead_letter, "Records that cannot be used, as they came (`--dead-letter-topic`).", "DeadLetter"
            ),
            "stream": _stream(),
        },
        "operations": {
            "receiveUpdates": _operation("receive", "updates", "Take live text."),
            "sendRevisions": _operation("send", "revisions", "Publish labels; drop repeats by tagger, session, `rev`."),
            "sendRedacted": _operation("send", "redacted", "Publish released text; drop repeats by session, `rev`."),
            "sendDeadLetters": _operation("send", "deadLetters", "Keep what cannot be used, with the reason."),
            "receiveFrames": _operation("receive", "stream", "Take messages, one a frame.", "Update", "Delete", "End"),
            "sendFrames": _operation("send", "stream", "Answer, one message a frame.", *_ANSWERS),
        },
        "components": {
            "schemas": dict(schemas),
            "messages": {**{name: _message(name, schemas[name]) for name in _KEYED}, **_OTHER_MESSAGES},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`HEARKEN_HTTP_TOKEN`, if it is set."}
            },
        },
    }


_KEYED = ("Update", "Delete", "End", "Revision", "RedactedUpdate", "RedactedDelete", "RedactedEnd")
"""Messages that are records too, whose key is their session."""
_ANSWERS = ("Revision", "RedactedUpdate", "RedactedDelete", "RedactedEnd", "ServerError")
_DEAD_LETTER_HEADERS = {
    "reason": "Short, stable code.",
    "error": "One line that says what the value or key is.",
    "topic": "Topic of the record.",
    "partition": "Partition of the record.",
    "offset": "Offset of the record.",
    "original_headers": "Number of the record's own headers, which come first.",
}
_OTHER_MESSAGES: Json = {
    "ServerError": {
        "name": "error",
        "summary": "A frame was refused, or labelling failed on it.",
        "payload": {"$ref": "#/components/schemas/ServerError"},
    },
    "DeadLetter": {
        "name": "deadLetter",
        "summary": "The record byte for byte; its own headers come before these.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {x: {"type": "string", "description": text} for x, text in _DEAD_LETTER_HEADERS.items()},
            "required": ["reason", "error", "topic", "partition", "offset"],
        },
        "payload": {"description": "Any bytes."},
    },
}


def _topic(name: str, about: str, *messages: str) -> Json:
    return {
        "address": name,
        "description": about,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {x: {"$ref": f"#/components/messages/{x}"} for x in messages},
        "bindings": {"kafka": {"topic": name}},
    }


def _stream() -> Json:
    texts = {
        "format": "Format of the client's messages: `normal`, a vendor's, or `auto`.",
        "session": "Session of messages that name none.",
        "output": "`revisions`, or `redacted` if the service redacts.",
        "auto_close": "`true`, `false` or a number of words: close segments at sentence ends.",
        "ticket": "Instead of the token, from /v1/ticket.",
    }
    query = {"type": "object", "properties": {x: {"type": "string", "description": text} for x, text in texts.items()}}
    names = ("Update", "Delete", "End", *_ANSWERS)
    return {
        "address": "/v1/stream",
        "description": "Messages in, revisions out, one a frame (docs/http.md).",
        "servers": [{"$ref": "#/servers/http"}],
        "messages": {x: {"$ref": f"#/components/messages/{x}"} for x in names},
        "bindings": {"ws": {"method": "GET", "query": query}},
    }


def _operation(action: str, channel: str, summary: str, *messages: str) -> Json:
    named = [{"$ref": f"#/channels/{channel}/messages/{x}"} for x in messages]
    more = {"messages": named} if named else {}
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary, **more}


def _message(name: str, schema: Json) -> Json:
    headers = {"type": "object", "properties": {x: {"type": "string"} for x in _TRACE}}
    return {
        "name": schema["properties"]["type"]["enum"][0],
        "title": name,
        "summary": schema["description"],
        "headers": {**headers, "description": "W3C Trace Context, copied from update to revision."},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": _ID}}},
    }
