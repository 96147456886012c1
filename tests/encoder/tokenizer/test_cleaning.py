import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.tokenizer.cleaning import SKIPPED, clean_text, spread_text
from tests.encoder.tokenizer.test_tokenizer import BYTES, TEXTS, TOKENIZER, both_kinds, word_of

INVISIBLE = "\x00\x01\x07\x08\x1b\x7f\x80\x92\x9f\xad\u034f\u061c\u115f\u180e\u200b\u200d\u202e\u2060\u2066"
INVISIBLE += "\u3164\ufe0f\ufeff\ufff9\ufffd\ufffe\uffff\ufdd0\ud83d\udc00\U0001fffe\U000e0001\U000e0067\U000e0101"


@given(st.one_of(TEXTS, st.text(st.characters())))
def test_a_cleaned_text_has_the_length_of_the_text_and_nothing_more_to_clean(text):
    cleaned = clean_text(text)
    assert len(cleaned) == len(text)
    assert clean_text(cleaned) == cleaned
    assert not [x for x in cleaned if unicodedata.category(x) == "Cc" and x not in (SKIPPED, "\n", "\r", "\t")]
    spread = spread_text(cleaned)
    if spread is not None:
        shown, places = spread
        assert len(shown) == len(places)
        assert places == sorted(places)
        assert SKIPPED not in shown
        assert all(0 <= place < len(text) for place in places)


@pytest.mark.parametrize("plain", ["stupid", "we met ms rice", "it's"])
def test_a_plain_text_is_not_copied(plain):
    assert clean_text(plain) is plain
    assert spread_text(plain) is None


@both_kinds
@pytest.mark.parametrize("sign", INVISIBLE, ids=ascii)
def test_what_is_not_seen_does_not_divide_a_word(tokenizer, sign):
    plain = tokenizer.encode("we rice in")
    inside, beside = tokenizer.encode(f"we ri{sign}ce in"), tokenizer.encode(f"we {sign}rice{sign} in")
    assert inside.ids.tolist() == beside.ids.tolist() == plain.ids.tolist()
    assert word_of(inside, 1) == f"ri{sign}ce"
    assert word_of(beside, 1) == "rice"


@both_kinds
@pytest.mark.parametrize("sign", "\x0b\x0c\x1c\x1f\x85\u2028\u2029\r\u2800\ufffc", ids=ascii)
def test_what_divides_a_text_divides_words(tokenizer, sign):
    encoded = tokenizer.encode(f"rice{sign}in")
    assert [word_of(encoded, w) for w in range(encoded.words)] == ["rice", "in"]


@both_kinds
@pytest.mark.parametrize(
    "disguised",
    [
        "ｐａｒｉｓ",
        "раris",  # the first two are Cyrillic
        "pαris",
        "𝓹𝓪𝓻𝓲𝓼",
        "ⓟⓐⓡⓘⓢ",
        "ᴘᴀʀɪꜱ",
        "\x1b[1;31mparis\x1b[0m",
        "\x1b[mpar\x9b4mis\x1b[K",
    ],
)
def test_a_disguised_word_is_the_word(tokenizer, disguised):
    encoded = tokenizer.encode(f"in {disguised} today")
    assert encoded.ids.tolist() == tokenizer.encode("in paris today").ids.tolist()
    assert encoded.word_end[1] - encoded.word_start[1] >= len("paris")


def test_capitals_stay_capitals():
    assert clean_text("🄿🄰🅁🄸🅂 🅿🅐 ＰＲ") == "PARIS PA PR"


@pytest.mark.parametrize("words", ["привет как дела", "он сказал: stupid", "Σωκράτης", "μs and Δt", "он", "naïve café"])
def test_other_scripts_stay_as_they_are(words):
    assert clean_text(words) == words


def test_a_word_of_perfect_look_alikes_is_latin_in_a_latin_text_only():
    assert clean_text("you аѕѕ") == "you ass"
    assert clean_text("ваш аѕѕ") == "ваш аѕѕ"
    assert clean_text("аѕѕ") == "аѕѕ"


@both_kinds
@pytest.mark.parametrize("emoji", ["😀", "👩\u200d💻", "❤\ufe0f", "™", "🇩🇪"])
def test_an_emoji_is_no_part_of_the_word_before_it(tokenizer, emoji):
    encoded = tokenizer.encode(f"rice{emoji} in")
    assert word_of(encoded, 0) == "rice"
    assert encoded.ids[0] == tokenizer.encode("rice").ids[0]
    assert [word_of(encoded, w) for w in range(encoded.words)][-1] == "in"


def test_ligatures_are_letters():
    assert TOKENIZER.encode("o\ufb03ce").ids.tolist() == TOKENIZER.encode("office").ids.tolist()
    assert BYTES.encode("\ufb01ne").ids.tolist() == BYTES.encode("fine").ids.tolist()
    assert word_of(TOKENIZER.encode("a o\ufb03ce"), 1) == "o\ufb03ce"
