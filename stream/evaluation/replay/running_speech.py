"""Written sentences as running speech: without punctuation, one after the other in long segments.

What is dropped is what training drops (`encoder.train.data.augment.speak`), but nothing is added: no fillers and no
repetitions.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from encoder.train.config import AugmentConfig
from encoder.train.data.augment import speak
from encoder.train.data.text import TextSequence as Sentence

SEGMENTS = 16
"""Joined segments of one session at most. A longer document is several sessions, so that more of them run at once."""


def join_sentences(sentences: Sequence[Sentence], spoken: bool, join: int | None) -> Iterator[tuple[str, Sentence]]:
    """Say sentences and join them.

    Args:
        sentences: in document order.
        spoken: drop punctuation; a sentence of nothing else is left out. Abbreviations are said in one of two ways
            ("u s", "u.s."), always in the same for the same sentences.
        join: join neighbours of one document while they have at most so many words together; None joins nothing.

    Yields:
        The name of the session that the segment belongs to (empty: it is alone), and the segment.
    """
    rng = random.Random(0)
    said = [_say(sentence, rng) for sentence in sentences] if spoken else list(sentences)
    said = [sentence for sentence in said if sentence.words]
    if join is None:
        yield from (("", sentence) for sentence in said)
        return
    document, session, segments = "", 0, 0
    for part in _join(said, join):
        if part.document != document or segments == SEGMENTS:
            document, session, segments = part.document, session + 1, 0
        segments += 1
        yield str(session) if document else "", part


def _say(sentence: Sentence, rng: random.Random) -> Sentence:
    words, tags = speak(sentence, AugmentConfig(), rng)
    return replace(sentence, words=tuple(words), tags=tuple(tags))


def _join(sentences: Sequence[Sentence], most: int) -> Iterator[Sentence]:
    held: list[Sentence] = []
    count = 0
    for sentence in sentences:
        goes_on = held and sentence.document == held[-1].document != "" and count + len(sentence.words) <= most
        if held and not goes_on:
            yield _merge(held)
            held, count = [], 0
        held.append(sentence)
        count += len(sentence.words)
    if held:
        yield _merge(held)


def _merge(sentences: Sequence[Sentence]) -> Sentence:
    words = tuple(word for x in sentences for word in x.words)
    return Sentence(sentences[0].document, words, tuple(tag for x in sentences for tag in x.tags))
