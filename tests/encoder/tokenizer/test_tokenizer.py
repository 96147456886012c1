import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from encoder.tokenizer import incremental
from encoder.tokenizer.base import Tokens
from encoder.tokenizer.cleaning import clean_text, spread_text
from encoder.tokenizer.incremental import EMPTY, Encoded, IncrementalTokenizer, TokenizerError
from encoder.tokenizer.run_cache import RunCache
from tests.tiny import WORDS, tiny_byte_tokenizer, tiny_tokenizer

TOKENIZER = IncrementalTokenizer(tiny_tokenizer())
WHOLE = tiny_tokenizer()
WHOLE.encode_special_tokens = True
BYTES = IncrementalTokenizer(tiny_byte_tokenizer())
WHOLE_BYTES = tiny_byte_tokenizer()
WHOLE_BYTES.encode_special_tokens = True
both_kinds = pytest.mark.parametrize("tokenizer", [TOKENIZER, BYTES], ids=["wordpiece", "bytes"])
FIELDS = ("ids", "word_start", "word_end", "word_token")

SPACES_AND_MARKS = " \t\n\u00a0\u2003\u3000\u0301\u0338\u200d\u200b\ufe0f\ufffd\x00\x01\x85\x1c\u1b44\u302e"
LETTERS = "abc.,=<'-中文가İßé≠≮\u1112\u1161\u11ab\ufb01\U0001f469\U0001f4bb\U0001f3fd\U00020000"
DISGUISES = [*"стшοａＢ𝓬Ⓐᴀ", "аѕѕ", "\x1b[31", "\x1b", "[", "0m", "\x07", "\x0c", "\u202e", "\U000e0061"]
DISGUISES += [
    "s t u p i d",
    " s",
    " t",
    "f*",
    "**",
    "1d",
    "10t",
    "@s",
    "$",
    "i-d-i",
    "-ot",
    "ooo",
    "f u c k",
    "\u0336",
    "😀",
]
MARKUP = ["[CLS]", "[SEP]", "##a", "<s>", "<mask>", "'s", " 'll"]
SIGNS = st.sampled_from([*SPACES_AND_MARKS, *LETTERS, *DISGUISES, *MARKUP])
PIECES = st.one_of(SIGNS, st.sampled_from([w + " " for w in WORDS]), st.characters(exclude_categories=["Cs"]))
TEXTS = st.lists(PIECES, max_size=14).map("".join)


def model_text(cleaned: str) -> str:
    spread = spread_text(cleaned)
    return cleaned if spread is None else spread[0]


def shown_word_of(encoded, index):
    """What the model sees of a word."""
    return model_text(encoded.cleaned[encoded.word_start[index] : encoded.word_end[index]])


def word_of(encoded, index):
    return encoded.text[encoded.word_start[index] : encoded.word_end[index]]


@st.composite
def text_pairs(draw: st.DrawFn) -> tuple[str, str]:
    kept, dropped, added = draw(TEXTS), draw(TEXTS), draw(TEXTS)
    return kept + dropped, kept + added


def equal(a: Encoded, b: Encoded) -> bool:
    same_text = (a.text, a.cleaned) == (b.text, b.cleaned)
    return same_text and all(np.array_equal(getattr(a, f), getattr(b, f)) for f in FIELDS)


@given(TEXTS)
@example("e\u0301 x\u0301\u0302y =\u0338a")
@example("\u2260\u1b44")
@example("[CLS] a[SEP]")
@example("x" * 120 + " a")
def test_encode_equals_the_plain_tokenizer_and_offsets_are_places_in_the_text(text):
    encoded = TOKENIZER.encode(text)
    plain = WHOLE.encode(model_text(clean_text(text)), add_special_tokens=False)
    assert encoded.ids.tolist() == plain.ids
    assert {getattr(encoded, f).dtype for f in FIELDS} == {np.dtype(np.int32)}
    assert encoded.word_token[0] == 0
    assert encoded.word_token[-1] == len(plain.ids)
    assert (np.diff(encoded.word_token) > 0).all()
    assert (encoded.word_start < encoded.word_end).all()
    assert (encoded.word_end[:-1] <= encoded.word_start[1:]).all()
    assert (encoded.word_end <= len(text)).all()
    for w in range(encoded.words):  # a word's own characters give the word's own pieces
        if unicodedata.category(shown_word_of(encoded, w).strip()[0])[0] == "M":
            continue  # marks without a letter are put into canonical order first
        alone = WHOLE.encode(shown_word_of(encoded, w), add_special_tokens=False)
        assert alone.ids == encoded.ids[encoded.word_token[w] : encoded.word_token[w + 1]].tolist()


