"""Measures of redaction: what of the personal data stays readable, and what else is covered.

A *PII character* is a letter or digit inside a gold span and outside of fillers; a *plain word* has none. Of a released
text a word counts as it was when it went out; see docs/redaction.md for the terms.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Bounds = tuple[int, int]
"""Start and end in characters."""
_WORD = re.compile(r"\S+")


class LabelledText(NamedTuple):
    """A text with its gold spans."""

    text: str
    spans: Sequence[tuple[int, int, str]]
    fill: Sequence[Bounds] = ()
    """Parts of spans that carry no personal data, such as "uh"."""


class Update(NamedTuple):
    """One hypothesis of a segment, with what is covered in it."""

    text: str
    covered: Sequence[Bounds]
    source: Sequence[int] | None = None
    """For each word the spoken word that it stands for; None if the text is tokenised otherwise."""
    settled: int | None = None
    """Offset before which text may go out; None where a delay decides."""
    gold: Sequence[Bounds] = ()
    """Gold spans of a text without `source`."""


def word_bounds(text: str) -> list[Bounds]:
    """Return start and end of each word."""
    return [x.span() for x in _WORD.finditer(text)]


def _marked(text: str, spans: Iterable[Sequence[object]]) -> list[bool]:
    marks = [False] * len(text)
    for span in spans:
        start, end = int(str(span[0])), int(str(span[1]))
        marks[start:end] = [True] * (end - start)
    return [mark and c.isalnum() for mark, c in zip(marks, text, strict=True)]


def _personal(text: LabelledText) -> list[bool]:
    """Say for each character whether it is a PII character."""
    fill = _marked(text.text, text.fill)
    return [a and not b for a, b in zip(_marked(text.text, text.spans), fill, strict=True)]


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


@dataclass
class FinalScore:
    """Sums over final texts."""

    right: int = 0
    found: int = 0
    gold: int = 0
    characters: int = 0
    clear: int = 0
    leaking: int = 0
    with_personal: int = 0
    plain: int = 0
    plain_covered: int = 0
    empty_words: int = 0
    empty_covered: int = 0
    empty_spans: int = 0
    by_label: dict[str, list[int]] = field(default_factory=dict)
    """Covered and all PII characters of a label."""

    def add(self, text: LabelledText, spans: Sequence[tuple[int, int, str]], alike: Sequence[set[str]] = ()) -> None:
        """Add a text with the spans that were found in it; `alike` has sets of labels of which any is right."""
        names = {x[:2]: x[2] for x in text.spans}

        def same(a: str, b: str) -> bool:
            return a == b or any(a in x and b in x for x in alike)

        self.right += sum(x[:2] in names and same(x[2], names[x[:2]]) for x in spans)
        self.found += len(spans)
        self.gold += len(text.spans)
        personal, covered = _personal(text), _marked(text.text, spans)
        clear = sum(a and not b for a, b in zip(personal, covered, strict=True))
        self.characters += sum(personal)
        self.clear += clear
        self.with_personal += bool(text.spans)
        self.leaking += clear > 0
        for start, end, label in text.spans:
            sums = self.by_label.setdefault(label, [0, 0])
            sums[0] += sum(a and b for a, b in zip(personal[start:end], covered[start:end], strict=True))
            sums[1] += sum(personal[start:end])
        fill = _marked(text.text, text.fill)
        words = [x for x in word_bounds(text.text) if not any(personal[slice(*x)]) and not any(fill[slice(*x)])]
        touched = sum(any(covered[slice(*x)]) for x in words)
        self.plain += len(words)
        self.plain_covered += touched
        if not text.spans:
            self.empty_words += len(words)
            self.empty_covered += touched
            self.empty_spans += len(spans)

    def figures(self) -> dict[str, float]:
        """Return the measures, in percent or per 1,000 words."""
        return {
            "exact F1": _percent(2 * self.right, self.found + self.gold),
            "char recall": 100 - _percent(self.clear, self.characters),
            "texts with a leak": _percent(self.leaking, self.with_personal),
            "plain words covered": _percent(self.plain_covered, self.plain),
            "per 1,000 without PII": 10 * _percent(self.empty_covered, self.empty_words),
            "spans per 1,000": 10 * _percent(self.empty_spans, self.empty_words),
        }

    def recall(self) -> dict[str, float]:
        """Return the covered share of each label's characters, in percent."""
        return {label: _percent(*sums) for label, sums in sorted(self.by_label.items())}


