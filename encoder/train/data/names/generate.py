"""Training sequences of made-up text with names: each turn is one, each text a document."""

import random
import re
from collections.abc import Iterator

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.convention import TagSpan, trim_span
from encoder.train.data.names.filler import NamedText, NameTurn, draw_named_text
from encoder.train.data.names.templates import NameTemplate, read_name_lists, read_name_templates
from encoder.train.data.sequence import TextSequence, keep_template

PLAIN = 0.3
"""Share of the documents without any name or time."""
MORE = 0.3
"""Probability that another template of the style follows in the same document, with the same names."""
MOST = 4
"""Templates of a document at most."""
_CLITIC = r"['’](?:s|m|re|ve|ll|d)\b"
_WORD = re.compile(
    rf"(?:[A-Za-z]\.){{2,}}|{_CLITIC}|\d+(?:[.,:/-]\d+)+\b|\w+\.(?=\s+[A-Z]\w)(?<=\b[A-Z]\.)|"
    rf"\w+(?:(?!{_CLITIC})['’-]\w+)*|[^\w\s]"
)
"""Words as sets of names have them: possessives are words of their own, initials keep their full stop."""


def generate_named_texts(count: int, seed: int, fold: str = "", without_fold: str = "") -> Iterator[NamedText]:
    """Draw documents; the same arguments give the same ones.

    Args:
        count: documents.
        seed: any number.
        fold: "k/n": only templates of fold k of n, of every style each n-th.
        without_fold: "k/n": only templates of the other folds.

    Raises:
        ConfigError: Faker is not installed, or the fold leaves no template with or none without names.
    """
    styles = read_name_lists().styles
    sides: dict[bool, dict[str, list[NameTemplate]]] = {True: {}, False: {}}
    for template in read_name_templates():
        if keep_template(template.number, fold, without_fold):
            sides[template.named].setdefault(template.style, []).append(template)
    if not all(sides.values()):
        raise ConfigError(
            f"training data: fold {fold or without_fold!r} leaves no template with or none without names; "
            "use fewer folds"
        )
    for number in range(count):
        rng = random.Random(f"{seed} {fold} {number}")
        side = sides[rng.random() >= PLAIN]
        (style,) = rng.choices([*side], [styles[x].weight * min(1.0, len(side[x]) / 6) for x in side])
        templates = [rng.choice(side[style])]
        while len(templates) < MOST and rng.random() < MORE:
            more = rng.choice(sides[rng.random() >= PLAIN].get(style, side[style]))
            templates += [] if more in templates else [more]
        yield draw_named_text(templates, rng)


def tag_turn(turn: NameTurn) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a turn into words with IOB2 tags under the convention of names: "a week ago" is labelled "week ago"."""
    words = [(found.start(), found.end(), found.group()) for found in _WORD.finditer(turn.text)]
    texts = tuple(word for _, _, word in words)
    tags = ["O"] * len(words)
    for start, end, label in turn.spans:
        inside = [i for i, (a, b, _) in enumerate(words) if a < end and b > start]
        whole = TagSpan(inside[0], inside[-1] + 1, label)
        kept = trim_span(texts, whole) or whole  # "Will" is no function word where a template calls it a name
        for i in range(kept.start, kept.end):
            tags[i] = ("B-" if i == kept.start else "I-") + label
    return texts, tuple(tags)


def read_named_texts(source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    """Give the sequences of a source with `generate = "names"`, each with the facts that `where` selects by.

    Raises:
        ConfigError: see `generate_named_texts`.
    """
    texts = generate_named_texts(source.count, source.seed, source.fold, source.without_fold)
    for number, text in enumerate(texts):
        facts = {"style": text.style, "form": text.form, "template": text.template}
        document = f"{source.generate} {source.seed} {source.fold} {number}: {text.template}"
        for turn in text.turns:
            words, tags = tag_turn(turn)
            yield facts, TextSequence(document, words, tags, as_is=turn.written)
