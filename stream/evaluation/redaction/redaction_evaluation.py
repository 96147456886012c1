"""Redaction measured on an engine: what leaks, what else is covered, how late words go out, and what flips."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from stream.engine.engine import Engine
from stream.evaluation.calibration.calibrate import short_name
from stream.evaluation.redaction.measures import (
    Bounds,
    FinalScore,
    HeardText,
    ReleaseScore,
    RepaintScore,
)
from stream.evaluation.redaction.redaction_report import FormResult, RedactionReport, SetResult
from stream.evaluation.redaction.samples import RedactionSample, read_samples
from stream.messages.types import End, Update
from stream.redaction.covers import Cover
from stream.redaction.policy import RedactionPolicy
from stream.redaction.release_limit import find_release_limit
from stream.redaction.released_text import NOTHING, ReleasedText
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction
from stream.revisions.settled import SettledRule
from stream.rules.merge import RuleSpan, merge_spans
from stream.sessions.redactor import RedactionLook

ALL = "all spoken"
OURS = "hearken"
DELAYS = (0, 1, 2, 4, 8, 16)
"""Fixed delays in words that are measured."""
THRESHOLDS = (0.8, 0.9, 0.95, 0.99, 0.995, 0.999)
"""Thresholds of plain words at which `settled` is measured beside the engine's own."""
ALIKE = ({"LOCATION", "place", "address", "postcode"},)
"""Sets of labels of which any is right: of other sets, where one name stands for several of ours."""
FindSpans = Callable[[str], Sequence[RuleSpan]]
"""A peer: the spans of a text."""


class SeenUpdate(NamedTuple):
    """One hypothesis with what was found in it and what was out of it."""

    found: dict[str, list[RuleSpan]]
    """By who found it: "rules", "tagger", "both"."""
    released: dict[str, ReleasedText]
    """By release, what readers had."""


NOT_SEEN = SeenUpdate({"rules": [], "tagger": [], "both": []}, {})


class SeenSample(NamedTuple):
    """A sample with what was seen of it."""

    updates: Sequence[SeenUpdate]
    final: Mapping[str, Sequence[RuleSpan]]
    """What was found in the text as it was spoken, when its segment had closed."""


class _Thresholds:
    """What would be out at several thresholds, of the segments of one session."""

    def __init__(self, session: str) -> None:
        self._redactions = {x: SessionRedaction(RedactionPolicy(), session) for x in THRESHOLDS}
        self._segments: dict[float, SegmentRedaction] = {}

    def see(self, look: RedactionLook, *, opens: bool) -> Iterator[tuple[str, ReleasedText]]:
        """Yield the released text of one update by threshold; `opens`: of a new segment."""
        for threshold, redaction in self._redactions.items():
            segment = SegmentRedaction() if opens else self._segments.get(threshold, SegmentRedaction())
            self._segments[threshold] = segment
            source = segment.released.source
            start = len(source) if look.text.startswith(source) else 0
            views = [x._replace(settled=0, rule=SettledRule(threshold)) for x in look.taggers]
            limit = find_release_limit(look.text, start, views, look.rules, whole=False)
            covers = [*(x for view in look.taggers for x in view.covers), *look.rules.covers]
            redaction.redact_segment(segment, look.text, covers, limit, final=look.final, speaker=look.speaker)
            yield f"settled at {threshold:g}", segment.released


def run_redaction(
    engine: Engine,
    sets: Sequence[str],
    limit: int | None,
    command: str,
    peers: Mapping[str, FindSpans],
    advance: Callable[[int, int], None],
) -> RedactionReport:
    """Measure an engine with a redactor that releases text once it is settled, in the style `label`.

    Args:
        engine: takes each update by itself.
        sets: names of sets, as `read_samples` has them.
        limit: most rows of each.
        command: that runs, for the report.
        peers: others by name, which find spans in each hypothesis anew.
        advance: told of the updates done and of their number.

    Raises:
        ConfigError: a set cannot be read.
    """
    samples = {name: read_samples(name, limit) for name in sets}
    total, done = sum(len(x.updates) for part in samples.values() for x in part), 0
    watcher, results = Watcher(engine), []
    for name, part in samples.items():
        seen: list[SeenSample] = []
        for session in _sessions(part):
            seen += watcher.see_session(session)
            done += sum(len(x.updates) for x in session)
            advance(done, total)
        found = _find_by_peers(part, peers)
        forms = dict.fromkeys(x.form for x in part)
        live = [i for i, x in enumerate(part) if x.live]
        chosen = [(form, [i for i, x in enumerate(part) if x.form == form]) for form in forms]
        if len({part[i].form for i in live}) > 1:
            chosen.append((ALL, live))
        score = partial(_score_form, part, seen, found)
        shown = short_name(Path(name)) if Path(name).exists() else name
        results.append(SetResult(data=shown, forms=[score(form, numbers) for form, numbers in chosen]))
    tagger = engine.tagger_names[0]
    rule, evidence = engine.rules.rule_of(tagger), engine.promises.settled.evidence.get(tagger)
    return RedactionReport(
        command=command,
        tagger=", ".join(engine.tagger_names),
        threshold=rule.threshold,
        labelled=rule.labelled,
        alpha=evidence.alpha if evidence else None,
        sets=results,
    )


def _sessions(samples: Sequence[RedactionSample]) -> Iterator[list[RedactionSample]]:
    return (list(x) for _, x in groupby(samples, attrgetter("session")))


