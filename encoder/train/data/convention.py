"""One convention of names and times for all labelled sets (docs/labels.md).

Sets disagree on what belongs to a name, and a tagger that learns from several of them is unsure exactly where readers
look. Here the spans of each set are brought to one form, on words and IOB2 tags:

- a name has no determiner in front and no possessive at its end, and a time has no preposition in front;
- a person has no title (`Dr`, `President`), where a name follows it;
- a handle (`@name`) is no person, a hashtag no name, and a nationality or language no place;
- no span is a function word, or has no letter and no digit.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from encoder.train.data.sequence import UNKNOWN, TextSequence

PERSON, PLACE, TIME = "person", "place", "time"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words("the a an this that these those my your his her its our their some any no every each")
ARTICLES = _words("the a an")
"""What is cut off times, in which "this", "last" and "every" say which."""
PREPOSITIONS = _words("for at on in by from to until till since during of")
POSSESSIVES = _words("'s ’s ' ’")
TITLES = _words("""
    mr mrs ms mx miss mister dr doctor sir madam madame monsieur lord lady dame president senator congressman
    congresswoman representative captain colonel general sergeant lieutenant major admiral professor prof judge justice
    governor minister chancellor secretary ambassador commissioner chairman chairwoman mayor king queen prince princess
    pope father mother sister brother uncle aunt reverend rev
""")
"""Without those that begin names as often ("Duke Ellington", "St. John")."""
FUNCTION_WORDS = DETERMINERS | _words("""
    i me you he him she it we they them mine yours ours theirs who whom whose which what where when why how of and or
    but if as to in on at by for from with is are was were be been am do does did have has had will would can could
    not so than then there here yes ok okay well just
""")
"""Without "us", which is also a country, and "may" and "now", which are also times."""
NATIONALITIES = _words("""
    afghan african albanian algerian american angolan arab arabian arabic argentine argentinian armenian asian
    australian austrian azerbaijani bangladeshi basque belarusian belgian bengali bolivian bosnian brazilian british
    bulgarian burmese cambodian cameroonian canadian catalan celtic chadian chechen chilean chinese colombian
    congolese croatian cuban cypriot czech danish dutch ecuadorian egyptian emirati english eritrean estonian ethiopian
    european filipino finnish flemish french gambian georgian german ghanaian greek guatemalan haitian hawaiian hebrew
    hindi honduran hungarian icelandic indian indonesian iranian iraqi irish israeli italian jamaican japanese
    jordanian kazakh kenyan korean kosovan kurdish kuwaiti latin latino latvian lebanese liberian libyan lithuanian
    macedonian malagasy malaysian maltese mandarin mexican moldovan mongolian moroccan mozambican namibian nepalese
    nicaraguan nigerian norwegian omani pakistani palestinian panamanian paraguayan persian peruvian polish portuguese
    qatari roman romanian russian rwandan saudi scandinavian scottish senegalese serbian serb singaporean slovak
    slovenian somali spanish sudanese swedish swiss syrian taiwanese tamil tanzanian thai tibetan tunisian turkish
    ugandan ukrainian uruguayan uzbek venezuelan vietnamese welsh yemeni yugoslav zambian zimbabwean zulu