@given(TEXTS)
@example("  it's  ")
@example("<s>a <mask> e\u0301")
@example("a\x85b \x1c \u180e \u200b")
def test_byte_pairs_are_the_plain_tokenizers_of_runs_one_space_apart(text):
    encoded = BYTES.encode(text)
    runs = model_text(clean_text(text)).split()
    plain = WHOLE_BYTES.encode(" ".join(runs), add_special_tokens=False)
    assert encoded.ids.tolist() == (plain.ids if runs else [])
    assert {getattr(encoded, f).dtype for f in FIELDS} == {np.dtype(np.int32)}
    assert encoded.word_token[0] == 0
    assert (np.diff(encoded.word_token) > 0).all()
    assert (encoded.word_end[:-1] <= encoded.word_start[1:]).all()
    spell = decoders.ByteLevel()
    for w in range(encoded.words):  # a word is what its own pieces spell; no word is white space
        pieces = [WHOLE_BYTES.id_to_token(i) for i in encoded.ids[encoded.word_token[w] : encoded.word_token[w + 1]]]
        shown = shown_word_of(encoded, w).strip()
        spelled = spell.decode(pieces).removeprefix(" ")
        assert spelled == shown or (word_of(encoded, w) in "\ufb00\ufb01" and spelled in shown)
    assert "".join(shown_word_of(encoded, w).strip() for w in range(encoded.words)) == "".join(runs)
    assert np.count_nonzero(BYTES.starts_word()[encoded.ids]) == len(runs)


@both_kinds
@given(text_pairs())
@example(("a", "ab"))
@example(("cafe", "cafe\u0301"))
@example(("a b", "a  b"))
@example(("Rice", "rice in"))
@example(("  we", " \x1fwe"))
@example(("=", "=\u0338"))
@example(("a\u0301", "a\u0302"))
@example(("аѕѕ ", "аѕѕ we "))
@example(("аѕѕ\u00af ", "аѕѕ\u00af we "))
@example(("x\x1b[3 we", "x\x1b[3 we\x07"))
@example(("we\x07", "we\x08"))
def test_update_equals_encode_from_scratch(tokenizer, pair):
    old, new = pair
    before, scratch = tokenizer.encode(old), tokenizer.encode(new)
    after, word, token = tokenizer.update(before, new)
    assert equal(after, scratch)

    def facts(e: Encoded) -> list[tuple[object, ...]]:
        bounds = zip(e.word_token[:-1], e.word_token[1:], strict=True)
        pieces = [tuple(e.ids[a:b].tolist()) for a, b in bounds]
        words = [(word_of(e, w), shown_word_of(e, w)) for w in range(e.words)]
        return [*zip(e.word_start.tolist(), e.word_end.tolist(), words, pieces, strict=True)]

    a, b = facts(before), facts(after)
    assert a[:word] == b[:word]
    assert word == min(len(a), len(b)) or a[word] != b[word]
    x, y = before.ids.tolist(), after.ids.tolist()
    assert x[:token] == y[:token]
    assert token == min(len(x), len(y)) or x[token] != y[token]


@both_kinds
@given(text_pairs(), st.integers(1, 6))
@example(("a b\n", "a b c d e f"), 1)
@example(("a  b c d", "a b c d"), 1)
@example(("=", "=\u0338 a b"), 1)
@example(("a b c", "a b c"), 1)
@example(("\u1b44", " 'll"), 1)
def test_an_update_in_slices_equals_one_update(tokenizer, pair, size):
    old, new = pair
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "_SLICE", size)
        before = tokenizer.encode(old)
        slices = 1
        steps = tokenizer.update_in_slices(before, new)
        while True:
            try:
                next(steps)
                slices += 1
            except StopIteration as end:
                after, word, token = end.value
                break
    whole, *changes = tokenizer.update(tokenizer.encode(old), new)
    assert equal(after, whole)
    assert [word, token] == changes
    assert slices <= 1 + len(new) / size


@both_kinds
def test_a_long_text_is_split_in_many_slices(tokenizer):
    text = "we met anna, " * 5000
    steps = tokenizer.update_in_slices(EMPTY, text)
    assert sum(1 for _ in steps) == len(text) // incremental._SLICE


@both_kinds
@given(st.lists(text_pairs(), max_size=4))
def test_a_chain_of_updates_never_drifts(tokenizer, pairs):
    state = EMPTY
    for old, new in pairs:
        for text in (old, new):
            state, _, _ = tokenizer.update(state, text)
            assert equal(state, tokenizer.encode(text))


