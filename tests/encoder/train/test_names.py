"""Made-up text with names: labels of whole words, function words, folds, seeds, both senses of words, and sources."""

import random
import re
from collections import Counter

import pytest

from encoder.model.config import ConfigError
from encoder.train.config import TextSource
from encoder.train.data.convention import ARTICLES, DETERMINERS, FUNCTION_WORDS, TITLES, spans_of
from encoder.train.data.names.filler import NamedText, NameTurn, draw_named_text
from encoder.train.data.names.generate import PLAIN, generate_named_texts, tag_turn
from encoder.train.data.names.templates import (
    FOLDER,
    LABELS,
    NAME_SLOT,
    NUMBERS,
    PEOPLE,
    read_name_lists,
    read_name_templates,
    slot_values,
)
from encoder.train.data.sequence import UNKNOWN
from encoder.train.data.text import read_source

TEMPLATES = read_name_templates()
NAMES_OF_WORDS = frozenset({"will"})
"""Function words that a template calls a name."""
AMBIGUOUS = (
    "may", "will", "mark", "grace", "hope", "rose", "frank", "april", "apple", "amazon", "target", "chase", "turkey",
    "jordan", "orange", "meta", "shell", "gap", "visa", "windows", "word", "teams", "slack", "zoom", "echo", "bard",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled() -> list[NamedText]:
    """Every template, twice."""
    return [draw_named_text([x], random.Random(f"{i} {x}")) for x in TEMPLATES for i in range(2)]


@pytest.fixture(scope="module")
def texts() -> list[NamedText]:
    return list(generate_named_texts(1500, seed=3))


def named_words(text: NamedText) -> list[tuple[str, str]]:
    return [(word.lower(), tag) for turn in text.turns for word, tag in zip(*tag_turn(turn), strict=True)]


def test_every_style_has_templates_and_every_slot_values() -> None:
    sizes = Counter(x.style for x in TEMPLATES)
    assert sorted(sizes) == sorted(path.stem for path in (FOLDER / "templates").glob("*.txt"))
    assert len({(x.style, x.turns) for x in TEMPLATES}) == len(TEMPLATES) >= 800
    assert min(sizes.values()) >= 14
    slots = {slot for x in TEMPLATES for turn in x.turns for slot, _, _ in NAME_SLOT.findall(turn)}
    lists = read_name_lists().slots
    slots |= {slot for name in lists for value in slot_values(name) for slot, _, _ in NAME_SLOT.findall(value)}
    assert sorted(slots) == sorted({PEOPLE, *NUMBERS, *lists})


def test_lists_are_long_and_name_nothing_twice() -> None:
    sizes: Counter[str] = Counter()
    for name, values in read_name_lists().slots.items():
        sizes[values.label] += len(set(slot_values(name)))
    wanted = {"organization": 300, "place": 350, "product": 250, "event": 200}
    assert {label: sizes[label] for label in wanted if sizes[label] < wanted[label]} == {}


def test_spans_are_of_whole_words_without_determiners_titles_and_function_words(filled: list[NamedText]) -> None:
    for text in filled:
        for turn in text.turns:
            assert not re.search(r"[{}\[\]\x02\x03\x05|]|\(n\)|\bthe the\b", turn.text.lower()), turn
            for article in re.finditer(r"\ba [aeio]\w", turn.text.lower()):  # but for initials
                assert any(start < article.start() < end for start, end, _ in turn.spans), turn
            words, tags = tag_turn(turn)
            assert "".join(words) == "".join(turn.text.split()), "every sign is in a word"
            found = [span.label for span in spans_of(tags)]
            assert found == [label for _, _, label in turn.spans], "each span keeps its words"
            assert set(found) <= set(LABELS)
            for span in spans_of(tags):
                name = [word.lower() for word in words[span.start : span.end]]
                assert name[0] not in (ARTICLES if span.label == "time" else DETERMINERS), turn
                assert name[0][0].isalnum(), turn
                assert name[-1][-1].isalnum() or "." in name[-1][:-1], turn
                assert len(name) > 1 or name[0] not in FUNCTION_WORDS - NAMES_OF_WORDS, turn
                assert span.label != "person" or len(name) == 1 or name[0].rstrip(".") not in TITLES, turn


def test_words_around_a_span_are_outside_of_it() -> None:
    turn = NameTurn("Dr. Whitlow's flight left the U.S. a week ago.", ((0, 11, "person"), (26, 34, "place")), False)
    assert tag_turn(turn) == (
        ("Dr", ".", "Whitlow", "'s", "flight", "left", "the", "U.S.", "a", "week", "ago", "."),
        ("O", "O", "B-person", "O", "O", "O", "O", "B-place", "O", "O", "O", "O"),
    )


def test_templates_without_names_have_none_and_are_their_share(texts: list[NamedText]) -> None:
    plain = [x for x in TEMPLATES if not x.named]
    assert len(plain) >= 200
    for template in plain:
        assert not [tag for _, tag in named_words(draw_named_text([template], random.Random(1))) if tag != "O"], (
            template
        )
    without = [x for x in texts if not any(turn.spans for turn in x.turns)]
    assert PLAIN - 0.1 <= len(without) / len(texts) <= PLAIN + 0.05


def test_a_third_of_the_texts_has_several_turns_in_which_names_return(texts: list[NamedText]) -> None:
    several = [x for x in texts if len(x.turns) > 1]
    assert 0.33 <= len(several) / len(texts) <= 0.5
    templates = [x for x in TEMPLATES if x.style == "biography" and "{person}" in x.turns[0]][:2]
    shapes = set()
    for seed in range(40):
        turns = draw_named_text(templates, random.Random(seed)).turns
        start, end, _ = next(x for x in turns[0].spans if x[2] == "person")
        name = turns[0].text[start:end].lower()
        later = next(t for t in turns[len(templates[0].turns) :] if any(x[2] == "person" for x in t.spans))
        start, end, _ = next(x for x in later.spans if x[2] == "person")
        short = later.text[start:end].lower()
        assert short in name
        shapes.add("whole" if short == name else "first" if name.startswith(short) else "last")
    assert shapes == {"whole", "first", "last"}


def test_a_word_that_is_a_name_only_sometimes_is_both(filled: list[NamedText]) -> None:
    kinds: dict[str, set[str]] = {word: set() for word in AMBIGUOUS}
    for word, tag in (x for text in filled for x in named_words(text)):
        if word in kinds:
            kinds[word].add(tag.split("-")[-1])
    assert [word for word, labels in kinds.items() if len(labels) < 2] == []
    # a month or a name, a river or a firm, a country or a name: words that are names always
    assert {word for word, labels in kinds.items() if "O" not in labels} == {"april", "amazon", "jordan"}


def test_a_city_is_a_place_and_a_team(filled: list[NamedText]) -> None:
    """Leeds beats Sunderland, and people fly from Leeds."""
    tags = Counter(tag for text in filled for word, tag in named_words(text) if word in ("leeds", "boston", "chicago"))
    assert min(tags["B-place"], tags["B-organization"]) > 0


def test_the_same_seed_gives_the_same_texts_and_folds_are_disjoint() -> None:
    first = list(generate_named_texts(60, seed=5))
    assert first == list(generate_named_texts(60, seed=5))
    assert first != list(generate_named_texts(60, seed=6))

    def numbers(**fold: str) -> set[int]:
        return {int(n) % 5 for x in generate_named_texts(300, 5, **fold) for n in x.template.split()[1:]}

    assert numbers(fold="2/5") == {2}
    assert numbers(without_fold="2/5") == {0, 1, 3, 4}
    with pytest.raises(ConfigError, match="use fewer folds"):
        list(generate_named_texts(1, 5, fold="499/500"))


def test_a_source_gives_sequences_by_document_and_selects_by_facts() -> None:
    read = read_source(TextSource(generate="names", count=300, seed=2))
    assert {tag[2:] for s in read for tag in s.tags if tag != "O"} == set(LABELS)
    assert not any(UNKNOWN in s.tags for s in read)
    assert len({s.document for s in read}) == 300
    assert all(s.as_is == any(sign in "".join(s.words) for sign in ("@", "#", "://")) for s in read)
    only = read_source(TextSource(generate="names", count=300, seed=2, where={"style": ("tweets", "news")}))
    assert 0 < len(only) < len(read)
    assert all(re.search(r": (tweets|news) ", s.document) for s in only)
