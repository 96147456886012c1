"""Made-up messages: every kind, spans, scores, words that tell nothing of themselves, folds, and sources that ask."""

import random
import re
from collections import Counter
from itertools import pairwise

import pytest

from encoder.model.config import ConfigError
from encoder.tokenizer.cleaning import clean_text, spread_text
from encoder.train.config import TextSource
from encoder.train.data.contrast.disguise import disguise_words
from encoder.train.data.contrast.generate import generate_messages
from encoder.train.data.contrast.message import FORMS, ContrastMessage, draw_message
from encoder.train.data.contrast.templates import FOLDER, SCORES, read_contrast_lists, read_message_templates
from encoder.train.data.text import read_source

LISTS = read_contrast_lists().lists
LEAST = {
    **{
        "negated": 70,
        "denied": 40,
        "mention": 70,
        "counter": 60,
        "quoted": 60,
        "friendly": 60,
        "insult_told": 50,
        "reclaimed": 40,
    },
    **{"denial": 50, "game_rude": 60, "jargon": 60, "swearing": 60, "technical": 60, "subjects": 50, "meetings": 40},
}
"""Templates of kinds that need more than others, because a word alone decides least there."""


@pytest.fixture(scope="module")
def messages() -> list[ContrastMessage]:
    return list(generate_messages(10_000, seed=4))


def harmless_share(messages: list[ContrastMessage], word: str) -> float:
    """Share of the messages with a word that are harmless."""
    found = [x.side == "harmless" for x in messages if re.search(rf"\b{word}\b", x.text, re.IGNORECASE)]
    assert len(found) >= 20, word
    return sum(found) / len(found)


def test_every_kind_has_templates_and_all_are_different() -> None:
    templates = read_message_templates()
    sizes = Counter(x.kind for x in templates)
    assert min(sizes.values()) >= 24
    for kind, facts in read_contrast_lists().kinds.items():
        assert sizes[kind] >= LEAST.get(kind, 40 if facts.side != "harmless" else 24), kind
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
    if message.form != "speech" and not message.disguised:
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
    for words, least, most in ((set(LISTS["swears"]), 0.4, 0.75), ({"idiot", "bastard", "bitch", "shit"}, 0.3, 0.75)):
        for word in words:
            assert least < harmless_share(messages, word) < most, word


def test_claims_about_groups_stand_on_both_sides(messages: list[ContrastMessage]) -> None:
    for name in ("dehumanising", "threatening", "excluding", "belittling", "stereotyping"):
        claims = [re.escape(re.sub(r"[<>]|\{.*?\} ", "", x)) for x in LISTS[name]]
        assert 0.25 < harmless_share(messages, f"({'|'.join(claims)})") < 0.7, name


def test_a_negation_decides_nothing_alone(messages: list[ContrastMessage]) -> None:
    """Denied claims have no negation where the claim has one, and hate often begins with a denial."""
    negation = re.compile(r"\b(no|not|never|nobody|none|nothing|neither|\w+n't)\b", re.IGNORECASE)
    shares = {
        side: sum(bool(negation.search(x.text)) for x in found) / len(found)
        for side, found in (
            ("hateful", [x for x in messages if x.side == "hateful"]),
            ("denied", [x for x in messages if x.kind == "denied"]),
            ("hate that denies", [x for x in messages if x.kind == "denial"]),
        )
    }
    assert shares["hateful"] > 0.4
    assert 0.5 < shares["denied"] < 0.95
    assert shares["hate that denies"] > 0.7
    templates = [x for x in read_message_templates() if x.kind == "denied"]
    denied = {draw_message(x, random.Random(f"{x} {n}")).text.lower() for x in templates for n in range(20)}
    for part in ("belong here", "can be trusted", "should be allowed", "don't ", "aren't ", "should never be "):
        assert any(part in x for x in denied), part
    assert not any(re.search("(?:don't|not) (?:belong here|welcome here|really human)", x) for x in denied)


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
    with pytest.raises(ConfigError, match="leaves no template of kind 'threaten'; use fewer folds"):
        next(generate_messages(1, 1, fold="50/60"))


