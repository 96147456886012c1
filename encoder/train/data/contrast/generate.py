"""Training sequences of made-up messages, each a document of its own."""

import random
from bisect import bisect_left
from collections.abc import Iterator

from encoder.model.config import ConfigError
from encoder.tokenizer.cleaning import clean_text, spread_text
from encoder.train.config import TextSource
from encoder.train.data.contrast.message import ContrastMessage, draw_message
from encoder.train.data.contrast.templates import MessageTemplate, read_contrast_lists, read_message_templates
from encoder.train.data.sequence import TextSequence, keep_template, tag_spans


def generate_messages(count: int, seed: int, fold: str = "", without_fold: str = "") -> Iterator[ContrastMessage]:
    """Draw messages; the same arguments give the same ones.

    Args:
        count: messages.
        seed: any number.
        fold: "k/n": only templates of fold k of n, of every kind each n-th.
        without_fold: "k/n": only templates of the other folds.

    Raises:
        ConfigError: the fold leaves no template of a kind.
    """
    kinds = read_contrast_lists().kinds
    by_kind: dict[str, list[MessageTemplate]] = {kind: [] for kind in kinds}
    for template in read_message_templates():
        if keep_template(template.number, fold, without_fold):
            by_kind[template.kind].append(template)
    if missing := [kind for kind, templates in by_kind.items() if not templates]:
        raise ConfigError(
            f"training data: fold {fold or without_fold!r} leaves no template of kind {missing[0]!r}; use fewer folds"
        )
    for number in range(count):
        rng = random.Random(f"{seed} {fold} {number}")
        (kind,) = rng.choices([*kinds], [x.weight for x in kinds.values()])
        yield draw_message(rng.choice(by_kind[kind]), rng)


def read_messages(source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    """Give the sequences of a source with `generate = "contrast"`, each with the facts that `where` selects by.

    Raises:
        ConfigError: see `generate_messages`.
    """
    messages = generate_messages(source.count, source.seed, source.fold, source.without_fold)
    for number, message in enumerate(messages):
        facts = {"kind": message.kind, "side": message.side, "form": message.form, "template": message.template}
        words, tags = tag_spans(*_read_as_live(message.text, message.spans))
        document = f"{source.generate} {source.seed} {source.fold} {number}: {message.template}"
        yield facts, TextSequence(document, words, tags, as_is=True, scores=tuple(message.scores.items()))


def _read_as_live(text: str, spans: tuple[tuple[int, int, str], ...]) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    """Give a text, with its spans, cleaned as the model reads it in use: it learns what is left of disguises."""
    cleaned = clean_text(text)
    spread = spread_text(cleaned)
    if spread is None:
        return cleaned, spans
    shown, places = spread
    return shown, tuple((bisect_left(places, start), bisect_left(places, end), label) for start, end, label in spans)
