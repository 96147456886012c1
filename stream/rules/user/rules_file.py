"""Rules of a user, from a TOML file: patterns, lists of words, words that ask for a value, and what is allowed."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from stream.rules.merge import RuleSpan
from stream.rules.numbers import NumberRun
from stream.rules.user.prefixes import PatternError, prefix_pattern
from stream.rules.vocabulary import CUES, HOUSE
from stream.rules.words import Phrases, TextWord

if TYPE_CHECKING:
    import re2

DEFAULT_SCORE = 0.9
"""Score of a user's pattern or word without one of its own."""
NOT_PERSONAL = "not_personal"
"""Name in `[context]` of words that announce numbers of nobody."""
_CUE_LABELS = frozenset((*(x for x in CUES if x not in ("", HOUSE)), NOT_PERSONAL))
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_KEYS: dict[str, dict[str, type]] = {
    "pattern": {"label": str, "regex": str, "context": list, "score": float, "spoken": bool},
    "words": {"label": str, "words": list, "score": float},
    "allow": {"words": list},
}


class RulesFileError(ValueError):
    """A rules file cannot be used; the message names the line."""


@dataclass(frozen=True)
class UserPattern:
    """One regular expression of a user."""

    label: str
    score: float
    whole: "re2._Regexp"
    beginning: "re2._Regexp"
    """Matches, at the end of a text, what may still become a match."""
    context: Phrases[bool] | None
    """Words of which one has to stand in the text before it."""
    spoken: bool
    """Whether it is matched with the digits and capital letters of a number, as they are said or written."""


@dataclass(frozen=True)
class CustomRules:
    """Rules of a user; none by default."""

    patterns: tuple[UserPattern, ...] = ()
    words: Phrases[tuple[str, float]] | None = None
    cues: tuple[tuple[str, str], ...] = ()
    """Phrases that ask for a value, with its label; "" for a number that is nobody's."""
    allowed: frozenset[str] = field(default_factory=frozenset)
    """Values that are never covered: their letters and digits, in small letters."""

    @property
    def labels(self) -> frozenset[str]:
        """Labels of patterns, words and cues."""
        listed = (label for label, _ in self.words.values()) if self.words else ()
        return frozenset({*(x.label for x in self.patterns), *listed, *(x for _, x in self.cues if x)})

    def allows(self, value: str) -> bool:
        """Whether a value is on the allow list."""
        return bool(self.allowed) and _plain(value) in self.allowed

    def find_patterns(self, text: str) -> tuple[list[RuleSpan], int]:
        """Match the written patterns; also return the offset from which on text may still become a match."""
        found: list[RuleSpan] = []
        unsettled = len(text)
        for pattern in self.patterns:
            if pattern.spoken:
                continue
            found += [
                RuleSpan(x.start(), x.end(), pattern.label, pattern.score)
                for x in pattern.whole.finditer(text)
                if x.end() > x.start() and _has_context(pattern, text[: x.start()])
            ]
            beginning = pattern.beginning.search(text)
            unsettled = min(unsettled, beginning.start() if beginning else len(text))
        return [x for x in found if not self.allows(text[x.start : x.end])], unsettled

    def label_run(self, run: NumberRun, words: Sequence[TextWord]) -> tuple[str, float] | None:
        """Return label and score of digits and letters that a pattern with `spoken` matches as a whole."""
        for pattern in self.patterns:
            if pattern.spoken and pattern.whole.fullmatch(run.plain):
                before = " ".join(x.low for x in words[: run.first])
                if _has_context(pattern, before):
                    return pattern.label, pattern.score
        return None

    def find_words(self, words: Sequence[TextWord]) -> tuple[list[tuple[int, int, str, float]], int | None]:
        """Find listed words: (first, word after it, label, score) each, and the first word of one that may go on."""
        found: list[tuple[int, int, str, float]] = []
        open_from: int | None = None
        if self.words is None:
            return found, open_from
        for at in range(len(words)):
            n, value = self.words.match(words, at)
            if n and value is None:
                open_from = at if open_from is None else open_from
                n, value = self.words.match_complete(words, at)
            if not n and words[at].low.endswith("'s"):
                n, value = self.words.match([words[at]._replace(low=words[at].low[:-2])], 0)
            if n and value is not None:
                found.append((at, at + n, *value))
        return found, open_from


def _has_context(pattern: UserPattern, before: str) -> bool:
    if pattern.context is None:
        return True
    from stream.rules.words import split_text_words

    words, _ = split_text_words(before, 0, len(before))
    return any(pattern.context.match(words, i)[1] for i in range(len(words)))


def _plain(value: str) -> str:
    return "".join(c for c in value.casefold() if c.isalnum())