class Watcher:
    """Feeds samples to an engine, and keeps what its redactor saw.

    Args:
        engine: with a redactor.
    """

    def __init__(self, engine: Engine) -> None:
        assert engine.redactor is not None
        self._engine = engine
        self._offset = 0
        self._looks: list[RedactionLook] = []
        engine.redactor.watch = self._looks.append

    def see_session(self, samples: Sequence[RedactionSample]) -> list[SeenSample]:
        """Feed the samples of one session; returns what was seen of each."""
        thresholds, seen = _Thresholds(samples[0].session), []
        for place, sample in enumerate(samples):
            updates: list[SeenUpdate] = []
            for number, x in enumerate(sample.updates):
                final = number == len(sample.updates) - 1
                look = self._feed(sample.session, f"{place}", x.text, sample.speaker, final)
                if look is not None:
                    released = {"settled": look.released, **dict(thresholds.see(look, opens=not updates))}
                    updates.append(SeenUpdate(_found_in(look), released))
                else:  # the same text again
                    updates.append(updates[-1] if updates else NOT_SEEN)
            final_found = updates[-1].found
            if sample.updates[-1].text != sample.text.text:
                alone = self._feed(f"{sample.session} as spoken", "0", sample.text.text, None, True)
                final_found = _found_in(alone) if alone else {}
                self._submit(End(session=f"{sample.session} as spoken"))
            seen.append(SeenSample(updates, final_found))
        self._submit(End(session=samples[0].session))
        return seen

    def _feed(self, session: str, segment: str, text: str, speaker: str | None, final: bool) -> RedactionLook | None:
        self._looks.clear()
        self._submit(Update(session=session, segment=segment, text=text, final=final, speaker=speaker))
        return self._looks[-1] if self._looks else None

    def _submit(self, message: Update | End) -> None:
        self._engine.submit(message, self._offset)
        self._offset += 1
        while self._engine.pending:
            self._engine.step()


def _found_in(look: RedactionLook) -> dict[str, list[RuleSpan]]:
    rules = _rule_spans(look.rules.covers)
    tagger = _rule_spans([x for view in look.taggers for x in view.covers])
    return {"rules": rules, "tagger": tagger, "both": merge_spans(tagger, rules)}


def _rule_spans(covers: Sequence[Cover]) -> list[RuleSpan]:
    return [RuleSpan(*x) for x in covers]


def _find_by_peers(
    samples: Sequence[RedactionSample], peers: Mapping[str, FindSpans]
) -> dict[str, dict[str, list[RuleSpan]]]:
    """Return by peer the spans of each text."""
    texts = dict.fromkeys(text for x in samples for text in (x.text.text, *(y.text for y in x.updates)))
    return {name: {text: list(find(text)) for text in texts} for name, find in peers.items()}


def _score_form(
    samples: Sequence[RedactionSample],
    seen: Sequence[SeenSample],
    found: Mapping[str, Mapping[str, Sequence[RuleSpan]]],
    form: str,
    numbers: Sequence[int],
) -> FormResult:
    """Score the samples of one form."""
    final = {name: FinalScore() for name in ("rules", "tagger", "both", *found)}
    scores = {OURS: _release_scores(["settled", *(f"settled at {x:g}" for x in THRESHOLDS)])}
    scores |= {name: _release_scores([]) for name in found}
    repaint = {name: RepaintScore() for name in scores}
    styles: dict[str, dict[str, ReleaseScore]] = {}
    for number in numbers:
        sample, steps = samples[number], seen[number].updates
        for name, score in final.items():
            spans = found[name][sample.text.text] if name in found else seen[number].final[name]
            score.add(sample.text, [(x.start, x.end, x.label) for x in spans], ALIKE)
        if not sample.live:
            continue
        for name, releases in scores.items():
            covered = [
                [(x.start, x.end) for x in (found[name][update.text] if name in found else step.found["both"])]
                for update, step in zip(sample.updates, steps, strict=True)
            ]
            heard = _heard(sample, covered)
            repaint[name].add(sample.text, heard)
            for release, own in releases.items():
                updates = _heard_released(sample, steps, release) if release.startswith("settled") else heard
                own.add(sample.text, updates)
                if name == OURS and release in ("settled", "final"):
                    for style in sample.styles or ("none",):
                        by_style = styles.setdefault(release, {})
                        by_style.setdefault(style, ReleaseScore(own.delay)).add(sample.text, updates)
    live = any(samples[number].live for number in numbers)
    return FormResult(
        form=form,
        texts=len(numbers),
        final={name: x.figures() for name, x in final.items()},
        recall=final["both"].recall(),
        release={n: {key: x.figures() for key, x in own.items()} for n, own in scores.items()} if live else {},
        repaint={name: x.figures() for name, x in repaint.items()} if live else {},
        leak_by_label={key: scores[OURS][key].leak_by_label() for key in ("settled", "final")} if live else {},
        leak_by_style={
            key: {style: x.figures()["leak"] for style, x in sorted(own.items())} for key, own in styles.items()
        },
    )


def _release_scores(settled: Sequence[str]) -> dict[str, ReleaseScore]:
    fixed: dict[str, float] = {f"words:{k}": k for k in DELAYS}
    return {
        **{name: ReleaseScore(None) for name in settled},
        **{name: ReleaseScore(k) for name, k in fixed.items()},
        "final": ReleaseScore(float("inf")),
    }


def _heard(sample: RedactionSample, covered: Sequence[Sequence[Bounds]]) -> list[HeardText]:
    return [HeardText(x.text, found, x.source, None, x.gold) for x, found in zip(sample.updates, covered, strict=True)]


def _heard_released(sample: RedactionSample, steps: Sequence[SeenUpdate], release: str) -> list[HeardText]:
    """Return the hypotheses with what was released of them, and the redactions in it."""
    heard = []
    for x, step in zip(sample.updates, steps, strict=True):
        released = step.released.get(release, NOTHING)
        covered = [(part.start, part.end) for part in released.redactions]
        heard.append(HeardText(x.text, covered, x.source, len(released.source), x.gold))
    return heard
