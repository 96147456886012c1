"""Messages from templates: values in the slots, neutral text around, one of three forms, with spans and scores."""

import random
import re
from functools import cache
from typing import Literal, NamedTuple

from encoder.train.data.contrast.disguise import disguise_words
from encoder.train.data.contrast.templates import SCORES, MessageTemplate, read_contrast_lists

MessageForm = Literal["forum", "chat", "speech"]
FORMS: dict[MessageForm, float] = {"forum": 0.4, "chat": 0.4, "speech": 0.2}
"""Shares of the forms: typed with capitals and punctuation, typed in small letters, and as recognisers write speech."""
BEFORE = 0.3
"""Share of the messages with neutral text before; as many have some after."""
DISGUISED = 0.15
"""Share of the typed messages, whatever their side, in which words are disguised: a disguise alone is no insult."""
FILLERS = ("uh", "um", "you know", "like")
_CLAIMS = ("dehumanising", "threatening", "excluding", "belittling", "stereotyping")
_IDENTITY_FORMS = {"groups": 0, "a_member": 1, "adj": 2}
_SLUR_FORMS = {"slurs": 0, "slur": 1}
_LISTS = {
    "name": "names", "place": "places", "thing": "things", "program": "programs", "dish": "dishes", "player": "players",
    "job": "jobs", "institution": "institutions", "teaching": "teachings", "swear": "swears", "exclaim": "exclaims",
    "insult": "insults", "insulting_adjective": "insulting_adjectives",
}  # fmt: skip
_SLOT = re.compile(r"\{([a-z_]+)(\d?)(\??)\}")
_ARTICLE = re.compile(r"([Aa])\(n\)(?=[\x02 ]+(\w))")
_SHORT = {"you": "u", "your": "ur", "people": "ppl", "please": "pls", "because": "cuz", "are": "r"}
_OPEN, _CLOSE = "\x02", "\x03"


class ContrastMessage(NamedTuple):
    """A message with its labels."""

    kind: str
    side: str
    form: MessageForm
    template: str
    """Its kind, and the number in the kind's file."""
    text: str
    spans: tuple[tuple[int, int, str], ...]
    """In characters, end exclusive; none in a harmless message."""
    scores: dict[str, float]
    """A target from 0 to 1 for each of `SCORES`."""
    disguised: tuple[tuple[int, int], ...] = ()
    """Words in disguise, in characters of the text, end exclusive."""


def draw_message(template: MessageTemplate, rng: random.Random) -> ContrastMessage:
    """Fill a template in, in a form by chance."""
    kind = read_contrast_lists().kinds[template.kind]
    form = rng.choices([*FORMS], [*FORMS.values()])[0]
    marked = _write(_frame(_MessageFiller(rng).fill(template.text), rng), form, rng)
    text, spans = _read_marks(marked)
    shown, places, disguised = text, spans, tuple[tuple[int, int], ...]()
    if form != "speech" and rng.random() < DISGUISED:
        shown, places, disguised = disguise_words(text, spans if kind.side != "harmless" else (), _rude_words(), rng)
    return ContrastMessage(
        template.kind,
        kind.side,
        form,
        f"{template.kind} {template.number}",
        shown,
        () if kind.side == "harmless" else places,
        _score(text, dict(zip(SCORES, kind.scores, strict=True)), kind.side == "harmless"),
        disguised,
    )


@cache
def _rude_words() -> frozenset[str]:
    """Words that people disguise, on any side: swear words and insults of one word."""
    lists = read_contrast_lists().lists
    return frozenset((*lists["profane"], *lists["mild"], *lists["insults"], *lists["insulting_adjectives"]))


