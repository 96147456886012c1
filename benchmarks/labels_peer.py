"""The same figures for a spaCy pipeline: same texts, types and convention, each text alone, as it has no sessions."""

import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.augment import speak
from encoder.train.data.convention import TagSpan, spans_of, trim_span
from encoder.train.data.sequence import UNKNOWN, TextSequence
from encoder.train.data.sessions import FORMS
from encoder.train.stages.dev_score import DevScore

TYPES = {
    "PERSON": "person", "PER": "person", "ORG": "organization", "GPE": "place", "LOC": "place", "FAC": "place",
    "DATE": "time", "TIME": "time", "EVENT": "event", "PRODUCT": "product",
}  # fmt: skip
"""Types of OntoNotes as ours."""
Pipeline = Callable[[str], Any]


def load_pipeline(name: str) -> Pipeline:
    """Load a pipeline of an installed package.

    Raises:
        ConfigError: spaCy or the package is not here.
    """
    try:
        import spacy

        pipeline: Pipeline = spacy.load(name)
    except (ImportError, OSError) as error:
        raise ConfigError(f"--peer {name}: {error}; install spaCy and the package of the pipeline") from error
    return pipeline


def score_peer(pipeline: Pipeline, source: TextSource, texts: Sequence[TextSequence]) -> Iterator[DevScore]:
    """Yield the counts of texts of one set in each form."""
    known = None if source.known is None else frozenset(source.known)
    for form, options in FORMS.items():
        row, rng = DevScore(f"{source.name()} {form} alone", 0), random.Random(0)
        for text in texts:
            said = options.unpunctuated > 0
            words, tags = speak(text, options, rng) if said else (list(text.words), list(text.tags))
            if words:
                shown = [word.lower() for word in words] if said else words
                _compare(TextSequence("", tuple(shown), tuple(tags)), pipeline(" ".join(shown)), known, row)
        yield row


def _compare(gold: TextSequence, document: Any, known: frozenset[str] | None, row: DevScore) -> None:
    ends = list(accumulate(len(word) + 1 for word in gold.words))  # of each word, its blank included
    found = (
        TagSpan(bisect_right(ends, x.start_char), bisect_left(ends, x.end_char) + 1, TYPES[x.label_])
        for x in document.ents
        if x.label_ in TYPES
    )
    unknown = [tag == UNKNOWN for tag in gold.tags]
    sides = []
    for spans in (found, spans_of(gold.tags)):
        trimmed = (trim_span(gold.words, span) for span in spans)
        sides.append({
            x for x in trimmed if x and not any(unknown[x.start : x.end]) and (known is None or x.label in known)
        })  # fmt: skip
    for counter, side in zip((row.found, row.gold, row.right), (*sides, sides[0] & sides[1]), strict=True):
        counter.update(Counter(x.label for x in side))