""")


_ENDED = re.compile(r"([^.]*?\w)(['’][sS])?([.,;:!?]+)?")
"""A word, a possessive and punctuation; not an abbreviation."""


class TagSpan(NamedTuple):
    """A span of words, `end` exclusive."""

    start: int
    end: int
    label: str


def apply_convention(sequence: TextSequence, *, capitals: bool = False) -> TextSequence:
    """Bring the spans of a sequence to the convention; its words are cut at possessives and punctuation, and split
    handles joined.

    What is cut off a span is "O", and so is what is no name. A labelled handle or hashtag is neither, but unknown: once
    it is said, nobody hears its sign. So is a title alone, which may be a name or a role, and with `capitals` a span
    without a capital letter or digit (for sets that label pronouns and plain nouns too).
    """
    words, tags = _join_handles(*_split_words(sequence.words, sequence.tags))
    found = tuple("O" if tag != UNKNOWN else UNKNOWN for tag in tags)
    out = list(found)
    for span in spans_of(tags):
        kept = trim_span(words, span)
        if kept is None:
            continue
        name = words[kept.start : kept.end]
        plain = capitals and not any(c.isupper() or c.isdigit() for word in name for c in word)
        title = kept.label == PERSON and len(name) == 1 and _is_title(name[0])
        unknown = plain or title or any(len(word) > 1 and word[0] in "@#" for word in name)
        for i in range(kept.start, kept.end):
            out[i] = UNKNOWN if unknown else f"{'B' if i == kept.start else 'I'}-{kept.label}"
    return replace(sequence, words=words, tags=tuple(out))


def spans_of(tags: tuple[str, ...]) -> Iterator[TagSpan]:
    """Read the spans of IOB2 tags; an "I-" that continues nothing opens a span."""
    start = 0
    for i, tag in enumerate(tags):
        after = tags[i + 1] if i + 1 < len(tags) else "O"
        if tag in ("O", UNKNOWN):
            continue
        if tag[0] == "B" or i == 0 or tags[i - 1][2:] != tag[2:]:
            start = i
        if not (after.startswith("I-") and after[2:] == tag[2:]):
            yield TagSpan(start, i + 1, tag[2:])


def trim_span(words: Sequence[str], span: TagSpan) -> TagSpan | None:
    """Cut off what does not belong to a name or time; None if it is neither."""
    start, end = span.start, span.end
    leading = ARTICLES | PREPOSITIONS if span.label == TIME else DETERMINERS
    while start < end and (words[start].lower() in leading or not _is_word(words[start])):
        start += 1
    while end > start and (gone := _trailing(words, start, end)):
        end -= gone
    while span.label == PERSON and end - start > 1 and (_is_title(words[start]) or not _is_word(words[start])):
        start += 1
    if start >= end or (end - start == 1 and words[start].lower() in FUNCTION_WORDS):
        return None
    if span.label == PLACE and end - start == 1 and words[start].lower() in NATIONALITIES:
        return None
    return TagSpan(start, end, span.label)


def _trailing(words: Sequence[str], start: int, end: int) -> int:
    """Count the words at the end of a span that do not belong to it: punctuation, or a possessive of one or two."""
    last = words[end - 1]
    if last.lower() == "s" and end - start > 2 and words[end - 2] in ("'", "’"):
        return 2
    if last == ".":  # that of an abbreviation stays
        return int("." not in words[end - 2]) if end - start > 1 else 1
    return int(last in POSSESSIVES or not _is_word(last))


def _is_word(word: str) -> bool:
    return any(c.isalnum() for c in word)


def _is_title(word: str) -> bool:
    return word.lower().rstrip(".") in TITLES


def _split_words(words: tuple[str, ...], tags: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut `'s` and punctuation off the ends of words in spans: "Whitlow's" is two words, of which the second continues
    the span. Full stops of abbreviations ("U.S.") stay.
    """
    out: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        found = _ENDED.fullmatch(word) if tag not in ("O", UNKNOWN) else None
        if found is None:
            out.append((word, tag))
            continue
        out += [(part, tag if not i else f"I-{tag[2:]}") for i, part in enumerate(x for x in found.groups() if x)]
    return tuple(w for w, _ in out), tuple(t for _, t in out)


def _join_handles(words: tuple[str, ...], tags: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Join "@" and the word after it, where a tokenizer has cut them."""
    out: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        if out and out[-1][0] == "@" and _is_word(word) and word[0] != "@":
            out[-1] = (f"@{word}", tag)
        else:
            out.append((word, tag))
    return tuple(w for w, _ in out), tuple(t for _, t in out)