class _MessageFiller:
    """Fills the slots of one message; the same slot again is the same value, except for swear words."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lists = read_contrast_lists().lists
        self._identities = rng.sample(self._lists["identities"], 2)
        self._opposites = [
            (known, opposite) for known, _, opposite in (x.partition("|") for x in self._lists["opposites"])
        ]
        self._slur = rng.choice(self._lists["slurs"])
        self._values: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """Give the text with values, `<` and `>` as the marks of spans; values have slots of their own."""
        filled = _SLOT.sub(self._value, text).replace("<", _OPEN).replace(">", _CLOSE)
        return _ARTICLE.sub(lambda found: found[1] + "n" * (found[2] in "aeiouAEIOU"), filled)

    def _value(self, slot: re.Match[str]) -> str:
        kind, number, maybe = slot.groups()
        if maybe and self._rng.random() < 0.5:
            return ""
        if kind in _IDENTITY_FORMS:
            return self._identities[number == "2"].split("|")[_IDENTITY_FORMS[kind]]
        if kind in _SLUR_FORMS:
            return self._slur.split("|")[_SLUR_FORMS[kind]]
        if kind == "insults":
            return _make_plural(self._rng.choice(self._lists[kind]))
        if kind == "swear":
            return f"<{self._rng.choice(self._lists['swears'])}>"
        if kind + number not in self._values:
            self._values[kind + number] = self._draw(kind)
        return _SLOT.sub(self._value, self._values[kind + number])

    def _draw(self, kind: str) -> str:
        if kind not in ("claim", "unclaim"):
            return self._rng.choice(self._lists[_LISTS.get(kind, kind)])
        claim = self._rng.choice(self._lists[self._rng.choice(_CLAIMS)])
        return claim if kind == "claim" else self._negate(claim) or self._draw(kind)

    def _negate(self, claim: str) -> str:
        """Give the opposite of a claim; "" if there is none."""
        claim = claim.strip("<>")
        pairs = [pair for pair in self._opposites if claim.startswith(pair[0])]
        longest = max((len(known) for known, _ in pairs), default=0)
        ends = [opposite + claim[longest:] for known, opposite in pairs if len(known) == longest]
        return self._rng.choice(ends) if ends else ""


def _make_plural(noun: str) -> str:
    """Give the plural of a noun, or of the one before "of"."""
    noun, of, rest = noun.partition(" of ")
    noun = re.sub(r"(?<![aeou])y$", "ie", noun)
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s") + of + rest


def _frame(message: str, rng: random.Random) -> str:
    """Put neutral text before and after a message."""
    frames = read_contrast_lists().frames
    before = rng.choice(frames.before) if rng.random() < BEFORE else ""
    after = rng.choice(frames.after) if rng.random() < BEFORE else ""
    filler = _MessageFiller(rng)
    return f"{filler.fill(before)} {message} {filler.fill(after)}"


def _write(marked: str, form: MessageForm, rng: random.Random) -> str:
    if form == "forum":
        marked = re.sub(r"(^|[.!?] +)([\x02\" ]*)([a-z])", lambda found: found[1] + found[2] + found[3].upper(), marked)
    else:
        marked = marked.lower()
        if form == "speech":
            marked = re.sub(r"[^\w\s'\x02\x03]", "", marked.replace("-", " "))
            marked = re.sub(" ", lambda _: f" {rng.choice(FILLERS)} " if rng.random() < 0.03 else " ", marked)
        elif rng.random() < 0.5:
            marked = re.sub(r"[.,;:]+(?=\s|\x03|$)", "", marked)
        if form == "chat" and rng.random() < 0.2:
            marked = re.sub(r"(?<!')\b[a-z]+\b(?!')", lambda found: _SHORT.get(found[0], found[0]), marked)
    # marks lie close to words, and a word that was left out leaves no blank
    marked = re.sub(r"\x02+ +", lambda found: " " + _OPEN * found[0].count(_OPEN), marked)
    marked = re.sub(r" +\x03+", lambda found: _CLOSE * found[0].count(_CLOSE) + " ", marked)
    return re.sub(r" +([.,!?;:](?!\w|\)))", r"\1", re.sub(r" +", " ", marked)).strip()


def _read_marks(marked: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    """Take the marks out; what lies between two marks of a pair is a span, pairs inside of others are none."""
    text, spans, depth, start = "", [], 0, 0
    for part in re.split(r"([\x02\x03])", marked):
        if part == _OPEN:
            start = start if depth else len(text)
            depth += 1
        elif part == _CLOSE:
            depth -= 1
            if not depth:
                spans.append((start, len(text), "toxic"))
        else:
            text += part
    return text, tuple(spans)


def _score(text: str, scores: dict[str, float], harmless: bool) -> dict[str, float]:
    """Raise the scores of a kind by the swear words of a message."""
    words, lists = set(re.findall(r"\w+", text.lower())), read_contrast_lists().lists
    strong, mild = not words.isdisjoint(lists["profane"]), not words.isdisjoint(lists["mild"])
    profanity = 0.9 if strong else 0.45 if mild else 0.0
    scores["profanity"] = max(scores["profanity"], profanity)
    if strong and harmless:
        scores["toxicity"] = max(scores["toxicity"], 0.2)
    elif strong:
        scores["toxicity"] = max(scores["toxicity"], 0.95)
        scores["severe_toxicity"] = min(0.9, scores["severe_toxicity"] + 0.15)
    return scores