def test_a_source_gives_tagged_sequences_and_keeps_what_where_selects() -> None:
    made = list(generate_messages(300, 5))
    read = read_source(TextSource(generate="contrast", count=300, seed=5))
    assert len(read) == len({x.document for x in read}) == 300
    for message, sequence in zip(made, read, strict=True):
        cleaned = clean_text(message.text)
        assert "".join(sequence.words) == re.sub(r"\s", "", (spread_text(cleaned) or (cleaned,))[0])
        assert sequence.scores == tuple(message.scores.items())
        assert sum(tag.startswith("B-") for tag in sequence.tags) == len(message.spans)
        for before, tag in pairwise(("O", *sequence.tags)):
            assert tag in ("O", "B-toxic", "I-toxic")
            assert tag != "I-toxic" or before != "O"
    only = TextSource(generate="contrast", count=300, seed=5, where={"kind": ("counter", "insult"), "form": ("chat",)})
    chosen = [x for x in made if x.kind in ("counter", "insult") and x.form == "chat"]
    assert 0 < len(chosen) == len(read_source(only))
    assert only.name() == "contrast chat counter insult"


def test_disguised_words_are_as_frequent_on_either_side(messages: list[ContrastMessage]) -> None:
    """A swear word in disguise is used harmlessly, too."""
    typed = [x for x in messages if x.form != "speech"]
    for side in ("hateful", "insulting", "harmless"):
        found = [bool(x.disguised) for x in typed if x.side == side]
        assert 0.1 < sum(found) / len(found) < 0.18, side
    assert not any(x.disguised for x in messages if x.form == "speech")
    swearing = {
        clean_text(message.text)[a:b].replace("\0", "").lower()
        for message in messages
        if message.side == "harmless" and message.scores["profanity"] >= 0.45
        for a, b in message.disguised
    }
    assert {"shit", "fuck", "fucking", "damn"} <= swearing


def test_spans_and_places_hold_for_disguised_words() -> None:
    text = "Hi Bob, you are a stupid idiot, go home"
    spans = ((18, 30, "toxic"), (35, 39, "toxic"))
    shapes = set[str]()
    for seed in range(300):
        shown, moved, places = disguise_words(text, spans, frozenset(), random.Random(seed))
        assert 0 < len(places) <= 2
        cuts = [0, *(x for place in places for x in place), len(shown)]
        kept = [shown[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        plain = re.fullmatch(r"(\w+)".join(map(re.escape, kept)), text)
        assert plain, "nothing but the words at the places is changed"
        words = dict(zip(places, plain.groups(), strict=True))
        shapes |= {shown[a:b] for a, b in places}
        for (a, b, _), (start, end, _) in zip(spans, moved, strict=True):
            inside = shown[start:end]
            for (first, last), word in words.items():
                if start <= first and last <= end:
                    inside = inside.replace(shown[first:last], word)
            assert inside == text[a:b]
    assert len(shapes) > 60


def test_what_is_trained_is_the_text_as_it_is_read_in_use() -> None:
    """Spans stay at their words where characters are skipped, become letters, or are set apart."""
    source = TextSource(generate="contrast", count=1500, seed=6, where={"side": ("hateful", "insulting")})
    made = [x for x in generate_messages(1500, 6) if x.side != "harmless"]
    seen = 0
    for message, sequence in zip(made, read_source(source), strict=True):
        assert "\0" not in "".join(sequence.words)
        if message.disguised:
            cleaned, tagged = clean_text(message.text), ""
            for word, tag in zip(sequence.words, sequence.tags, strict=True):
                tagged += word if tag != "O" else ""
            wanted = "".join(cleaned[a:b] for a, b, _ in message.spans)
            assert tagged == re.sub(r"[\s\0]", "", wanted)
            seen += cleaned != message.text
    assert seen > 10
