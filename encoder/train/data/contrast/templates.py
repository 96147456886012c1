"""Templates of messages: `templates/KIND.txt`, a line each, and `lists.toml`, with what their slots are filled with.

`{groups}`, `{a_member}` and `{adj}` are of one identity, with a 2 of another one. `{claim}` is what hateful messages
say of a group. `{name2}` is another draw than `{name}`, and `{swear?}` stands there half of the time. `a(n)` fits the
word after it. `<...>` are the words that a span marks in hateful and insulting messages.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

FOLDER = Path(__file__).parent
SCORES = ("toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat", "sexually_explicit")

MessageSide = Literal["hateful", "insulting", "harmless"]


class MessageKind(NamedTuple):
    """A kind of message: which side it is on, how often it is drawn, and its targets in the order of `SCORES`."""

    side: MessageSide
    weight: float
    scores: tuple[float, float, float, float, float, float, float]


class _Frames(msgspec.Struct, frozen=True):
    before: tuple[str, ...]
    after: tuple[str, ...]


class ContrastLists(msgspec.Struct, frozen=True):
    """The file `lists.toml`."""

    kinds: dict[str, MessageKind]
    lists: dict[str, tuple[str, ...]]
    frames: _Frames


class MessageTemplate(NamedTuple):
    """One message with slots."""

    kind: str
    number: int
    text: str


@cache
def read_contrast_lists() -> ContrastLists:
    """Read `lists.toml`."""
    return msgspec.convert(tomllib.loads((FOLDER / "lists.toml").read_text("utf-8")), ContrastLists)


@cache
def read_message_templates() -> tuple[MessageTemplate, ...]:
    """Read the templates of all kinds, in the order of `lists.toml`."""
    return tuple(
        MessageTemplate(kind, number, line)
        for kind in read_contrast_lists().kinds
        for number, line in enumerate((FOLDER / "templates" / f"{kind}.txt").read_text("utf-8").splitlines(), 1)
    )
