"""Redaction measured: rules alone and a tagger with rules, on final texts and on text that goes out live."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table
from benchmarks.harness.tag_command import tag_alone
from benchmarks.redaction_measures import Bounds, FinalScore, LabelledText, ReleaseScore, Update, word_bounds
from encoder.model.config import ConfigError
from encoder.train.data.pii.generate import generate_dialogues
from stream.rules.merge import RuleSpan, merge_spans
from stream.rules.reader import PersonalDataRules

GENERATED = "generated"
"""Name of the set that is drawn from the templates of one fold, with `:FOLD`."""
DELAYS = (0, 1, 2, 4, 8)
ALIKE = ({"LOCATION", "place", "address", "postcode"},)
OTHERS_LABELS = {
    "PERSON": "person", "GPE": "place", "LOCATION": "LOCATION", "STREET_ADDRESS": "address", "ADDRESS": "address",
    "PHONE_NUMBER": "phone", "EMAIL_ADDRESS": "email", "EMAIL": "email", "CREDIT_CARD": "card", "US_SSN": "national_id",
    "IBAN_CODE": "iban", "IBAN": "iban", "DOMAIN_NAME": "url", "URL": "url", "IP_ADDRESS": "ip", "ZIP_CODE": "postcode",
    "US_DRIVER_LICENSE": "", "BIRTHDAY": "date_of_birth", "ID": "national_id",
}  # fmt: skip
"""Labels of presidio-research's sets; others are no personal data here."""
Found = tuple[list[RuleSpan], int | None]
"""Spans of a text, and the offset up to which it is settled, None if it is not known."""
FindSpans = Callable[[str], Found]


class Sample(NamedTuple):
    """One text of a set."""

    form: str
    final: LabelledText
    updates: Sequence[tuple[str, Sequence[int] | None, Sequence[Bounds]]] = ()
    """Text, spoken words and gold spans of each hypothesis."""
    spoken: LabelledText | None = None


