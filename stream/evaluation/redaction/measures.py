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
ADDRESS_PARTS = frozenset(("address", "place", "postcode", "LOCATION"))
"""Labels of an address and of its parts, here and in other sets."""
_WORD = re.compile(r"\S+")
_LETTER = re.compile(r"[^\W_]")


class GoldText(NamedTuple):
    """A text with its gold spans."""

    text: str
    spans: Sequence[tuple[int, int, str]]
    fill: Sequence[Bounds] = ()
    """Parts of spans that carry no personal data, such as "uh"."""


class HeardText(NamedTuple):
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


def _personal(text: GoldText) -> list[bool]:
    """Say for each character whether it is a PII character."""
    fill = _marked(text.text, text.fill)
    return [a and not b for a, b in zip(_marked(text.text, text.spans), fill, strict=True)]


def join_addresses(text: str, spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Make one address of neighbouring parts of addresses.

    Some sets mark an address as one span, others its street, town, country and postcode each.

    Args:
        text: that the spans are of.
        spans: start, end and label of each; none overlaps another.

    Returns:
        The spans in their order. Addresses, places and postcodes without a letter or digit between them are one span
        with the label "address"; one that stands alone keeps its label.
    """
    joined: list[tuple[int, int, str]] = []
    for span in sorted(spans):
        start, end, label = span
        before = joined[-1] if joined else None
        if before and {before[2], label} <= ADDRESS_PARTS and not _LETTER.search(text, before[1], start):
            joined[-1] = (before[0], end, "address")
        else:
            joined.append(span)
    return joined


def _count_right(
    gold: Sequence[tuple[int, int, str]], found: Iterable[tuple[int, int, str]], alike: Sequence[set[str]]
) -> int:
    """Count the spans with start, end and label of a gold one."""
    names = {x[:2]: x[2] for x in gold}

    def same(a: str, b: str) -> bool:
        return a == b or any(a in x and b in x for x in alike)

    return sum(x[:2] in names and same(x[2], names[x[:2]]) for x in found)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


@dataclass
class FinalScore:
    """Sums over final texts."""

    texts: int = 0
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
    joined: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Right, found and gold spans after the parts of addresses were joined."""

    def add(self, text: GoldText, spans: Sequence[tuple[int, int, str]], alike: Sequence[set[str]] = ()) -> None:
        """Add a text with the spans that were found in it; `alike` has sets of labels of which any is right."""
        self.texts += 1
        self.right += _count_right(text.spans, spans, alike)
        self.found += len(spans)
        self.gold += len(text.spans)
        gold, found = (join_addresses(text.text, x) for x in (text.spans, spans))
        counts = (_count_right(gold, found, alike), len(found), len(gold))
        self.joined = [a + b for a, b in zip(self.joined, counts, strict=True)]
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
            "F1, addresses joined": _percent(2 * self.joined[0], self.joined[1] + self.joined[2]),
        }

    def recall(self) -> dict[str, float]:
        """Return the covered share of each label's characters, in percent."""
        return {label: _percent(*sums) for label, sums in sorted(self.by_label.items())}


@dataclass
class ReleaseScore:
    """Sums over words that go out once: `delay` words behind the newest, or as far as the text is settled."""

    delay: float | None
    """None: what is settled goes out; infinity: all words go out with the final text."""
    weight: float = 0
    leaked: float = 0
    leaking: int = 0
    with_personal: int = 0
    plain: int = 0
    plain_covered: int = 0
    stale: int = 0
    early: int = 0
    delays: list[int] = field(default_factory=list)
    by_label: dict[str, list[float]] = field(default_factory=dict)
    """Leaked and all PII characters of a label."""

    def add(self, spoken: GoldText, updates: Sequence[HeardText]) -> None:
        """Add a segment: the words as they were spoken, and its hypotheses, the final one last."""
        bounds, weights, plain = weigh_words(spoken)
        said = [spoken.text[slice(*x)] for x in bounds]
        clear: dict[int, float] = {}
        out: set[int] = set()
        for number, update in enumerate(updates):
            final = number == len(updates) - 1
            if update.source is None:
                give_rest(spoken, bounds, weights, update, clear)
                break
            newest = max(update.source, default=0)
            ready: dict[int, list[float]] = {}
            touched: dict[int, bool] = {}
            covered = _marked(update.text, update.covered)
            for word, (start, end) in zip(update.source, word_bounds(update.text), strict=True):
                late = end <= update.settled if update.settled is not None else self.delay is not None
                late = late and (self.delay is None or word <= newest - self.delay)
                if word not in clear and (final or late):
                    share, touch = _shares(update.text, covered, start, end)
                    ready.setdefault(word, []).append(share)
                    touched[word] = touched.get(word, False) or touch
                    self.early += not final
                    self.stale += not final and update.text[start:end] != said[word]
            for word, shares in ready.items():
                clear[word] = max(shares)
                self.delays.append(newest - word)
                out.add(word)
                self.plain += plain[word]
                self.plain_covered += plain[word] and touched[word]
        if updates and updates[-1].source is None:
            self.delays += [len(bounds) - 1 - i for i in range(len(bounds)) if i not in out]
        self._count_leak(spoken, bounds, weights, clear)

    def _count_leak(
        self, spoken: GoldText, bounds: Sequence[Bounds], weights: Sequence[int], clear: dict[int, float]
    ) -> None:
        leaked = sum(w * clear.get(i, 0.0) for i, w in enumerate(weights))
        self.weight += sum(weights)
        self.leaked += leaked
        self.with_personal += bool(spoken.spans)
        self.leaking += leaked > 0
        for start, end, label in spoken.spans:
            sums = self.by_label.setdefault(label, [0.0, 0.0])
            for i, (a, b) in enumerate(bounds):
                if a < end and b > start:
                    sums[0] += weights[i] * clear.get(i, 0.0)
                    sums[1] += weights[i]

    def figures(self) -> dict[str, float]:
        """Return the measures, in percent or words."""
        delays = sorted(self.delays)
        return {
            "leak": _percent(self.leaked, self.weight),
            "texts with a leak": _percent(self.leaking, self.with_personal),
            "plain words covered": _percent(self.plain_covered, self.plain),
            "mean delay": sum(delays) / len(delays) if delays else 0.0,
            "p95 delay": float(delays[min(len(delays) - 1, int(0.95 * len(delays)))]) if delays else 0.0,
            "stale": _percent(self.stale, self.early),
        }

    def leak_by_label(self) -> dict[str, float]:
        """Return the leaked share of each label's PII characters, in percent."""
        return {label: _percent(*sums) for label, sums in sorted(self.by_label.items())}


