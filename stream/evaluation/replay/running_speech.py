"""Written sentences as running speech: without punctuation, joined to long segments.

Punctuation is dropped as in training (`encoder.train.data.augment.speak`), but no fillers or repetitions are added.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from encoder.train.config import AugmentConfig
from encoder.train.data.augment import speak
from encoder.train.data.sequence import TextSequence as Sentence

SEGMENTS = 16
"""Maximum number of joined segments in a session. A longer document is split, so that more sessions run at once."""


def join_sentences(sentences: Sequence[Sentence], spoken: bool, join: int | None) -> Iterator[tuple[str, Sentence]]:
    """Drop punctuation and join sentences.

    Args:
        sentences: in document order.
        spoken: whether to drop punctuation; a sentence of nothing else is left out. Abbreviations are spelt in one of
            two ways ("u s", "u.s."), chosen by a fixed seed.
        join: maximum number of words up to which neighbours of one document are joined; None: they are not joined.

    Yields:
        The name of the segment's session (empty: it is alone in it), and the segment.
    """
    rng = random.Random(0)
    spoken_sentences = [_drop_punctuation(sentence, rng) for sentence in sentences] if spoken else list(sentences)
    spoken_sentences = [sentence for sentence in spoken_sentences if sentence.words]
    if join is None:
        yield from (("", sentence) for sentence in spoken_sentences)
        return
    document, session, segments = "", 0, 0
    for part in _join_neighbours(spoken_sentences, join):
        if part.document != document or segments == SEGMENTS:
            document, session, segments = part.document, session + 1, 0
        segments += 1
        yield str(session) if document else "", part


def _drop_punctuation(sentence: Sentence, rng: random.Random) -> Sentence:
    words, tags = speak(sentence, AugmentConfig(), rng)
    return replace(sentence, words=tuple(words), tags=tuple(tags))


def _join_neighbours(sentences: Sequence[Sentence], most: int) -> Iterator[Sentence]:
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
