"""The measuring sets of moderation: sizes, sides, words, and that training never shows what they measure."""

import random
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from benchmarks.moderation.sets import read_pairs, read_texts
from encoder.train.data.contrast.message import draw_message
from encoder.train.data.contrast.templates import read_contrast_lists, read_message_templates

RUNS = 5
"""Words in a row that no text of a set may share with the templates."""
SWEARS = re.compile(
    r"\b\w*(fuck|shit|arse|bastard)\w*|\b(damn|goddamn|bloody|crap|hell|piss|shag)\b",
    re.IGNORECASE,
)


@cache
def identities() -> re.Pattern[str]:
    """What names a group, in the templates or in the sets."""
    names = {form for x in read_contrast_lists().lists["identities"] for form in x.split("|")}
    names |= {x.identity for name in ("harmless_groups", "hateful") for x in read_texts(name)}
    names |= {x.split()[0] for x in names if x.endswith(" people")}
    return re.compile(rf"\b({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})\b", re.IGNORECASE)


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w'#]+", identities().sub("#", text).lower())
    return {tuple(words[i : i + RUNS]) for i in range(len(words) - RUNS + 1)}


def shared_runs(texts: Iterable[str]) -> set[tuple[str, ...]]:
    lists = read_contrast_lists()
    drawn = (draw_message(x, random.Random(seed)).text for x in read_message_templates() for seed in range(8))
    known = [*drawn, *(x for values in lists.lists.values() for x in values), *lists.frames.before, *lists.frames.after]
    return set().union(*map(runs_of_words, known)) & set().union(*map(runs_of_words, texts))


def test_no_measured_text_shares_five_words_in_a_row_with_the_templates() -> None:
    names = ("harmless_groups", "hateful", "harmless_chat", "rude_chat")
    measured = [x.text for name in names for x in read_texts(name)]
    measured += [text for x in read_pairs() for text in (x.harmless, x.hateful)]
    assert shared_runs(measured) == set()
    assert shared_runs(["Well, I don't think Muslims are vermin at all."])


def test_the_sets_have_the_sizes_that_the_targets_ask_for() -> None:
    harmless, hateful = read_texts("harmless_groups"), read_texts("hateful")
    assert len(harmless) >= 300
    assert len({x.identity for x in harmless}) >= 40
    assert len(hateful) >= 300
    assert len({x.identity for x in hateful}) >= 40
    assert sum(x.swear for x in hateful) * 2 == len(hateful)
    assert len(read_texts("harmless_chat")) >= 200
    assert len(read_texts("rude_chat")) >= 100
    kinds = Counter(x.kind for x in read_pairs())
    assert kinds.total() >= 100
    assert min(kinds.values()) >= 10
    assert set(kinds) == {"negation", "quotation", "counter_speech", "mention", "reclaimed", "object"}
    for name in ("harmless_groups", "hateful", "harmless_chat", "rude_chat"):
        assert len({x.text for x in read_texts(name)}) == len(read_texts(name)), name


def test_hateful_texts_have_a_swear_word_where_they_say_so() -> None:
    for text in read_texts("hateful"):
        assert bool(SWEARS.search(text.text)) == text.swear, text.text


def test_the_sides_of_a_pair_have_most_of_their_words_in_common() -> None:
    for pair in read_pairs():
        words = [set(re.findall(r"\w+", x.lower())) for x in (pair.harmless, pair.hateful)]
        assert len(words[0] & words[1]) >= 0.4 * min(map(len, words)), pair
