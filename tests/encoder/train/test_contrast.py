"""Made-up messages: every kind, spans, scores, words that tell nothing of themselves, folds, and sources that ask."""

import random
import re
from collections import Counter
from itertools import pairwise

import pytest

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.contrast.generate import generate_messages
from encoder.train.data.contrast.message import FORMS, ContrastMessage, draw_message
from encoder.train.data.contrast.templates import FOLDER, SCORES, read_contrast_lists, read_message_templates
from encoder.train.data.text import read_source

LISTS = read_contrast_lists().lists


@pytest.fixture(scope="module")
def messages() -> list[ContrastMessage]:
    return list(generate_messages(9000, seed=4))


def harmless_share(messages: list[ContrastMessage], word: str) -> float:
    """Share of the messages with a word that are harmless."""
    found = [x.side == "harmless" for x in messages if re.search(rf"\b{word}\b", x.text, re.IGNORECASE)]
    assert len(found) >= 25, word
    return sum(found) / len(found)


def test_every_kind_has_templates_and_all_are_different() -> None:
    templates = read_message_templates()
    sizes = Counter(x.kind for x in templates)
    assert len(templates) >= 400
    assert min(sizes.values()) >= 10
    assert len({x.text for x in templates}) == len(templates)
    assert sorted(sizes) == sorted(path.stem for path in (FOLDER / "templates").glob("*.txt"))
    assert len(LISTS["identities"]) >= 40


@pytest.mark.parametrize("kind", read_contrast_lists().kinds)
def test_a_filled_template_has_spans_where_it_should_and_no_marks(kind: str) -> None:
    for template in (x for x in read_message_templates() if x.kind == kind):
        for seed in range(12):
            check(draw_message(template, random.Random(seed)))


def check(message: ContrastMessage) -> None:
    assert not re.search(r"[{}<>\x02\x03]|a\(n\)|  ", message.text.lower())
    if message.form != "speech":
        assert not re.search(r"\ba [aei]\w|\ban [^aehiou\W]", message.text.lower())
    assert bool(message.spans) == (message.side != "harmless")
    for start, end, label in message.spans:
        assert label == "toxic"
        assert 0 <= start < end <= len(message.text)
        assert message.text[start:end] == message.text[start:end].strip() != ""
    assert all(a[1] <= b[0] for a, b in pairwise(message.spans))
    assert tuple(message.scores) == SCORES
    assert all(0 <= x <= 1 for x in message.scores.values())
    assert (message.scores["toxicity"] >= 0.5) == (message.side != "harmless")
    assert (message.scores["identity_attack"] >= 0.5) == (message.side == "hateful")


def test_identities_and_swear_words_tell_nothing_of_themselves(messages: list[ContrastMessage]) -> None:
    identities = [x.split("|")[0] for x in LISTS["identities"]]
    shares = [harmless_share(messages, x) for x in identities]
    assert 0.45 < sum(shares) / len(shares) < 0.6
    assert all(0.25 < x < 0.8 for x in shares)
    for words, least, most in ((set(LISTS["swears"]), 0.4, 0.75), ({"idiot", "bastard", "bitch", "shit"}, 0.4, 0.8)):
        for word in words:
            assert least < harmless_share(messages, word) < most, word


def test_claims_about_groups_stand_on_both_sides(messages: list[ContrastMessage]) -> None:
    for name in ("dehumanising", "threatening", "excluding", "belittling", "stereotyping"):
        claims = [re.escape(re.sub(r"[<>]|\{.*?\} ", "", x)) for x in LISTS[name]]
        assert 0.25 < harmless_share(messages, f"({'|'.join(claims)})") < 0.7, name


def test_hateful_messages_mostly_have_no_swear_word_and_length_tells_nothing(messages: list[ContrastMessage]) -> None:
    hateful = [x for x in messages if x.side == "hateful"]
    assert sum(x.scores["profanity"] < 0.4 for x in hateful) > 0.6 * len(hateful)
    lengths = {s: sorted(len(x.text.split()) for x in messages if x.side == s) for s in ("hateful", "harmless")}
    medians = [x[len(x) // 2] for x in lengths.values()]
    assert abs(medians[0] - medians[1]) <= 3
    assert all(x[0] <= 4 and x[-1] >= 34 for x in lengths.values())


def test_forms_are_written_as_their_writers_write(messages: list[ContrastMessage]) -> None:
    assert {x.form for x in messages} == set(FORMS)
    for message in messages:
        if message.form != "forum":
            assert message.text == message.text.lower()
        if message.form == "speech":
            assert not re.search(r"[^\w\s']", message.text)


def test_swear_words_raise_profanity_and_make_harmless_messages_no_worse_than_a_fifth() -> None:
    found = {True: 0, False: 0}
    for message in generate_messages(3000, seed=9):
        if re.search(r"\b(fuckin|fucking|goddamn)\b", message.text.lower()):
            assert message.scores["profanity"] == 0.9
            harmless = message.side == "harmless"
            found[harmless] += 1
            assert message.scores["toxicity"] == pytest.approx(0.2) if harmless else message.scores["toxicity"] >= 0.95
    assert min(found.values()) > 20


def test_the_same_arguments_give_the_same_messages() -> None:
    assert list(generate_messages(20, 8)) == list(generate_messages(60, 8))[:20]
    assert list(generate_messages(20, 8)) != list(generate_messages(20, 9))


def test_folds_share_no_template_and_leave_every_kind() -> None:
    parts: tuple[dict[str, str], ...] = ({"fold": "0/5"}, {"without_fold": "0/5"})
    made = [{x.template for x in generate_messages(2500, 1, **part)} for part in parts]
    assert not made[0] & made[1]
    assert all({x.split()[0] for x in names} == set(read_contrast_lists().kinds) for names in made)
    with pytest.raises(ConfigError, match="leaves no template of kind 'dehumanise'; use fewer folds"):
        next(generate_messages(1, 1, fold="50/60"))


def test_a_source_gives_tagged_sequences_and_keeps_what_where_selects() -> None:
    made = list(generate_messages(300, 5))
    read = read_source(TextSource(generate="contrast", count=300, seed=5))
    assert len(read) == len({x.document for x in read}) == 300
    for message, sequence in zip(made, read, strict=True):
        assert "".join(sequence.words) == re.sub(r"\s", "", message.text)
        assert sequence.scores == tuple(message.scores.items())
        assert sum(tag.startswith("B-") for tag in sequence.tags) == len(message.spans)
        for before, tag in pairwise(("O", *sequence.tags)):
            assert tag in ("O", "B-toxic", "I-toxic")
            assert tag != "I-toxic" or before != "O"
    only = TextSource(generate="contrast", count=300, seed=5, where={"kind": ("counter", "insult"), "form": ("chat",)})
    chosen = [x for x in made if x.kind in ("counter", "insult") and x.form == "chat"]
    assert 0 < len(chosen) == len(read_source(only))
    assert only.name() == "contrast chat counter insult"
