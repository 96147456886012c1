"""The detectors put together: spans of a text, and the offset from which on it may still become part of one."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from stream.rules.dates import find_dates
from stream.rules.labels import LETTERED, NUMBER_LABELS, label_run
from stream.rules.merge import RuleSpan, merge_spans
from stream.rules.numbers import NumberRun, find_runs
from stream.rules.streets import find_streets
from stream.rules.user.rules_file import CustomRules
from stream.rules.vocabulary import FLATS, HOUSE, list_words
from stream.rules.web import find_web, is_plain_word
from stream.rules.words import ActiveCue, CueWords, PlainText, TextWord, split_text_words

CONTEXT_LINES = 4
"""Lines before a line whose questions and values count for it."""
FARTHEST_CUE = 14
"""Words between the words that ask for a value and the value."""
FARTHEST_WEAK = 3
"""Such words if what they ask for is unclear: "room", "number"."""
FARTHEST_START = 4
"""Words between the words that ask for an address or a user's name and its first word."""
_NO_CUE = ActiveCue("", -1, 0)
_WEB = frozenset(("email", "url", "username"))


class RuleReading(NamedTuple):
    """What the rules say of a text."""

    spans: list[RuleSpan]
    """In the order of the text, without overlaps."""
    first_unsettled: int
    """Offset from which on text may still become part of a span: whatever is appended, text before it is covered by a
    span that is there already, or by none."""


class RuleContext(NamedTuple):
    """What earlier segments leave for the next one: questions and the labels of values, no text."""

    lines: int = 0
    events: tuple[tuple[int, str], ...] = ()
    """Line and label of each, the newest last."""


EMPTY = RuleContext()
"""Nothing before."""


class _LineState:
    """What earlier lines leave for the next ones: questions and values, the newest last."""

    def __init__(self, before: "RuleContext") -> None:
        self._events = list(before.events)
        self.line = before.lines

    def add(self, label: str) -> None:
        self._events.append((self.line, label))

    def freeze(self) -> "RuleContext":
        """Return it for later texts."""
        return RuleContext(self.line, tuple(x for x in self._events if self.line - x[0] <= CONTEXT_LINES))

    def cue(self, wanted: Iterable[str] | None = None) -> ActiveCue | None:
        for line, label in reversed(self._events):
            if self.line - line > CONTEXT_LINES:
                break
            if line < self.line and (wanted is None or label in wanted or label == ""):
                return ActiveCue(label, 0, self.line - line)
        return None


