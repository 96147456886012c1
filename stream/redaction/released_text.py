"""Released text of one segment: the part of its raw text that was released, as readers have it, with its redactions.

*Growing.* Released text only grows, unless the source rewrites text that was released. A redaction that was released
is never undone by the model, and a word that was released in clear is never covered afterwards. A value that grows
behind its released redaction is still hidden by it: there is no second placeholder beside it. So the replacement of a
value may be released before its end is known.

*Rewriting.* The new raw text is compared with the released one word by word, without case and punctuation. Words that
are the same keep the form in which they were released. A released redaction stands if its words are the same, or if a
value begins in its place: "four one five" under `[PHONE]` may become "(415)". From the first other word on the text is
released anew, by what covers it now; a redaction whose words are found again stands there too.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stream.redaction.covers import Cover, are_joined, cover_at, merge_covers, retreat_from_word
from stream.redaction.replacements import MASK, MakeReplacement, escape_placeholders
from stream.revisions.text_alignment import Alignment


class Redaction(NamedTuple):
    """A value that was replaced."""

    start: int
    end: int
    """Extent of the value in the raw text."""
    at: int
    to: int
    """Extent of its replacement in the redacted text."""
    label: str

    @property
    def cover(self) -> Cover:
        """The value as a cover that wins against all others."""
        return Cover(self.start, self.end, self.label, 2.0)


class ReleasedText(NamedTuple):
    """What was released of a segment."""

    source: str = ""
    """The raw text that was released: `redactions` are replaced in `text`, the rest stands there word for word."""
    text: str = ""
    """As readers have it."""
    redactions: tuple[Redaction, ...] = ()


NOTHING = ReleasedText()


def release_text(
    before: ReleasedText,
    text: str,
    found: Sequence[Cover],
    limit: int,
    replace: MakeReplacement,
    *,
    growing: bool = False,
) -> ReleasedText:
    """Release a segment's text up to a limit.

    Args:
        before: what was released of it.
        text: the raw text as it is now.
        found: the values in it, as detectors see them now.
        limit: characters of `text` that may be released.
        replace: makes replacements.
        growing: whether a value that the limit lies in is replaced up to there, else it waits until it ends.
    """
    carried, lost = _carry(before, text, merge_covers(text, found))
    covers = merge_covers(text, [*found, *(x.cover for x in carried.redactions), *lost])
    if growing:
        covers = _cut_cover(text, covers, limit)
    limit = _settle_limit(text, covers, limit)
    if limit <= len(carried.source):
        return carried
    return _append(carried, text, covers, limit, replace)


def _settle_limit(text: str, covers: Sequence[Cover], limit: int) -> int:
    """Return the limit moved in front of the value or word that it lies in, and of the white space before that."""
    limit = min(limit, len(text))
    if cover := cover_at(covers, limit):
        limit = cover.start
    limit = retreat_from_word(text, limit)
    if limit < len(text):
        while limit and text[limit - 1].isspace():
            limit -= 1
    return limit


def _cut_cover(text: str, covers: list[Cover], limit: int) -> list[Cover]:
    """Return the covers up to a limit that lies behind a word, the last one cut off there."""
    cover = cover_at(covers, limit)
    if cover is None or retreat_from_word(text, limit) != limit:
        return covers
    end = len(text[:limit].rstrip())
    return [x._replace(end=end) if x is cover else x for x in covers if x is not cover or end > cover.start]


def _append(
    before: ReleasedText, text: str, covers: Sequence[Cover], limit: int, replace: MakeReplacement
) -> ReleasedText:
    """Release the text from the end of what was released up to the limit."""
    at, shown, redactions = len(before.source), before.text, list(before.redactions)
    for cover in covers:
        if cover.end <= at or cover.start >= limit:
            continue
        last = redactions[-1] if redactions else None
        if last is not None and (last.end >= cover.start or are_joined(text, last.cover, cover)) and last.end >= at:
            # The value under the last redaction has grown.
            if last.end < cover.end:
                hidden = text[last.end : cover.end]
                if set(shown[last.at : last.to]) == {MASK}:
                    shown += MASK * len(hidden)
                redactions[-1] = last._replace(end=cover.end, to=len(shown))
            at = cover.end
            continue
        start = max(cover.start, at)
        while start < cover.end and text[start].isspace():
            start += 1
        if start == cover.end:
            continue  # nothing but white space
        shown += escape_placeholders(text[at:start])
        replacement = replace(cover.label, text[start : cover.end])
        redactions.append(Redaction(start, cover.end, len(shown), len(shown) + len(replacement), cover.label))
        shown += replacement
        at = cover.end
    shown += escape_placeholders(text[at:limit]) if at < limit else ""
    return ReleasedText(text[: max(at, limit)], shown, tuple(redactions))


# Rewriting


class _FormWord(NamedTuple):
    start: int
    end: int
    form: str
    """Without case and punctuation."""
    redactions: tuple[int, ...]
    """The redactions that it touches."""


_WORD = re.compile(r"\S+")


def _carry(before: ReleasedText, text: str, covers: Sequence[Cover]) -> tuple[ReleasedText, list[Cover]]:
    """Move what was released into a new raw text.

    Returns:
        What still stands of it, and the values in the rest of the new text that were redacted before.
    """
    if text.startswith(before.source):
        return before, []
    old = _group_words(before.source, [(x.start, x.end) for x in before.redactions])
    shown = _group_words(before.text, [(x.at, x.to) for x in before.redactions])
    new = [x for group in _group_words(text, []) for x in group]
    kept, end, moved = 0, 0, list[Redaction]()
    if len(old) == len(shown):
        kept, end, moved = _match_groups(before, old, text, new, covers)
    cut = shown[kept - 1][-1].end if kept else 0
    lost = before.redactions[len(moved) :]
    return ReleasedText(text[:end], before.text[:cut], tuple(moved)), list(_find_again(before.source, text, lost, end))


def _group_words(text: str, extents: Sequence[tuple[int, int]]) -> list[list[_FormWord]]:
    """Return the words of a text in groups: each word in clear alone, those together that share redactions.

    Words that are only punctuation are left out. `extents` are those of the redactions.
    """
    groups: list[list[_FormWord]] = []
    first = 0
    for found in _WORD.finditer(text):
        start, end = found.span()
        while first < len(extents) and extents[first][1] <= start:
            first += 1
        last = first
        while last < len(extents) and extents[last][0] < end:
            last += 1
        word = _FormWord(start, end, _plain(found[0]), tuple(range(first, last)))
        if word.redactions and groups and set(word.redactions) & set(groups[-1][-1].redactions):
            groups[-1].append(word)
        elif word.form or word.redactions:
            groups.append([word])
    return groups


def _match_groups(
    before: ReleasedText,
    old: Sequence[Sequence[_FormWord]],
    text: str,
    new: Sequence[_FormWord],
    covers: Sequence[Cover],
) -> tuple[int, int, list[Redaction]]:
    """Match released words with those of the new text, up to the first that was rewritten.

    Returns:
        The number of groups that stand, the end of them in the new text, and their redactions, moved.
    """
    j, end, moved = 0, 0, list[Redaction]()
    for kept, group in enumerate(old):
        words = [x for x in group if x.form]
        there = new[j : j + len(words)]
        held = sorted({i for x in group for i in x.redactions})
        if words and [x.form for x in words] == [x.form for x in there]:
            for i in held:
                touched = [there[k] for k, x in enumerate(words) if i in x.redactions] or there
                stop = touched[-1].start + len(text[touched[-1].start : touched[-1].end].rstrip(_SIGNS))
                moved.append(before.redactions[i]._replace(start=touched[0].start, end=stop))
            j += len(words)
            whole = before.source[words[-1].start : words[-1].end]
            grown = text.startswith(whole, there[-1].start)
            end = there[-1].start + len(whole) if grown else there[-1].end
        else:
            value = next((x for x in covers if j < len(new) and new[j].start <= x.start < new[j].end), None)
            if value is None or len(held) != 1:
                return kept, end, moved
            moved.append(before.redactions[held[0]]._replace(start=value.start, end=value.end))
            while j < len(new) and new[j].start < value.end:
                j += 1
            end = value.end if before.source[group[-1].end - 1].isalnum() else max(value.end, new[j - 1].end)
    return len(old), end, moved


_SIGNS = ".,;:!?)]}\"'"


def _find_again(source: str, text: str, redactions: Sequence[Redaction], start: int) -> Iterator[Cover]:
    """Yield the values that were redacted before and are found again in the rest of the new text."""
    if not redactions:
        return
    alignment = Alignment(source, text)
    for redaction in redactions:
        first, end = (round(x) for x in alignment.extent(redaction.start, redaction.end))
        value = source[redaction.start : redaction.end]
        if first >= start and _plain(text[first:end]) == _plain(value):
            yield Cover(first, end, redaction.label, 2.0)


def _plain(text: str) -> str:
    return "".join(x for x in text.casefold() if x.isalnum())
