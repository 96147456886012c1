"""Dialogue templates: `templates/DOMAIN.txt`, an empty line between two, a line `a: ...` or `b: ...` for each turn.

`{phone}` is a slot; the same slot again is the same value, `{phone2}` another one; `{person.first}`, `{person.last}`
and `{person.spelled}` are of the person `{person}`. `[a|b|]` is one of several wordings. Files `hard_*.txt` have no
personal data. `\\n` is a line break, as messages and forms have them. In `asks.txt` and `hard_asks.txt` a line is a
template: a question after its slot and a colon, or a sentence after its slot and "=".
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from encoder.train.data.pii.impersonal import IMPERSONAL_SLOTS
from encoder.train.data.pii.personal import PERSONAL_SLOTS

FOLDER = Path(__file__).parent / "templates"
SLOT = re.compile(r"\{([a-z_]+)(\d?)((?:\.[a-z]+)?)\}")
WORDING = re.compile(r"\[([^\]]*)\]")
_LINE = re.compile(r"([ab]): (\S.*)")
_ASK = re.compile(r"([a-z_]+(?:\.[a-z]+)?)([:=]) (\S.*)")
_ANSWER = (
    "[It's |Sure, it's |Okay, that's |Let me find it, |Yeah, |That would be |I have it here, |One moment, |"
    "I think it's |Sure, |Here, |||||]{slot}[|||, please|, I think|, thanks|, I believe]."
)
_REPLY = (
    "[||||Thanks.|Got it.|Okay, {slot}.|{slot}?|So that's {slot}.|Let me repeat, {slot}.|Perfect, thank you.|Great.]"
)


class TemplateTurn(NamedTuple):
    """What one party says at once."""

    speaker: str
    text: str


class DialogueTemplate(NamedTuple):
    """One dialogue with slots."""

    name: str
    """Its domain, and the number in the domain's file."""
    domain: str
    turns: tuple[TemplateTurn, ...]

    @property
    def slots(self) -> frozenset[str]:
        """Names of its slots, without numbers: "person.first"."""
        return frozenset(f"{kind}{part}" for turn in self.turns for kind, _, part in SLOT.findall(turn.text))

    @property
    def personal(self) -> bool:
        """Whether it has personal data."""
        return bool(self.slots & PERSONAL_SLOTS)

    def join(self, other: "DialogueTemplate") -> "DialogueTemplate":
        """Let another template follow in the same dialogue."""
        return DialogueTemplate(f"{self.name}, {other.name}", self.domain, self.turns + other.turns)


@cache
def read_templates() -> tuple[DialogueTemplate, ...]:
    """Read all templates, in the order of their files' names."""
    made = []
    for path in sorted(FOLDER.glob("*.txt")):
        text = path.read_text("utf-8").strip()
        asks = path.stem.endswith("asks")
        blocks = [_expand(line) for line in text.split("\n")] if asks else text.split("\n\n")
        made += [_parse(f"{path.stem} {number}", path.stem, block) for number, block in enumerate(blocks, 1)]
    return tuple(made)


def _expand(line: str) -> str:
    """Make a template of a line of `asks.txt`."""
    parts = _ASK.fullmatch(line)
    assert parts, f"template {line!r}: expected `slot: question` or `slot= sentence`"
    slot, kind, text = parts.groups()
    if kind == "=":
        return f"b: {text}"
    return f"a: {text}\nb: {_ANSWER}\na: {_REPLY}".replace("{slot}", f"{{{slot}}}")


def _parse(name: str, domain: str, block: str) -> DialogueTemplate:
    lines = [_LINE.fullmatch(line) for line in block.split("\n")]
    assert all(lines), f"template {name}: every line must begin with a: or b:"
    turns = tuple(TemplateTurn(line[1], line[2].replace("\\n", "\n")) for line in lines if line)
    template = DialogueTemplate(name, domain, turns)
    strange = template.slots - PERSONAL_SLOTS - IMPERSONAL_SLOTS
    assert not strange, f"template {name}: no slot is named {sorted(strange)}"
    assert not (template.personal and domain.startswith("hard_")), f"template {name} has personal data"
    return template