class PersonalDataRules:
    """Finds personal data by rules: a pure function of the text, of the lines before it and of the rules' file."""

    def __init__(self, custom: CustomRules | None = None) -> None:
        """Take the rules of a user (`stream.rules.user.rules_file.load_rules`)."""
        self._custom = custom or CustomRules()
        self._cues = CueWords(self._custom.cues)

    def read_context(self, texts: str, before: RuleContext = EMPTY) -> RuleContext:
        """Return what segments leave for the next one, to be kept instead of their texts.

        Args:
            texts: texts of segments, a line each; lines without words do not count.
            before: what the segments before them left.
        """
        state = _LineState(before)
        for line in [x for x in PlainText.of(texts).text.split("\n") if x.strip()][-CONTEXT_LINES:]:
            self._read_line(f"{line}\n", 0, len(line), state)
            state.line += 1
        return state.freeze()

    def find(self, text: str, context: str | RuleContext = "") -> list[RuleSpan]:
        """Return the spans of a text; see `read`."""
        return self.read(text, context).spans

    def first_unsettled(self, text: str, context: str | RuleContext = "") -> int:
        """Return the offset from which on text may still become part of a span; see `read`."""
        return self.read(text, context).first_unsettled

    def read(self, text: str, context: str | RuleContext = "", *, growing: bool = False) -> RuleReading:
        """Find personal data.

        Args:
            text: text of a segment; a line break separates two turns.
            context: texts of the segments before it, the newest last, a line each: questions and values there count
                for numbers in `text`. Only the last few lines are read. Or what `read_context` made of them.
            growing: whether the last word, if no white space follows it, need not be looked at: it is unsettled
                whatever it is, and a look at it takes as long as at all others.

        Returns:
            Spans with offsets in `text`, and from where on more text may change them. For every text that begins with
            `text`, with the same context: a span of it that begins before `first_unsettled` is covered by the spans of
            `text` up to there.
        """
        plain, places = PlainText.of(text)
        spans, unsettled = self._read_plain(plain, context, growing)
        return RuleReading(
            [x._replace(start=places[x.start], end=places[x.end]) for x in spans] if plain is not text else spans,
            places[unsettled],
        )

    def _read_plain(self, text: str, context: str | RuleContext, growing: bool) -> RuleReading:
        state = _LineState(self.read_context(context) if isinstance(context, str) else context)
        spans: list[RuleSpan] = []
        unsettled, start = len(text), 0
        while True:
            end = text.find("\n", start)
            last = end < 0
            found, line_unsettled = self._read_line(text, start, len(text) if last else end, state, growing)
            spans += found
            state.line += 1
            if last:
                unsettled = min(unsettled, line_unsettled)
                break
            start = end + 1
        own, own_unsettled = self._custom.find_patterns(text)
        unsettled = min(unsettled, own_unsettled)
        merged = merge_spans(spans, own)
        return RuleReading([x._replace(open=True) if x.end > unsettled else x for x in merged], unsettled)

    def _read_line(
        self, text: str, start: int, end: int, state: _LineState, growing: bool = False
    ) -> tuple[list[RuleSpan], int]:
        words, complete = split_text_words(text, start, end)
        if not words:
            return [], end
        line = _Line(words, self._cues, state)
        # what the last word may become is not known: what is open is seen from the words before it
        known, begun = (words[:complete], words[complete].low) if complete < len(words) else (words, "")
        found, open_from = self._detect(text, line, known, begun) if known else ([], None)
        if complete < len(words):
            is_seen = open_from is not None or not line.is_plain(complete) or self._custom.words is not None
            if is_seen and not growing:
                found, _ = self._detect(text, line, words)
            open_from = complete if open_from is None else open_from
        events = [(words[x.first].start, x.cue.label) for x in line.cues if not x.cue.weak]
        for _, label in sorted((*events, *((x.start, x.label) for x in found))):
            state.add(label)
        return found, end if open_from is None else words[open_from].start - len(words[open_from].before)

    def _detect(
        self, text: str, line: "_Line", words: Sequence[TextWord], begun: str = ""
    ) -> tuple[list[RuleSpan], int | None]:
        """Run all detectors over the words of a line; also return the first word of what may still go on or begin.

        `begun` is the beginning of the next word.
        """
        runs, open_run = find_runs(words, 0, line.asks_letters)
        found = self._label_runs(line, words, runs)
        web, open_web = find_web(words, 0, line.web_cues, begun)
        found += [_span(words, x.first, x.end, x.label, x.score) for x in web]
        dates, open_date = find_dates(words, 0, line.asks_birth)
        found += [_span(words, x.first, x.end, "date_of_birth", x.score) for x in dates]
        streets, open_street = find_streets(words, runs, line.asks_address, line.asks_address_here, line.asks_house)
        found += [_span(words, x.first, x.end, "address", x.score) for x in streets]
        listed, open_listed = self._custom.find_words(words)
        found += [_span(words, *x) for x in listed]
        found = [x for x in found if not self._custom.allows(text[x.start : x.end])]
        opens = [x for x in (open_run, open_web, open_date, open_street, open_listed) if x is not None]
        if words[-1].low in FLATS:
            opens.append(len(words) - 1)
        if open_run and words[open_run - 1].low in FLATS:
            opens.append(open_run - 1)
        return merge_spans(found), min(opens, default=None)

    def _label_runs(self, line: "_Line", words: Sequence[TextWord], runs: Sequence[NumberRun]) -> list[RuleSpan]:
        found: list[RuleSpan] = []
        used: set[ActiveCue] = set()
        for run in runs:
            own = self._custom.label_run(run, words)
            if own is not None:
                found.append(_span(words, run.first, run.end, *own))
                continue
            if any(x.first <= run.first and run.end <= x.cue.end for x in line.cues):
                continue  # "d o b"
            cue = line.cue(run.lead)
            label = label_run(run, cue, used=cue in used, spelling=line.asks_spelling(run.first))
            if label is None or self._custom.allows(run.plain):
                continue
            if cue is not None and label.from_cue:
                used.add(cue)
            near = label.from_cue and cue is not None and run.lead - cue.end < 3 and len(run.plain) > 3
            first = run.lead if near else run.first
            end = run.tail if label.from_cue and run.at_end and run.items[-1].single else run.end
            found.append(_span(words, first, end, label.label, label.score))
        return found