@dataclass
class ReleaseScore:
    """Sums over words that go out once: `delay` words behind the newest, or as far as the text is settled."""

    delay: int | None
    """None: what is settled goes out."""
    weight: float = 0
    leaked: float = 0
    leaking: int = 0
    with_personal: int = 0
    plain: int = 0
    plain_covered: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, spoken: LabelledText, updates: Sequence[Update]) -> None:
        """Add a segment: the words as they were spoken, and its hypotheses, the final one last."""
        personal, fill = _personal(spoken), _marked(spoken.text, spoken.fill)
        bounds = word_bounds(spoken.text)
        weights = [sum(personal[slice(*x)]) for x in bounds]
        plain = [not w and not any(fill[slice(*x)]) for w, x in zip(weights, bounds, strict=True)]
        clear: dict[int, float] = {}
        newest = 0
        for number, update in enumerate(updates):
            final = number == len(updates) - 1
            if update.source is None:
                self._add_rest(spoken, bounds, weights, update, clear)
                break
            newest = max(update.source, default=0)
            ready: dict[int, list[float]] = {}
            touched: dict[int, bool] = {}
            covered = _marked(update.text, update.covered)
            for word, (start, end) in zip(update.source, word_bounds(update.text), strict=True):
                late = end <= update.settled if update.settled is not None else self.delay is not None
                late = late and (self.delay is None or word <= newest - self.delay)
                if word not in clear and (final or late):
                    letters = [i for i in range(start, end) if update.text[i].isalnum()]
                    share = sum(not covered[i] for i in letters) / len(letters) if letters else 0.0
                    ready.setdefault(word, []).append(share)
                    touched[word] = touched.get(word, False) or any(covered[i] for i in letters)
            for word, shares in ready.items():
                clear[word] = max(shares)
                self.delays.append(newest - word)
                self.plain += plain[word]
                self.plain_covered += plain[word] and touched[word]
        self.delays += [newest - i for i in range(len(bounds)) if i not in clear and updates[-1].source is None]
        leaked = sum(w * clear.get(i, 0.0) for i, w in enumerate(weights))
        self.weight += sum(weights)
        self.leaked += leaked
        self.with_personal += bool(spoken.spans)
        self.leaking += leaked > 0

    def _add_rest(
        self,
        spoken: LabelledText,
        bounds: Sequence[Bounds],
        weights: Sequence[int],
        update: Update,
        clear: dict[int, float],
    ) -> None:
        """Give the words of each spoken span that are not out the clear share of the same span of the final."""
        covered = _marked(update.text, update.covered)
        for (start, end), span in zip(update.gold, spoken.spans, strict=False):
            letters = [i for i in range(start, end) if update.text[i].isalnum()]
            share = sum(not covered[i] for i in letters) / len(letters) if letters else 0.0
            for i, (a, b) in enumerate(bounds):
                if a < span[1] and b > span[0] and i not in clear and weights[i]:
                    clear[i] = share

    def figures(self) -> dict[str, float]:
        """Return the measures, in percent or words."""
        delays = sorted(self.delays)
        return {
            "leak": _percent(self.leaked, self.weight),
            "texts with a leak": _percent(self.leaking, self.with_personal),
            "plain words covered": _percent(self.plain_covered, self.plain),
            "mean delay": sum(delays) / len(delays) if delays else 0.0,
            "p95 delay": float(delays[min(len(delays) - 1, int(0.95 * len(delays)))]) if delays else 0.0,
        }
