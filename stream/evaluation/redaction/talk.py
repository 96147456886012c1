"""Made-up talk with personal data as a recogniser would send it: updates of a few words, the newest one sometimes
misheard at first. The dialogues are those of the training's generator (`encoder.train.data.pii`), of templates that a
fold keeps apart.
"""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from encoder.model.config import ConfigError
from encoder.train.data.pii.dialogue import Dialogue, DialogueTurn
from encoder.train.data.pii.generate import generate_dialogues
from stream.messages.types import End, Message, Update

SPOKEN = ("words", "digits", "punctuated")
"""Forms that are spoken; the others are typed."""
MISHEARD = 0.15
"""Probability that the newest word of an update is another one until the next update."""
SEED = 7
_WORD = re.compile(r"\S+")
_ALIKE = {"four": "for", "for": "four", "two": "to", "to": "two", "eight": "ate", "one": "won", "six": "sex"}


class Hypothesis(NamedTuple):
    """A text of one segment as the recogniser has it at one moment."""

    text: str
    words: tuple[int, ...]
    """For each of its words the spoken word that it stands for."""


def spoken_dialogues(count: int, fold: str) -> Iterator[Dialogue]:
    """Draw dialogues that are spoken.

    Args:
        count: dialogues that are drawn, the typed ones included.
        fold: "k/n": templates of fold k of n.

    Raises:
        ConfigError: Faker is not installed, or there is no such fold.
    """
    return (x for x in made_up_dialogues(count, fold) if x.form in SPOKEN)


def made_up_dialogues(count: int, fold: str) -> Iterator[Dialogue]:
    """Draw dialogues of every form; see `spoken_dialogues`."""
    if not re.fullmatch(r"\d+/[1-9]\d*", fold):
        raise ConfigError(f"fold {fold!r} must look like 0/5")
    return generate_dialogues(count, SEED, fold=fold)


def hear_turn(turn: DialogueTurn, rng: random.Random) -> list[Hypothesis]:
    """Return the hypotheses of one turn, the last one is what was said."""
    bounds = [x.span() for x in _WORD.finditer(turn.text)]
    words = [turn.text[a:b] for a, b in bounds]
    heard, n = [], 0
    while n < len(words):
        n = min(len(words), n + rng.choice((1, 1, 2, 3)))
        text = turn.text[: bounds[n - 1][1]]
        if n < len(words) and rng.random() < MISHEARD:
            other = _ALIKE.get(words[n - 1]) or rng.choice(words)
            text = turn.text[: bounds[n - 1][0]] + other
        heard.append(Hypothesis(text, tuple(range(n))))
    return heard


def talk_messages(dialogues: Iterator[Dialogue]) -> Iterator[Message]:
    """Yield the messages of dialogues, each a session of its own, its turns are segments."""
    for number, dialogue in enumerate(dialogues):
        session = f"{number}"
        rng = random.Random(f"{SEED} {number}")
        for place, turn in enumerate(dialogue.turns):
            heard = hear_turn(turn, rng)
            for x in heard:
                final = x is heard[-1]
                yield Update(session=session, segment=f"{place}", text=x.text, final=final, speaker=turn.speaker)
        yield End(session=session)