@both_kinds
@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([" paris", " rice,", "x", "e\u0301 ", ""])), max_size=20))
def test_what_was_encoded_stays_as_it_is_whatever_goes_on_from_it(tokenizer, changes):
    known = [tokenizer.encode("we met ms")]
    for which, more in changes:
        before = known[which % len(known)]
        known.append(tokenizer.update(before, before.text + more if more else before.text[: which // 2])[0])
    assert all(equal(x, tokenizer.encode(x.text)) for x in known)


RUNS = st.sampled_from(
    ["paris", "rice,", "s", "t", "u", "p", "i", "d", "st", "upid", "@ss", "a.", "f***", "in", "\u0301x"]
)


@both_kinds
@given(st.lists(RUNS, max_size=12), st.sampled_from([" ", "  ", "\n"]))
@example(["s", "t", "u", "p", "i", "d", "paris"], " ")
@example(["paris", "f", "u", "c", "k", "in"], " ")
@example(["\u0301x", "in"], " ")
def test_a_text_that_gets_run_after_run_is_as_from_scratch(tokenizer, runs, space):
    state = EMPTY
    for end in range(1, len(runs) + 1):
        text = space.join(runs[:end])
        before, (state, word, token) = state, tokenizer.update(state, text)
        assert equal(state, tokenizer.encode(text))
        assert word <= before.words
        assert np.array_equal(state.ids[:token], before.ids[:token])
        if state.continues(before):
            assert (word, token) == (before.words, len(before.ids))


def test_an_appended_run_is_looked_up_only_if_no_text_before_it_can_matter():
    runs = RunCache(TOKENIZER._model)
    assert runs.split_appended(" paris") == runs.split(" paris")
    assert all(
        runs.split_appended(x) is None for x in ["paris", " s", " @ss", " in paris", " ", "", " \u00e9", " " + "x" * 41]
    )


@both_kinds
@given(st.lists(TEXTS, max_size=4).map(" ".join), st.integers(0, 3))
@example("=\u0338 \u0301a,\u0301b \u4e2d\u0301\u0302x\ufb01", 1)
def test_runs_cut_alone_and_remembered_are_runs_cut_together(tokenizer, text, most):
    kind = tokenizer._model
    runs = RunCache(kind, most)
    for _ in range(2):
        assert runs.split(text) == (kind.split(text) if text else Tokens([], [0], [], []))
        assert len(runs._known) <= max(most, 1)


@pytest.mark.parametrize("whole", [WHOLE, WHOLE_BYTES], ids=["wordpiece", "bytes"])
def test_an_append_tokenises_only_the_unfinished_word(whole, monkeypatch):
    seen: list[str] = []

    class Spy:
        def encode(self, text: str, add_special_tokens: bool) -> object:
            seen.append(text)
            return whole.encode(text, add_special_tokens=add_special_tokens)

    tokenizer = IncrementalTokenizer(whole)
    before = tokenizer.encode("we met ms rice in par")
    monkeypatch.setattr(tokenizer._model, "tokenizer", Spy())
    after, word, _ = tokenizer.update(before, "we met ms rice in paris today")
    assert seen == ["paris", "today"]
    assert word == 5
    assert [word_of(after, w) for w in range(after.words)] == ["we", "met", "ms", "rice", "in", "paris", "today"]
    tokenizer.update(before, "we met ms rice in rice paris today")
    assert seen == ["paris", "today"], "what was cut once is known"


def test_what_becomes_of_odd_words():
    unknown = WHOLE.token_to_id("[UNK]")
    assert TOKENIZER.encode("\u200b \u0301 \u200d").words == 0
    assert TOKENIZER.encode("\U0001f600 " + "x" * 101).ids.tolist() == [unknown, unknown]
    encoded = TOKENIZER.encode("cafe\u0301, a\u200bb")
    assert [word_of(encoded, w) for w in range(encoded.words)] == ["cafe\u0301", ",", "a\u200bb"]
    marks = TOKENIZER.encode("[CLS]")
    assert [word_of(marks, w) for w in range(marks.words)] == ["[", "CLS", "]"]
    assert not set(marks.ids.tolist()) & {WHOLE.token_to_id(x) for x in ("[CLS]", "[SEP]", "[UNK]")}


def test_pieces_that_start_a_word():
    table = TOKENIZER.starts_word()
    assert table[WHOLE.token_to_id("paris")]
    assert not table[WHOLE.token_to_id("##a")]


def test_a_tokenizer_of_another_kind_is_refused():
    with pytest.raises(TokenizerError, match="WordPiece"):
        IncrementalTokenizer(Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")))
    few = Tokenizer(models.BPE({"a": 0}, []))
    few.pre_tokenizer = pre_tokenizers.ByteLevel()
    with pytest.raises(TokenizerError, match="256 bytes"):
        IncrementalTokenizer(few)
    few.pre_tokenizer = pre_tokenizers.ByteLevel(use_regex=False)
    with pytest.raises(TokenizerError, match="use_regex"):
        IncrementalTokenizer(few)
    added = tiny_tokenizer()
    added.add_tokens(["new york"])
    with pytest.raises(TokenizerError, match="new york"):
        IncrementalTokenizer(added)


def test_english_contractions_are_words_of_byte_pairs():
    encoded = BYTES.encode("It's  (we)")
    assert [word_of(encoded, w) for w in range(encoded.words)] == ["It", "'s", "(", "we", ")"]