class RedactionScore(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one way of redaction on one form of a set."""

    data: str
    form: str
    texts: int
    figures: dict[str, float]
    recall: dict[str, float]
    """Covered share of PII characters by label, in percent."""
    release: dict[str, dict[str, float]]
    """By delay in words, and "settled"."""


class RedactionReport(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of several ways on several sets."""

    ways: dict[str, list[RedactionScore]]


def run_redaction(sets: Sequence[str], tagger: str, limit: int, progress: ReportProgress) -> RedactionReport:
    """Measure rules alone, and with a tagger if one is given.

    Args:
        sets: JSON Lines files, or "generated:K/N" for the generator's dialogues of one fold of templates.
        tagger: as for `hearken tag`, with labels of personal data; "" for none.
        limit: most texts of a set.
        progress: told of each set.

    Raises:
        ConfigError: a set cannot be read.
        CheckpointError: the tagger cannot be read.
    """
    rules = PersonalDataRules()

    def by_rules(text: str) -> Found:
        reading = rules.read(text)
        return reading.spans, reading.first_unsettled

    found: dict[str, list[RedactionScore]] = {}
    for number, name in enumerate(sets):
        samples = list(read_samples(name, limit))
        ways: dict[str, FindSpans] = {"rules": by_rules}
        if tagger:
            progress(f"{name} {tagger}", number / len(sets))
            model = tag_texts(tagger, sorted({y for x in samples for y in (x.final.text, *(u[0] for u in x.updates))}))
            ways["tagger"] = lambda text, model=model: (model[text], None)  # type: ignore[misc]
            ways["tagger and rules"] = lambda text, model=model: (  # type: ignore[misc]
                merge_spans(model[text], rules.find(text)),
                None,
            )
        for way, find in ways.items():
            progress(f"{name} {way}", number / len(sets))
            found.setdefault(way, []).extend(_score_set(_short_name(name), samples, find))
    return RedactionReport(ways=found)


def _short_name(name: str) -> str:
    return name if name.startswith(GENERATED) else Path(name).stem


def tag_texts(tagger: str, texts: Sequence[str]) -> dict[str, list[RuleSpan]]:
    """Return the spans that `hearken tag` gives for each text, labelled alone, as a closed segment."""
    return {
        text: [RuleSpan(x["start"], x["end"], x["label"], x["score"]) for x in revision["spans"]]
        for text, revision in zip(texts, tag_alone(tagger, texts), strict=True)
    }


def read_samples(name: str, limit: int) -> Iterator[Sample]:
    """Read a set; see `run_redaction`."""
    if name.startswith(GENERATED):
        yield from _generated(name.partition(":")[2], limit)
        return
    try:
        with Path(name).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                if number >= limit:
                    break
                row = json.loads(line)
                yield from _spoken_samples(row) if "spoken" in row else [_plain_sample(row)]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{name}: not a set of texts with spans: {error!r}") from error


def _generated(fold: str, count: int) -> Iterator[Sample]:
    for dialogue in generate_dialogues(count, 5, fold=fold):
        text, spans = "", []
        for turn in dialogue.turns:
            spans += [(len(text) + x.start, len(text) + x.end, x.label) for x in turn.spans]
            text += turn.text + "\n"
        gold = LabelledText(text[:-1], spans)
        spoken = dialogue.form in ("words", "digits")
        yield Sample(dialogue.form, gold, _word_by_word(gold) if spoken else (), gold if spoken else None)


def _word_by_word(text: LabelledText) -> list[tuple[str, Sequence[int] | None, Sequence[Bounds]]]:
    return [(text.text[:end], range(i + 1), ()) for i, (_, end) in enumerate(word_bounds(text.text))]


def _plain_sample(row: dict[str, Any]) -> Sample:
    spans = [(a, b, OTHERS_LABELS.get(label, "")) for a, b, label in row["spans"]]
    return Sample("written", LabelledText(row["text"], [x for x in spans if x[2]]))


def _spoken_samples(row: dict[str, Any]) -> Iterator[Sample]:
    yield Sample("written", LabelledText(row["written"], [tuple(x) for x in row["written_spans"]]))
    fill = [tuple(x[:2]) for x in row["spoken_fill"]]
    gold = LabelledText(row["spoken"], [tuple(x) for x in row["spoken_spans"]], fill)
    if "events" in row:
        updates = [(x["text"], x["src"], [tuple(y[:2]) for y in x["spans"]]) for x in row["events"]]
        yield Sample(f"{row['spoken_form']}, interims", gold, updates, gold)
    else:
        yield Sample(row["spoken_form"], gold, _word_by_word(gold), gold)


def _score_set(name: str, samples: Sequence[Sample], find: FindSpans) -> list[RedactionScore]:
    forms = sorted({x.form for x in samples})
    return [_score_form(name, form, [x for x in samples if x.form == form], find) for form in forms]


def _score_form(name: str, form: str, samples: Sequence[Sample], find: FindSpans) -> RedactionScore:
    final = FinalScore()
    release = {str(k): ReleaseScore(k) for k in DELAYS} | {"settled": ReleaseScore(None)}
    live = 0
    for sample in samples:
        spans, _ = find(sample.final.text)
        final.add(sample.final, [(x.start, x.end, x.label) for x in spans], ALIKE)
        if sample.spoken is None:
            continue
        live += 1
        updates = []
        for text, source, gold in sample.updates:
            spans, settled = find(text)
            updates.append(Update(text, [(x.start, x.end) for x in spans], source, settled, gold))
        for key, score in release.items():
            score.add(sample.spoken, updates if key == "settled" else [x._replace(settled=None) for x in updates])
    return RedactionScore(
        data=name,
        form=form,
        texts=len(samples),
        figures=final.figures(),
        recall=final.recall(),
        release={key: x.figures() for key, x in release.items()} if live else {},
    )


def redaction_tables(report: RedactionReport) -> list[Table]:
    """Lay out a table of final texts, one of text that goes out live, and one of labels."""
    final, live, labels = [], [], []
    for way, scores in report.ways.items():
        for x in scores:
            start = [way, x.data, x.form]
            final.append([*start, f"{x.texts:,}", *(f"{value:.1f}" for value in x.figures.values())])
            labels.append([*start, ", ".join(f"{label} {value:.0f}" for label, value in x.recall.items())])
            live += [[*start, key, *(f"{v:.1f}" for v in figures.values())] for key, figures in x.release.items()]
    names = list(next(iter(report.ways.values()))[0].figures)
    start = ["way", "set", "form"]
    measures = ["leak", "texts with a leak", "plain words covered", "mean delay", "p95 delay"]
    return [
        Table("Final texts, % and per 1,000 words", [*start, "texts", *names], final),
        Table("Words that go out live, % and words", [*start, "delay", *measures], live),
        Table("Covered PII characters by label, %", [*start, "recall"], labels),
    ]
