"""The beginnings of what a regular expression matches, as a regular expression: text that may still become a match."""

import re

LONGEST = 500
"""Characters of a pattern."""
LARGEST = 200_000
"""Characters of the pattern of the beginnings."""
_ATOM = re.compile(
    r"\\p\{[^}]*\}|\\P\{[^}]*\}|\\[pP].|\\x\{[^}]*\}|\\x..|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|[^\\()|*+?{\[]",
    re.DOTALL,
)
_ASSERTIONS = frozenset(("^", "$", r"\b", r"\B", r"\A", r"\z"))
_REPEAT = re.compile(r"[*+?]|\{(\d+)(,?)(\d*)\}")


class PatternError(ValueError):
    """A pattern whose beginnings cannot be described."""


def prefix_pattern(regex: str) -> str:
    """Return a pattern that matches every beginning of what `regex` matches, the empty one and the whole included.

    With "at the end of the text" after it, its leftmost match says from where on the text may still become a match.

    Args:
        regex: pattern in RE2's syntax.

    Raises:
        PatternError: the pattern is too long, or has a construct that is not known here.
    """
    if len(regex) > LONGEST:
        raise PatternError(f"longer than {LONGEST} characters")
    parser = _Parser(regex)
    _, beginning = parser.alternatives()
    if parser.at < len(regex):
        raise PatternError(f"unexpected {regex[parser.at]!r}")
    if len(beginning) > LARGEST:
        raise PatternError("too deeply nested")
    return parser.flags + beginning


class _Parser:
    """Recursive descent; each method returns a pattern and the pattern of its beginnings."""

    def __init__(self, regex: str) -> None:
        self._regex = regex
        match = re.match(r"\(\?[imsU]+\)", regex)
        self.flags = match[0] if match else ""
        self.at = len(self.flags)

    def alternatives(self) -> tuple[str, str]:
        found = [self._sequence()]
        while self._next() == "|":
            self.at += 1
            found.append(self._sequence())
        return "|".join(x for x, _ in found), "|".join(f"(?:{x})" for _, x in found)

    def _next(self) -> str:
        return self._regex[self.at : self.at + 1]

    def _sequence(self) -> tuple[str, str]:
        parts: list[tuple[str, str]] = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated())
        beginning = ""
        for whole, own in reversed(parts):
            beginning = f"(?:{own}|{whole}{beginning})" if beginning else f"(?:{own})"
        return "".join(x for x, _ in parts), beginning

    def _repeated(self) -> tuple[str, str]:
        whole, beginning = self._atom()
        match = _REPEAT.match(self._regex, self.at)
        if match is None:
            return whole, beginning
        self.at = match.end()
        if self._next() == "?":
            self.at += 1  # a lazy one matches the same texts
        sign = match[0]
        if sign == "?":
            return f"(?:{whole})?", beginning
        if sign in "*+":
            return f"(?:{whole}){sign}", f"(?:{whole})*(?:{beginning})"
        most = match[3] if match[2] else match[1]
        before = f"{{0,{max(int(most) - 1, 0)}}}" if most else "*"
        return f"(?:{whole}){sign}", f"(?:{whole}){before}(?:{beginning})"

    def _atom(self) -> tuple[str, str]:
        if self._next() == "(":
            opening = re.compile(r"\((?:\?(?:P?<\w+>|[imsU]*:))?").match(self._regex, self.at)
            assert opening is not None  # it begins with a bracket
            if self._regex.startswith("?", opening.end()):
                raise PatternError("flags inside of a pattern and look-around are not known; flags may begin it")
            self.at = opening.end()
            whole, beginning = self.alternatives()
            if self._next() != ")":
                raise PatternError("a bracket is not closed")
            self.at += 1
            start = opening[0] if opening[0].endswith(":") else "(?:"
            return f"{start}{whole})", f"{start}{beginning})"
        match = _ATOM.match(self._regex, self.at)
        if match is None or match[0] in (r"\C", r"\Q", r"\E"):
            raise PatternError(f"{self._regex[self.at :][:10]!r} is not known")
        self.at = match.end()
        if match[0] in _ASSERTIONS:
            return match[0], f"(?:{match[0]})?"
        return match[0], f"(?:{match[0]})?"