@dataclass
class RepaintScore:
    """Sums over words of a screen on which each hypothesis takes the place of the one before."""

    weight: float = 0
    first: float = 0
    ever: float = 0
    flips: int = 0
    personal_flips: int = 0
    words: int = 0
    personal: int = 0
    came_and_went: int = 0

    def add(self, spoken: GoldText, updates: Sequence[HeardText]) -> None:
        """Add a segment; see `ReleaseScore.add`."""
        bounds, weights, _ = weigh_words(spoken)
        first: dict[int, float] = {}
        ever: dict[int, float] = {}
        before: dict[int, tuple[str, bool]] = {}
        was_covered: set[int] = set()
        went: set[int] = set()
        for update in updates:
            if update.source is None:
                rest: dict[int, float] = {}
                give_rest(spoken, bounds, weights, update, rest)
                now = {word: (share, "", share == 0) for word, share in rest.items()}
            else:
                now = {}
                covered = _marked(update.text, update.covered)
                for word, (start, end) in zip(update.source, word_bounds(update.text), strict=True):
                    share, _ = _shares(update.text, covered, start, end)
                    now[word] = (max(share, now[word][0] if word in now else 0.0), update.text[start:end], share == 0)
            for word, (share, text, is_covered) in now.items():
                first.setdefault(word, share)
                ever[word] = max(ever.get(word, 0.0), share)
                if text and before.get(word, ("", False))[0] == text and before[word][1] != is_covered:
                    self.flips += 1
                    self.personal_flips += weights[word] > 0
                if not is_covered and word in was_covered and weights[word]:
                    went.add(word)
                was_covered |= {word} if is_covered else set()
            before = {word: (text, is_covered) for word, (_, text, is_covered) in now.items()}
        self.weight += sum(weights)
        self.first += sum(w * first.get(i, 0.0) for i, w in enumerate(weights))
        self.ever += sum(w * ever.get(i, 0.0) for i, w in enumerate(weights))
        self.words += len(bounds)
        self.personal += sum(w > 0 for w in weights)
        self.came_and_went += len(went)

    def figures(self) -> dict[str, float]:
        """Return the measures, in percent, of words too."""
        return {
            "first sight": _percent(self.first, self.weight),
            "ever in clear": _percent(self.ever, self.weight),
            "flips": _percent(self.flips, self.words),
            "flips of PII words": _percent(self.personal_flips, self.personal),
            "came and went": _percent(self.came_and_went, self.personal),
        }


def weigh_words(spoken: GoldText) -> tuple[list[Bounds], list[int], list[bool]]:
    """Return for each spoken word its bounds, its number of PII characters, and whether it is a plain word."""
    personal, fill = _personal(spoken), _marked(spoken.text, spoken.fill)
    bounds = word_bounds(spoken.text)
    weights = [sum(personal[slice(*x)]) for x in bounds]
    return bounds, weights, [not w and not any(fill[slice(*x)]) for w, x in zip(weights, bounds, strict=True)]


def give_rest(
    spoken: GoldText,
    bounds: Sequence[Bounds],
    weights: Sequence[int],
    update: HeardText,
    clear: dict[int, float],
) -> None:
    """Give the words of each spoken span that are not out the clear share of the same span of the final."""
    covered = _marked(update.text, update.covered)
    for (start, end), span in zip(update.gold, spoken.spans, strict=False):
        share, _ = _shares(update.text, covered, start, end)
        for i, (a, b) in enumerate(bounds):
            if a < span[1] and b > span[0] and i not in clear and weights[i]:
                clear[i] = share


def _shares(text: str, covered: Sequence[bool], start: int, end: int) -> tuple[float, bool]:
    """Return the clear share of letters and digits, and whether any of them is covered."""
    letters = [covered[i] for i in range(start, end) if text[i].isalnum()]
    return (1 - sum(letters) / len(letters), any(letters)) if letters else (0.0, False)
