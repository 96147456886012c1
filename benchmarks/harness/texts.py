"""Synthetic spoken-like texts, and the messages that carry them."""

import random
from collections.abc import Iterator, Sequence

from stream.messages.types import Message, Update

FILLERS = ["um", "uh", "well", "you know", "i mean", "so", "right", "and"]
TEMPLATES = [
    "PERSON told us on DAY that ORG will open another office in PLACE",
    "we were in PLACE with PERSON and PERSON until DAY morning",
    "the thing about ORG is that nobody in PLACE had heard of it before DAY",
    "i i spoke to PERSON from ORG and she said they are moving to PLACE",
    "did you see PERSON at the EVENT in PLACE",
    "it was DAY no sorry it was the week after the EVENT when PERSON called",
    "my brother bought a PRODUCT in PLACE and it it never worked",
    "they say that the EVENT is going to be in PLACE next year",
    "that was PERSON of ORG speaking to us from PLACE",
    "we had the PRODUCT for three weeks and then ORG took it back",
]
FILLINGS = {
    "PERSON": ["mira vansen", "doctor osei", "helen rice", "tam", "priya nair", "old mister alcott", "joanna"],
    "PLACE": ["lisbon", "glasgow", "the north of italy", "rotterdam", "new mexico", "millbrook", "peru"],
    "ORG": ["atlas civil works", "the county council", "volvo", "harbour radio", "the museum", "kanelec"],
    "DAY": ["monday", "last friday", "the third of may", "tuesday", "half past six", "christmas"],
    "EVENT": ["regatta", "book fair", "world cup", "spring congress", "film festival"],
    "PRODUCT": ["skyhawk two", "sonoscan", "washing machine", "volvo", "little red radio"],
}


def make_texts(sessions: int, words: int, seed: int = 7) -> list[list[str]]:
    """Return one text of `words` words for each session; all differ, and are the same in every run."""
    return [_ramble(random.Random(seed * 1_000_003 + i), words) for i in range(sessions)]


def _ramble(rng: random.Random, words: int) -> list[str]:
    said: list[str] = []
    while len(said) < words:
        if rng.random() < 0.3:
            said.append(rng.choice(FILLERS))
        template = rng.choice(TEMPLATES)
        said += [rng.choice(FILLINGS[word]) if word in FILLINGS else word for word in template.split()]
    return " ".join(said).split()[:words]


def open_words(texts: Sequence[Sequence[str]], words: int) -> list[Message]:
    """Return one update a session, session number i being "s<i>": its open segment of `words` words."""
    return [Update(session=f"s{i}", segment="1", text=" ".join(text[:words])) for i, text in enumerate(texts)]


def closes(texts: Sequence[Sequence[str]]) -> list[Message]:
    """Return one update a session that closes the segment of `open_words`."""
    return [Update(session=f"s{i}", segment="1", text=" ".join(x), final=True) for i, x in enumerate(texts)]


def speak_in_turns(texts: Sequence[Sequence[str]], rate: float) -> Iterator[tuple[float, Message]]:
    """Yield updates without end, one word of each session in turn, `rate` a second; each with its time.

    A segment closes with its last word, and the session's next one begins. Sessions begin at different words of their
    first texts, so that they do not close together.
    """
    count, words = len(texts), len(texts[0])
    number = 0
    while True:
        session, turn = number % count, number // count
        segment, last = divmod(turn + session * words // count, words)
        text = texts[(session + segment) % count][: last + 1]
        update = Update(session=f"s{session}", segment=str(segment), text=" ".join(text), final=last == words - 1)
        yield number / rate, update
        number += 1
