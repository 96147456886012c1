"""Training sequences of generated dialogue: each turn is one, each dialogue a document."""

import random
from collections.abc import Iterator

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.pii.dialogue import RECORDS, Dialogue, draw_dialogue
from encoder.train.data.pii.locales import LISTS
from encoder.train.data.pii.templates import DialogueTemplate, read_templates
from encoder.train.data.pii.value import split_words
from encoder.train.data.sequence import TextSequence, hash_text, keep_template, tag_spans

HARD = 0.35
"""Share of the dialogues without personal data."""
TWO_ASKS = 0.5
"""Share of the questions that another one follows."""
STRETCHES = 0.35
"""Share of the dialogues without personal data that go on with others of that kind, up to three."""
AMID = 0.12
"""Share of the dialogues with personal data before or after which there is talk without it."""
RARE = frozenset(
    split_words(
        "card iban account national_id licence passport plate medical ip url username postcode dob person.spelled"
    )
)
"""Slots whose templates are drawn more often, since few templates have them."""


def generate_dialogues(count: int, seed: int, fold: str = "", without_fold: str = "") -> Iterator[Dialogue]:
    """Draw dialogues; the same arguments give the same ones.

    Args:
        count: dialogues.
        seed: any number.
        fold: "k/n": only templates of fold k of n, by a hash of their first turn's text.
        without_fold: "k/n": only templates of the other folds.

    Raises:
        ConfigError: Faker is not installed, or the fold has no template of one of the two kinds.
    """
    chosen = [x for x in read_templates() if keep_template(hash_text(x.turns[0].text), fold, without_fold)]
    kinds = [[x for x in chosen if x.personal is personal] for personal in (True, False)]
    weights = [[_weigh(x) for x in kind] for kind in kinds]
    if not all(kinds):
        raise ConfigError(
            f"training data: fold {fold or without_fold!r} leaves no template with or none without personal data; "
            "use fewer folds"
        )
    for number in range(count):
        rng = random.Random(f"{seed} {fold} {number}")
        hard = rng.random() < HARD
        (template,) = rng.choices(kinds[hard], weights[hard])
        if _asks(template) and rng.random() < TWO_ASKS:
            template = template.join(rng.choice([x for x in kinds[hard] if x.domain == template.domain]))
        if hard and rng.random() < STRETCHES:
            others = rng.choices(kinds[hard], weights[hard], k=rng.choice((1, 1, 2, 3)))
            for other in dict.fromkeys(x for x in others if x.name not in template.name.split(", ")):
                template = template.join(other)
        elif not hard and rng.random() < AMID:
            other = rng.choices(kinds[True], weights[True])[0]
            joined = other.join(template) if rng.random() < 0.5 else template.join(other)
            template = joined._replace(domain=template.domain)
        yield draw_dialogue(template, rng.choice([*LISTS.locales]), rng)


def _weigh(template: DialogueTemplate) -> int:
    if _asks(template):
        return 1
    return (1 + 2 * len(template.slots & RARE)) * (3 if template.domain == RECORDS else 1)


def _asks(template: DialogueTemplate) -> bool:
    return template.domain.endswith("asks")


def read_generated(source: TextSource) -> Iterator[tuple[dict[str, str], TextSequence]]:
    """Give the sequences of a source with `generate`, each with the facts that `where` selects by.

    Raises:
        ConfigError: see `generate_dialogues`.
    """
    dialogues = generate_dialogues(source.count, source.seed, source.fold, source.without_fold)
    for number, dialogue in enumerate(dialogues):
        facts = {
            "locale": dialogue.locale,
            "domain": dialogue.domain,
            "form": dialogue.form,
            "template": dialogue.template,
        }
        document = f"{source.generate} {source.seed} {source.fold} {number}: {dialogue.template}"
        for turn in dialogue.turns:
            words, tags = tag_spans(turn.text, [span[:3] for span in turn.spans])
            yield facts, TextSequence(document, words, tags, as_is=True)
