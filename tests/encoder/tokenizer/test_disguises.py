"""Disguised rude words are read as the plain ones; everything else stays as it is."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encoder.tokenizer.characters import SKIPPED, replace_characters
from encoder.tokenizer.cleaning import clean_grown_text, clean_text
from encoder.tokenizer.disguises import is_surely_plain, last_cut, undo_disguises
from encoder.tokenizer.incremental import EMPTY
from encoder.tokenizer.rude_words import RUDE_WORDS
from encoder.train.data.contrast.disguise import KINDS, disguise
from tests.encoder.tokenizer.test_tokenizer import BYTES, TOKENIZER, both_kinds, equal, word_of
from tests.stream.revisions.test_whole_words import shown

VOCABULARY = Path(__file__).parents[3] / "encoder/checkpoints/english/tokenizer.json"
STEMS = [
    "stupid",
    "idiot",
    "moron",
    "shit",
    "fuck",
    "bitch",
    "asshole",
    "bastard",
    "dickhead",
    "faggot",
    "scumbag",
    "loser",
]
FRAMES = ["{}", "you are such a {} today", "well, {}! he said", "({}) and so on", "look at that {}, anna", "a {} {}"]


def frames(kind: str) -> list[str]:
    """Letters apart twice in a row are one row of letters."""
    return FRAMES if "between" not in kind and "spaces" not in kind else FRAMES[:-1]


@pytest.mark.parametrize("kind", KINDS)
@both_kinds
def test_a_disguised_word_is_read_as_the_plain_word(tokenizer, kind):
    hidden_words = 0
    for word in STEMS:
        hidden = disguise(kind, word)
        hidden_words += hidden != word
        for frame in frames(kind):
            text, plain = frame.replace("{}", hidden), frame.replace("{}", word)
            encoded, expected = tokenizer.encode(text), tokenizer.encode(plain)
            assert encoded.ids.tolist() == expected.ids.tolist(), text
            assert encoded.words == expected.words, text
            at = next(w for w in range(expected.words) if word_of(expected, w) == word)
            assert word_of(encoded, at) == hidden, "the word reaches from its first to its last character"
    assert hidden_words > len(STEMS) / 2


@pytest.mark.parametrize("kind", KINDS)
@both_kinds
def test_a_disguise_that_grows_is_read_as_it_is_read_whole(tokenizer, kind):
    text = f"we met {disguise(kind, 'stupid')} in paris, a {disguise(kind, 'bitch')}"
    for pieces in (list(text), text.replace(" ", " \n").split("\n")):
        state, grown = EMPTY, ""
        for piece in pieces:
            grown += piece
            state, _, _ = tokenizer.update(state, grown)
            assert equal(state, tokenizer.encode(grown))
        assert state.ids.tolist() == tokenizer.encode("we met stupid in paris, a bitch").ids.tolist()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("dumb @ss", "dumb ass"),
        ("a$$ and a55hole", "ass and asshole"),
        ("f*** you", "fuck you"),
        ("F***!", "FUCK!"),
        ("what the f***, man", "what the fuck, man"),
        ("sh** and c**t", "shit and cunt"),
        ("motherf***ers", "motherfuckers"),
        ("f****k", "fuck"),
        ("STUP1D", "STUPID"),
        ("S T U P 1 D!", "STUPID!"),
        ("f u c k y o u", "fuck you"),
        ("u s t u p i d", "u stupid"),
        ("s t u p i d  i d i o t", "stupid  idiot"),
        ("such a s.t.u.p.i.d. man", "such a stupid. man"),
        ("you,stup1d", "you,stupid"),
        ("1diot.m0ron", "idiot.moron"),
        ("**1diot**", "**idiot**"),
        ("st*pid's", "stupid's"),
        ("\u1515T\u144c\u146dI\u15ea", "STUPID"),
        ("i, d, i, o, t", "idiot"),
        ("1 d 1 0 t", "idiot"),
        ("(f)(u)(c)(k)", "(fuck)"),
        ("b!tch@ss", "bitchass"),
        ("f u c k  t h i s", "fuck  this"),
        ("s#it sh%t f$ck f?ck f&ck", "shit shit fuck fuck fuck"),
        ("\u015fh\u0131t", "shit"),
        ("f\U0001f595ck", "fuck"),
        ("b*t*h and i*d*i*o*t, f0ck", "bitch and idiot, fuck"),
        ("s\nt\nu\np\ni\nd", "stupid"),
    ],
)
def test_what_disguises_are_in_detail(text, plain):
    cleaned = clean_text(text)
    assert cleaned.replace(SKIPPED, "").lower() == plain.lower()
    assert len(cleaned) == len(text)


HARMLESS = """
    Shi-Ting Chen|Shi-Tty|n a z i r|n a z i a|D.I.C.K.|Titz|en retard, garçon|¡qué lástima, señor!
    das ist dick und fett|çok iyi, teşekkürler|сос сука|перевод 100|он стоит 155 руб|Ζεύς|漢字とかな f
    definately recieve|teh wierd freind|thier adress
    v1.0|h2o|4chan|b2b|b4|gr8|$5.99|50%|C++|c#|U.S.|U.S.A.|m i l l e r|a b c|x y z|he'll|we'll be|she'll|room5
    level5 kills|A55 to Conwy|d i c k s o n|c o c k b u r n|looser|rapper|rapping|assess|Shiite|x**2|f**2|a*b*c
    2 * 3|AB12CDE|W1A 1AA|f47ac10b-58cc-4372-a567-0e02b2c3d479|b00b-1234-aaaa-bbbb-cccc|sh1t@example.com
    http://sh1t.com/a|www.d1ck.org|goooal soooo good|nooooo|dumb-ass|kill.er|the us|don't|co-op|C*** S****
    J*** S****|pen.is|kill5|idiot5|F.A.G.|as-is|stop.it|1st 2nd 3rd 4th|P155|hel1o|w-hole|4 a s s|e.g. i.e. p.m.
    g l a s s|f i s h|Scunthorpe|cl4ss|t-shirt|k-pop|mp3 ps5|my name is d i c k|surname spelled h o o k e r|D-I-C-K
    D I C K|plate f a g 7 2|shit*|idiot*|bitch\u270c\ufe0f|7&amp;#x25|T_V_s|100*2=200|#1|@anna|$hare|!important
    ~home|snake_case_name|kebab-case-name|C:\\tools|/usr/bin|192.168.0.1|12:30|+44 20|O'Neil-Smith|AT&T|naïve café
    garçon|Müller|señor|dick|kiss|hass|hassle|class|pass|grass|Essex|analysis|cocktail|title|¿qué?|stuh-pid
    ich bin dick|slut på filmen|i18n|l10n|k8s|a11y|S&P 500|R2-D2|C-3PO|B-52s|F-16|7-11|9/11|24/7|I/O|w/o|n/a|A*
    a* search|5* hotel|rated 4***|he said ***|---|...|!!!|???|????!|:-)|<3|:D|XD|(:|¯\\_(ツ)_/¯|hmmm|mmm|www|aaa|zzz
    III|XXX|p*a*r*i*s|t*o*l*d|t*r*u*e|c*o*n|n*o*s|p*r*o|C*O*N|c0unt|c0unty|sl0t|s0cks|rapperrrr|raaapper|rrrappers
"""


@pytest.mark.parametrize("text", [x.strip() for line in HARMLESS.split("\n") for x in line.split("|") if x.strip()])
def test_what_looks_like_a_disguise_and_is_none_stays(text):
    for frame in ("{}", "we met {} today", "({}), he said"):
        text_with = frame.format(text)
        assert undo_disguises(text_with) is text_with


def words_of_the_vocabulary() -> list[str]:
    vocabulary = json.loads(VOCABULARY.read_text("utf-8"))["model"]["vocab"]
    return [x for x in vocabulary if x.isalpha() and x.isascii()]


PLAIN = words_of_the_vocabulary()


def test_plain_words_stay():
    assert len(PLAIN) > 20_000
    changed = [
        x for word in (*PLAIN, *RUDE_WORDS) for x in (word, word.title(), word.upper()) if clean_text(x) is not x
    ]
    assert changed == []


@pytest.mark.parametrize(("sign", "part"), [(" ", 1), (".", 9), ("-", 10), (". ", 11), (", ", 12)])
def test_plain_words_that_are_spelled_stay(sign, part):
    some = ["therapist", "rapper", "assess", "assessing", *PLAIN[::part]]
    spelled = [sign.join(word) for word in some if len(word) > 2 and word not in RUDE_WORDS]
    assert len(spelled) > 1_500
    assert [x for x in spelled if clean_text(x) is not x] == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PLAIN).filter(lambda x: len(x) > 2 or x in ("a", "i", "to", "of", "in", "is", "it", "us")),
            st.sampled_from(
                [" ", " ", " ", ", ", ". ", "! ", "? ", " - ", ": ", "; ", "'s ", "\n", " (", ") ", ' "', '" ', "... "]
            ),
        ),
        max_size=30,
    ),
    st.sampled_from([str, str.title, str.upper]),
)
def test_plain_sentences_stay(words, case):
    text = case("".join(word + sign for word, sign in words))
    assert undo_disguises(text) is text


PIECES = st.sampled_from(
    [
        *"stupidfckao 1!@$*-._",
        "  ",
        "st",
        "id",
        "f u c k",
        "s t u p i d",
        "d*ck",
        "f***",
        "idi",
        "ooot",
        " the ",
        " name ",
        "\U0001f600",
        "\0",
    ]
)
LINES = st.lists(PIECES, max_size=16).map("".join)


@given(LINES, LINES, LINES)
@example("name is d i c ", "k", "x")
@example("the s t u p i ", "d", "d d")
@example("abc ", "", "f u c k")
@example("we met", "", " s t u p i d")
@example("we f", "", " u c k")
@example("we stup", "1d", " 1d")
def test_a_text_that_grew_is_cleaned_as_a_whole_text_is(common, old, new):
    before, after = common + old, common + new
    cut = last_cut(after, len(common))
    assert 0 <= cut <= len(common)
    cleaned = undo_disguises(before)
    grown = clean_grown_text(after, cleaned, len(common), cleaned is before)
    assert grown == undo_disguises(after)
    assert grown is after or grown != after


@given(LINES)
def test_a_text_that_is_surely_plain_is_plain(text):
    assert undo_disguises(text) is text or not is_surely_plain(text)


@given(LINES)
def test_what_is_undone_once_is_plain(text):
    cleaned = undo_disguises(text)
    assert len(cleaned) == len(text)
    assert [b for a, b in zip(text, cleaned, strict=True) if a != b and not (b == SKIPPED or b.isalpha())] == []


def test_an_ordinary_append_is_cleaned_from_the_last_word_on():
    text = "we met anna in paris and " * 400
    assert last_cut(text + "went", len(text)) == len(text)
    assert last_cut(text + "i a b", len(text) + 4) == len(text), "single letters may belong together"
    assert last_cut("a b c d", 6) == 0


@pytest.mark.parametrize("length", [200, 2_000, 60_000])
def test_long_texts_of_signs_are_read(length):
    """No bound of time here; a reading that were not linear would not end."""
    for piece in ("f*", "s ", "s.", "1", "!", "f***** ", "st-", "s\u0336", "\U0001f600 ", "a,", "idi0t,", "s-h", "''"):
        text = (piece * length)[:length]
        assert len(clean_text(text)) == length


@pytest.mark.parametrize(
    ("text", "mark", "whole"),
    [
        ("you s t u p i d man", "s t u p i d", "s t u p i d"),
        ("you s.t.u.p.i.d. man", "t.u", "s.t.u.p.i.d"),
        ("an i-d-i-o-t!", "i-d-i-o-t", "i-d-i-o-t"),
        ("so stuuupiddd.", "stuuupiddd", "stuuupiddd"),
        ("oh f***!", "f***", "f***"),
        ("dumb @ss", "@ss", "@ss"),
        ("you a55hole!", "a55hole", "a55hole"),
        ("an i\U0001f600d\U0001f600i\U0001f600o\U0001f600t.", "d", "i\U0001f600d\U0001f600i\U0001f600o\U0001f600t"),
        ("s\u0336t\u0336u\u0336p\u0336i\u0336d\u0336.", "t", "s\u0336t\u0336u\u0336p\u0336i\u0336d\u0336"),
        ("(\U0001f1eb\U0001f1fa\U0001f1e8\U0001f1f0)", "\U0001f1eb", "\U0001f1eb\U0001f1fa\U0001f1e8\U0001f1f0"),
    ],
)
@both_kinds
def test_a_span_covers_a_disguised_word_as_it_is_written(tokenizer, text, mark, whole):
    assert shown(text, [(mark, "toxic")], tokenizer) == [(whole, "toxic")]


def test_characters_are_replaced_before_disguises_are_undone():
    assert replace_characters("\uff53\uff54up1d") == "stup1d"
    assert clean_text("\uff53\uff54up1d") == "stupid"
    assert {TOKENIZER.encode("ｆ*ck").cleaned, BYTES.encode("ｆ*ck").replaced} == {"fuck", "f*ck"}