def load_rules(path: Path) -> CustomRules:
    """Read a rules file (docs/personal-data.md).

    Raises:
        RulesFileError: the file cannot be read, or has an error: the message has the path, the line and what to do.
    """
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise RulesFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RulesFileError(f"{path}: line {line}: this is no UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else max(1, len(text.splitlines()))
        raise RulesFileError(f"{path}: line {line}: {_PLACE.sub('', str(error))}") from error
    return _Loader(path, text).load(data)


class _Loader:
    """Checks the tables of one file."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def load(self, data: dict[str, Any]) -> CustomRules:
        for key in data:
            if key not in ("pattern", "words", "allow", "context"):
                self._fail(self._line(key), f"unknown table {key!r}: pattern, words, allow and context are known")
        patterns = tuple(self._pattern(i, x) for i, x in enumerate(self._tables(data, "pattern")))
        words: list[tuple[str, tuple[str, float]]] = []
        for i, table in enumerate(self._tables(data, "words")):
            self._check("words", i, table, ("label", "words"))
            value = (table["label"], float(table.get("score", DEFAULT_SCORE)))
            words += [(x, value) for x in self._phrases("words", i, "words", table["words"])]
        allow = data.get("allow", {})
        if not isinstance(allow, dict):
            self._fail(self._line("allow"), "[allow] is a table with `words = [...]`")
        self._check("allow", 0, allow, ())
        allowed = frozenset(_plain(x) for x in self._phrases("allow", 0, "words", allow.get("words", [])))
        return CustomRules(patterns, Phrases(words) if words else None, self._context(data), allowed)

    def _tables(self, data: dict[str, Any], name: str) -> list[dict[str, Any]]:
        tables = data.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(x, dict) for x in tables):
            self._fail(self._line(name), f"write [[{name}]] with two brackets: there may be several")
        return list(tables)

    def _context(self, data: dict[str, Any]) -> tuple[tuple[str, str], ...]:
        context = data.get("context", {})
        if not isinstance(context, dict):
            self._fail(self._line("context"), "[context] is a table with a list of phrases for each label")
        cues = []
        for label, phrases in context.items():
            line = self._line("context", 0, label)
            if label not in _CUE_LABELS:
                known = ", ".join(sorted(_CUE_LABELS))
                self._fail(line, f"{label!r} is no label that words can ask for: {known} are")
            known = "" if label == NOT_PERSONAL else label
            cues += [(x, known) for x in self._phrases("context", 0, label, phrases)]
        return tuple(cues)

    def _pattern(self, number: int, table: dict[str, Any]) -> UserPattern:
        self._check("pattern", number, table, ("label", "regex"))
        import re2

        regex, line = table["regex"], self._line("pattern", number, "regex")
        spoken = table.get("spoken", False)
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = not spoken
        try:
            whole = re2.compile(regex, options)
            beginning = re2.compile(f"(?:{prefix_pattern(regex)})\\z", options)
        except (re2.error, PatternError) as error:
            argument = error.args[0] if error.args else ""
            reason = argument.decode() if isinstance(argument, bytes) else str(argument)
            self._fail(line, f"regex {regex!r}: {reason}; RE2's syntax holds (no look-around, no back references)")
        phrases = self._phrases("pattern", number, "context", table.get("context", []))
        context = Phrases((x, True) for x in phrases) if phrases else None
        return UserPattern(table["label"], float(table.get("score", DEFAULT_SCORE)), whole, beginning, context, spoken)

    def _check(self, name: str, number: int, table: Mapping[str, Any], needed: Sequence[str]) -> None:
        kinds = _KEYS[name]
        for key, value in table.items():
            line = self._line(name, number, key)
            if key not in kinds:
                self._fail(line, f"unknown key {key!r} in {name}: {', '.join(kinds)} are known")
            kind = kinds[key]
            number_wanted = kind is float
            if not isinstance(value, (int, float) if number_wanted else kind) or (
                number_wanted and isinstance(value, bool)
            ):
                self._fail(line, f"{key} is a {kind.__name__}, not {value!r}")
            if key == "label" and not _LABEL.fullmatch(str(value)):
                self._fail(line, f"{value!r} is no label: small letters, digits and _")
            if isinstance(value, (int, float)) and not 0 < value <= 1 and key == "score":
                self._fail(line, f"score {value!r} is not above 0 and at most 1")
        for key in needed:
            if key not in table:
                self._fail(self._line(name, number), f"[[{name}]] has no {key}")

    def _phrases(self, name: str, number: int, key: str, value: object) -> list[str]:
        line = self._line(name, number, key)
        texts = [x for x in value if isinstance(x, str)] if isinstance(value, list) else []
        if not isinstance(value, list) or len(texts) < len(value):
            self._fail(line, f"{key} is a list of texts")
        phrases = [" ".join(x.lower().replace("’", "'").split()) for x in texts]
        if not all(phrases):
            self._fail(line, f"{key} has an empty text")
        return phrases

    def _line(self, table: str, number: int = 0, key: str = "") -> int:
        """Return the line of a table's header, or of a key in it, from 1."""
        header = re.compile(rf"\s*\[+\s*{re.escape(table)}\s*\]")
        places = [i for i, x in enumerate(self._lines) if header.match(x)]
        if not places:
            return next((i + 1 for i, x in enumerate(self._lines) if table in x), 1)
        start = places[min(number, len(places) - 1)]
        for i in range(start + 1, len(self._lines)):
            if key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", self._lines[i]):
                return i + 1
            if self._lines[i].lstrip().startswith("["):
                break
        return start + 1

    def _fail(self, line: int, reason: str) -> NoReturn:
        raise RulesFileError(f"{self._path}: line {line}: {reason}")
