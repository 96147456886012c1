"""Readings of growing segments on labelled text of several sets: what confidence in spans and emission are measured on.

Each set is read as training reads it, with its types and its convention (`encoder.train.config.TextSource`), as speech,
and fed word by word, every text in the session that it belongs to. The readings are kept, so that any emission level
and any span model can be tried on them without the encoder.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoder.heads.viterbi import labels_to_spans
from encoder.restart.policies import RestartPolicy, parse_policy
from encoder.restart.policy_text import resolve_policy
from encoder.tagger import Tagger
from encoder.train.config import TextSource
from encoder.train.data.augment import speak
from encoder.train.data.convention import TagSpan, trim_span
from encoder.train.data.sequence import UNKNOWN, TextSequence
from encoder.train.data.sessions import FORMS, dev_sessions
from encoder.train.data.text import read_source
from stream.evaluation.replay.examples import LabelledText, batch_examples
from stream.evaluation.replay.stream_replay import Advance, ReplayJob, StreamReplay, ignore_progress
from stream.evaluation.replay.update_stream import UpdateStream, word_stream
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.labeller import Labeller, Labelling
from stream.revisions.emission import WordSpan

SESSION = 40
"""Most texts of one session: the first of each document, so that there are many documents."""
UNKNOWN_LABEL = -1


@dataclass(frozen=True, slots=True)
class GoldSpans:
    """What is known of the spans of one text."""

    words: tuple[str, ...]
    ends: NDArray[np.int32]
    """(words,) end of each word in the text, exclusive."""
    labels: NDArray[np.int32]
    """(words,) label numbers; `UNKNOWN_LABEL` where the set does not say."""
    spans: frozenset[TagSpan]
    """Of these words, under the convention of names."""
    known: frozenset[str] | None
    """Types that the set annotates; None: all."""

    def words_of(self, reading: Labelling, span: WordSpan) -> TagSpan:
        """Return the words of this text that a span of a reading touches."""
        first = int(np.searchsorted(self.ends, reading.starts[span[0]], side="right"))
        return TagSpan(first, int(np.searchsorted(self.ends, reading.ends[span[1] - 1])) + 1, span[2])

    def judge(self, reading: Labelling, span: WordSpan) -> bool | None:
        """Tell whether a span of a reading is right; None if the set does not say."""
        words = self.words_of(reading, span)
        unknown = (self.labels[words.start : words.end] == UNKNOWN_LABEL).any()
        if unknown or (self.known is not None and span[2] not in self.known):
            return None
        return trim_span(self.words, words) in self.spans


@dataclass(slots=True)
class SegmentReadings:
    """One segment that grew by one word an update, and closed."""

    text: str
    gold: GoldSpans
    readings: list[Labelling]
    """After each update."""
    close: Labelling
    session: int

    def texts(self) -> Iterator[tuple[str, Labelling, bool]]:
        """Yield each update with its reading, and whether it is the close."""
        for end, reading in zip(self.gold.ends.tolist(), self.readings, strict=True):
            yield self.text[:end], reading, False
        yield self.text, self.close, True


@dataclass(slots=True)
class SetReadings:
    """The segments of one set."""

    name: str
    segments: list[SegmentReadings]


def read_set(
    tagger: Tagger, source: TextSource, limit: int, advance: Advance = ignore_progress, mode: str = "session"
) -> SetReadings:
    """Feed the texts of one set to a tagger with one head, under its default policy.

    Args:
        tagger: what is measured.
        source: a set that is annotated with types of the tagger.
        limit: most texts; they are of as many documents as there are, at most `SESSION` of each.
        advance: called with the number of updates that were done.
        mode: "session", or "alone": each text is a session of its own.

    Raises:
        ConfigError: the set cannot be read.
    """
    examples, gold = _read_examples(source, tagger.config.labels, limit, mode)
    policy = parse_policy(resolve_policy("default", tagger.default_policy))
    segments: list[SegmentReadings] = []
    for batch in batch_examples(examples):
        stream = word_stream([examples[i] for i in batch], tagger.config.labels, closing=True)
        replay = _ReadingsReplay(HybridLabeller(tagger), policy, stream)
        replay.run(advance)
        for place, number in enumerate(batch):
            readings, close = replay.kept[place]
            session = int(examples[number].session)
            segments.append(SegmentReadings(examples[number].text, gold[number], readings, close, session))
    return SetReadings(source.name(), segments)


def _read_examples(
    source: TextSource, names: tuple[str, ...], limit: int, mode: str
) -> tuple[list[LabelledText], list[GoldSpans]]:
    numbers = {name: i for i, name in enumerate(names)} | {UNKNOWN: UNKNOWN_LABEL}
    known = None if source.known is None else frozenset(source.known)
    examples, gold, rng = [], [], random.Random(0)
    for session, texts in enumerate(_choose(list(dev_sessions(read_source(source), mode)), limit)):
        for text in texts:
            words, tags = speak(text, FORMS["spoken"], rng)
            if not words:
                continue
            labels = np.array([numbers.get(tag, UNKNOWN_LABEL) for tag in tags], np.int32)
            ends = (np.cumsum([len(word) + 1 for word in words]) - 1).astype(np.int32)
            plain = np.maximum(labels, 0)
            spans = (trim_span(words, TagSpan(*span)) for span in labels_to_spans(plain, names))
            examples.append(LabelledText(" ".join(words), ends, plain, str(session)))
            gold.append(GoldSpans(tuple(words), ends, labels, frozenset(x for x in spans if x), known))
    return examples, gold


def _choose(sessions: Sequence[list[TextSequence]], limit: int) -> list[list[TextSequence]]:
    """Choose sessions evenly over the set."""
    cut = [x[:SESSION] for x in sessions]
    chosen, count = [], 0
    step = max(1, sum(map(len, cut)) // max(1, limit))
    for session in [x for k in range(step) for x in cut[k::step]]:
        if count >= limit:
            break
        chosen.append(session[: limit - count])
        count += len(chosen[-1])
    return chosen


class _ReadingsReplay(StreamReplay):
    """Replay that keeps the readings of each segment, by the number of its gold text."""

    def __init__(self, labeller: Labeller[Any], policy: RestartPolicy, stream: UpdateStream) -> None:
        super().__init__(labeller, policy, stream)
        self.kept: dict[int, tuple[list[Labelling], Labelling]] = {}
        self._growing: dict[int, list[Labelling]] = {}

    def _compute(self, jobs: Sequence[ReplayJob], *, closing: bool) -> tuple[list[Labelling], int]:
        readings, flops = super()._compute(jobs, closing=closing)
        for job, reading in zip(jobs, readings, strict=True):
            number = job.segment.number
            if closing:
                self.kept[number] = self._growing.pop(number, []), copy_reading(reading)
            else:
                self._growing.setdefault(number, []).append(copy_reading(reading))
        return readings, flops


def copy_reading(reading: Labelling) -> Labelling:
    """Copy the arrays of a reading, which belong to the labeller and may be changed by it later."""
    names = ("labels", "probability", "stability")
    return reading.replace(spans=tuple(reading.spans), **{x: getattr(reading, x).copy() for x in names})
