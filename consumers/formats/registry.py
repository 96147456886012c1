"""All formats by name, and detection of a topic's format from its first messages (`auto`)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from consumers.formats import normal
from consumers.formats.base import Format
from consumers.formats.chat import discord, slack, twitch, youtube
from consumers.formats.decode import BadInput, check_value, decode_json
from consumers.formats.llm import anthropic, openai_chat, openai_responses
from consumers.formats.speech import (
    assemblyai,
    aws_transcribe,
    azure,
    captions,
    cartesia,
    deepgram,
    deepgram_flux,
    elevenlabs,
    gladia,
    google,
    openai_realtime,
    recall,
    rev,
    soniox,
    speechmatics,
    twilio,
    vosk,
    watson,
    whisper_streaming,
    whisperlive,
    zoom,
)

_MODULES = (
    normal,
    anthropic,
    assemblyai,
    aws_transcribe,
    azure,
    captions,
    cartesia,
    deepgram,
    deepgram_flux,
    discord,
    elevenlabs,
    gladia,
    google,
    openai_chat,
    openai_realtime,
    openai_responses,
    recall,
    rev,
    slack,
    soniox,
    speechmatics,
    twilio,
    twitch,
    vosk,
    watson,
    whisper_streaming,
    whisperlive,
    youtube,
    zoom,
)

FORMATS: Mapping[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
"""Formats by their names in `--format`."""
AUTO = "auto"
_ANYTHING: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


class Detector:
    """Detects the format of a topic: that of the first value which exactly one format recognises.

    Attributes:
        decided: the detected format, with which every later value is read; None before.
    """

    def __init__(self) -> None:
        self.decided: Format | None = None

    def find(self, value: bytes | None) -> Format:
        """Return the format to read a value with.

        Raises:
            BadInput: no format is detected yet, and this value is ambiguous or unknown.
        """
        if self.decided is None:
            self.decided = recognise(value)
        return self.decided


def recognising_formats(value: bytes | None) -> list[Format]:
    """Return the formats that recognise a value.

    Raises:
        BadInput: it is not text.
    """
    bare = check_value(value)
    seen: dict[Callable[[bytes], bytes] | None, Any] = {None: _decode_probe(bare)}
    found = []
    for x in FORMATS.values():
        if x.prepare is not None and x.prepare not in seen:
            seen[x.prepare] = _decode_probe(x.prepare(bare))
        one = seen[x.prepare]
        if isinstance(one, str if x.type is None else dict) and x.recognises(one):
            found.append(x)
    return found


def recognise(value: bytes | None) -> Format:
    """Return the only format that recognises a value.

    Raises:
        BadInput: no format or several recognise it, or it is not text.
    """
    found = recognising_formats(value)
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput("unknown_format", f"could be {' or '.join(x.name for x in found)}: name one with --format")
    raise BadInput(
        "unknown_format",
        "no format is known to look so: if it is one of those in docs/formats.md, name it with --format; "
        "otherwise convert it to the normal form (docs/messages.md)",
    )


def _decode_probe(value: bytes) -> Any:
    """Return the value as a JSON object or array, or as text if it is neither."""
    try:
        seen = decode_json(value, _ANYTHING)
    except BadInput:
        return value.decode()
    return seen if isinstance(seen, dict | list) else value.decode()
