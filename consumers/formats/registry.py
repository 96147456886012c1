"""All formats by name, and `auto`: which one a topic has is decided by its first messages."""

from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.formats import normal
from consumers.formats.base import Format
from consumers.formats.chat import discord, slack, twitch, youtube
from consumers.formats.decode import BadInput, check_value
from consumers.formats.speech import (
    assemblyai,
    aws_transcribe,
    azure,
    captions,
    deepgram,
    deepgram_flux,
    google,
    openai_realtime,
    vosk,
    watson,
    whisper_streaming,
    whisperlive,
)

_MODULES = (
    normal,
    assemblyai,
    aws_transcribe,
    azure,
    captions,
    deepgram,
    deepgram_flux,
    discord,
    google,
    openai_realtime,
    slack,
    twitch,
    vosk,
    watson,
    whisper_streaming,
    whisperlive,
    youtube,
)

FORMATS: Mapping[str, Format] = {module.FORMAT.name: module.FORMAT for module in _MODULES}
"""By the name that `--format` has for them."""
AUTO = "auto"


class Detector:
    """Decides which format a topic has: that of the first value which exactly one format recognises.

    Attributes:
        decided: the format, once it is known; from then on every value is read with it.
    """

    def __init__(self) -> None:
        self.decided: Format | None = None

    def find(self, value: bytes | None) -> Format:
        """Give the format to read a value with.

        Raises:
            BadInput: nothing is decided yet, and this value does not decide it.
        """
        if self.decided is None:
            self.decided = recognise(value)
        return self.decided


def recognise(value: bytes | None) -> Format:
    """Give the one format that a value can be of.

    Raises:
        BadInput: it can be of none, or of several, or it is no text at all.
    """
    seen = _decode_probe(check_value(value))
    found = [format for format in FORMATS.values() if format.recognises(seen)]
    if len(found) == 1:
        return found[0]
    which = "no format is known to look so" if not found else "could be " + " or ".join(x.name for x in found)
    raise BadInput("unknown_format", f"{which}: name one with --format")


def _decode_probe(value: bytes) -> Any:
    """The value as JSON, or as text where it is none."""
    try:
        seen = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value.decode()
    return seen if isinstance(seen, dict | list) else value.decode()
