"""Texts with personal data to measure redaction on: sets of spoken calls with hypotheses, any texts with spans, and
made-up calls.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from encoder.heads.viterbi import labels_to_spans
from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.text import read_source
from stream.evaluation.redaction.measures import Bounds, GoldText, word_bounds
from stream.evaluation.redaction.talk import SEED, SPOKEN, hear_turn, made_up_dialogues

GENERATED = "generated:"
"""Begins the name of a set that is made up: "generated:K/N" for the templates of fold K of N."""
OTHERS_LABELS = {
    "PERSON": "person", "GPE": "place", "LOCATION": "LOCATION", "STREET_ADDRESS": "address", "ADDRESS": "address",
    "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "EMAIL": "email", "CREDIT_CARD": "card", "US_SSN": "national_id",
    "IBAN_CODE": "iban", "IBAN": "iban", "DOMAIN_NAME": "url", "URL": "url", "IP_ADDRESS": "ip", "ZIP_CODE": "postcode",
    "US_DRIVER_LICENSE": "", "BIRTHDAY": "date_of_birth", "ID": "national_id",
}  # fmt: skip
"""Our labels for those of other sets, "" for what is no personal data here; labels in small letters stay."""


class SampleUpdate(NamedTuple):
    """One hypothesis of a sample."""

    text: str
    source: Sequence[int] | None
    """For each word the spoken word that it stands for; None if it is tokenised otherwise."""
    gold: Sequence[Bounds] = ()
    """Its gold spans."""


class RedactionSample(NamedTuple):
    """One text of a set, as a segment of a session."""

    form: str
    """How it was spoken or written."""
    session: str
    """Neighbours of one name are segments of one session."""
    text: GoldText
    """As it was spoken."""
    updates: Sequence[SampleUpdate]
    """Its hypotheses, the final one last."""
    live: bool = True
    """Whether it is measured as text that goes out live too."""
    styles: Sequence[str] = ()
    """Ways of speaking that occur in it."""
    speaker: str | None = None


class _Event(msgspec.Struct):
    text: str
    spans: list[tuple[int, int, str]] = []
    src: list[int] | None = None


class _Row(msgspec.Struct):
    text: str = ""
    spans: list[tuple[int, int, str]] = []
    session: str = ""
    written: str = ""
    written_spans: list[tuple[int, int, str]] = []
    spoken: str = ""
    spoken_spans: list[tuple[int, int, str]] = []
    spoken_fill: list[list[int | str]] = []
    """Start and end of each, perhaps with more."""
    spoken_form: str = "words"
    styles: list[str] = []
    events: list[_Event] = []


def read_samples(name: str, limit: int | None) -> list[RedactionSample]:
    """Read a set.

    Args:
        name: JSONL file of texts with `spans`, or of calls with `spoken`, `spoken_spans` and perhaps `events`; CoNLL
            file; or "generated:K/N".
        limit: most rows, sequences or dialogues.

    Raises:
        ConfigError: it cannot be read, or has no text.
    """
    if name.startswith(GENERATED):
        found = list(_generated(name.removeprefix(GENERATED), limit or 500))
    elif name.endswith(".jsonl"):
        found = list(_read_rows(Path(name), limit))
    else:
        found = list(_read_conll(Path(name), limit))
    if not found:
        raise ConfigError(f"{name} has no text")
    return found


def _generated(fold: str, count: int) -> Iterator[RedactionSample]:
    for number, dialogue in enumerate(made_up_dialogues(count, fold)):
        rng = random.Random(f"{SEED} {number}")
        for turn in dialogue.turns:
            gold = GoldText(turn.text, [(x.start, x.end, x.label) for x in turn.spans])
            sample = _plain_sample(dialogue.form, f"{number}", gold, live=False)._replace(speaker=turn.speaker)
            if dialogue.form in SPOKEN:
                heard = [SampleUpdate(x.text, x.words) for x in hear_turn(turn, rng)]
                sample = sample._replace(updates=heard, live=True, styles=sorted(dialogue.styles))
            yield sample


def _read_rows(path: Path, limit: int | None) -> Iterator[RedactionSample]:
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()][:limit]
        for number, line in enumerate(lines):
            row = msgspec.json.decode(line, type=_Row)
            if row.spoken:
                yield from _spoken_samples(row, number)
            elif row.text.strip():
                spans = [(a, b, OTHERS_LABELS.get(x, x if x.islower() else "")) for a, b, x in row.spans]
                yield _plain_sample("text", row.session or f"{number}", GoldText(row.text, [x for x in spans if x[2]]))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a set of texts with spans: {error}") from error


def _read_conll(path: Path, limit: int | None) -> Iterator[RedactionSample]:
    for number, sentence in enumerate(read_source(TextSource(path=str(path)))[:limit]):
        text = " ".join(sentence.words)
        bounds = word_bounds(text)
        names = tuple(dict.fromkeys(("O", *(f"{x}-{tag[2:]}" for tag in sentence.tags if tag != "O" for x in "BI"))))
        spans = labels_to_spans([names.index(tag) for tag in sentence.tags], names)
        gold = [(bounds[first][0], bounds[end - 1][1], label) for first, end, label in spans]
        yield _plain_sample("text", f"{number}", GoldText(text, gold))


def _plain_sample(form: str, session: str, gold: GoldText, live: bool = True) -> RedactionSample:
    """Return a text that comes word by word."""
    ends = [end for _, end in word_bounds(gold.text)]
    updates = [SampleUpdate(gold.text[:end], range(i + 1)) for i, end in enumerate(ends)] if live else []
    return RedactionSample(form, session, gold, updates or [SampleUpdate(gold.text, None)], live)


def _spoken_samples(row: _Row, number: int) -> Iterator[RedactionSample]:
    if row.written:
        yield _plain_sample("written", f"w{number}", GoldText(row.written, row.written_spans), live=False)
    gold = GoldText(row.spoken, row.spoken_spans, [(int(x[0]), int(x[1])) for x in row.spoken_fill])
    sample = _plain_sample(row.spoken_form, f"s{number}", gold)._replace(styles=row.styles)
    if row.events:
        updates = [SampleUpdate(x.text, x.src, [(a, b) for a, b, _ in x.spans]) for x in row.events]
        sample = sample._replace(form=f"{row.spoken_form}, interims", updates=updates)
    yield sample