class _Line:
    """The cues of a line, by word."""

    def __init__(self, words: Sequence[TextWord], phrases: CueWords, state: _LineState) -> None:
        self._words = words
        self.cues = phrases.find(words)
        n = len(words)
        self._number = self._spread(n, state.cue(NUMBER_LABELS), lambda label: label in NUMBER_LABELS or label == "")
        web = self._spread(n, state.cue(_WEB), lambda label: label in _WEB or label in NUMBER_LABELS or label == "")
        self.web_cues = [self._begin(words, x, i) for i, x in enumerate(web)]
        self.asks_birth = [x is not None and x.label == "date_of_birth" for x in self._number]
        self._any = self._spread(n, state.cue(), lambda label: True)
        self.asks_address = [x is not None and x.label in ("address", HOUSE) for x in self._any]
        here = (x is not None and i - x.end < 4 for i, x in enumerate(self._any))
        self.asks_house = [x is not None and x.label == HOUSE and i - x.end < 3 for i, x in enumerate(self._any)]
        self.asks_address_here = [a and b for a, b in zip(self.asks_address, here, strict=True)]

    def _spread(self, n: int, before: ActiveCue | None, counts: Callable[[str], bool]) -> list[ActiveCue | None]:
        """Give each word the last cue before it."""
        active: list[ActiveCue | None] = []
        strong, weak = before, None
        events = [x.cue for x in self.cues if counts(x.cue.label)]
        at = 0
        for i in range(n):
            while at < len(events) and events[at].end <= i:
                if events[at].weak:
                    weak = events[at]
                else:
                    strong, weak = events[at], None
                at += 1
            if weak is not None and i - weak.end <= FARTHEST_WEAK:
                active.append(weak)
            else:
                active.append(None if strong is None or i - strong.end > FARTHEST_CUE else strong)
        return active

    def _begin(self, words: Sequence[TextWord], cue: ActiveCue | None, at: int) -> ActiveCue:
        """Give a cue the index of the word with which its value begins, past "is", "it's", "the" and the like."""
        if cue is None or cue.label not in _WEB:
            return _NO_CUE
        place = max(cue.end, 0)
        while place < at and words[place].low in _INTRODUCE:
            place += 1
        if at - place > FARTHEST_START or any(x.first == at for x in self.cues):
            return _NO_CUE  # "my username is" after "log in"
        return cue._replace(end=place)

    def cue(self, at: int) -> ActiveCue | None:
        """Return the cue of a number that begins at a word."""
        return self._number[at]

    def is_plain(self, at: int) -> bool:
        """Whether a word that follows nothing open is part of nothing."""
        return is_plain_word(self._words[at].low) and not self.web_cues[at].label and not self.asks_birth[at]

    def asks_spelling(self, at: int) -> bool:
        """Whether a name, or its spelling, is asked for before a word."""
        cue = self._any[at]
        return cue is not None and cue.label == "person"

    def asks_letters(self, at: int) -> bool:
        """Whether a value with letters is asked for before a word."""
        cue = self._number[at]
        return cue is not None and cue.label in LETTERED


_INTRODUCE = frozenset(
    list_words("""
    is it's its it the my his her their our your would be will should was as at under called with for to and yes
    yeah sure okay so um uh er that's that i'm number address name account a an new old same just in on
""")
)


def _span(words: Sequence[TextWord], first: int, end: int, label: str, score: float) -> RuleSpan:
    start = words[first].start
    if "(" in words[first].before and words[first].text[0].isdigit():
        start -= len(words[first].before) - words[first].before.rindex("(")
    return RuleSpan(start, words[end - 1].end, label, round(score, 4))
