"""What the endpoints of Perspective's API tell of a text: sentences, language, offsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.http.api.perspective_text import MAX_SENTENCES, Utf16, cut_sentences, detect_language

FOREIGN = {
    "de": "Wir haben gestern nicht mehr gewusst, was das ist",
    "fr": "Je ne sais pas pourquoi elle est dans cette maison",
    "es": "No me gusta esta casa porque es muy vieja",
    "pt": "Voc\u00ea n\u00e3o tem uma casa muito grande",
    "it": "Non lo so perch\u00e9 sei ancora nella casa",
    "nl": "Ik heb geen zin om met jullie naar huis te gaan",
    "ru": "\u043f\u0440\u0438\u0432\u0435\u0442",
    "ja": "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c",
    "zh": "\u4f60\u597d\u4e16\u754c",
    "cs": "V\u010dera jsme nev\u011bd\u011bli, co s t\u00edm m\u00e1me d\u011blat, a tak jsme \u0161li dom\u016f",
    "fi": "Emme tienneet eilen, mit\u00e4 meid\u00e4n pit\u00e4isi tehd\u00e4",
    "hu": "Tegnap nem tudtuk, mit kellene tenn\u00fcnk ezzel",
    "ro": "Nu am stiut ieri ce ar trebui sa facem cu asta",
    "tl": "Hindi namin alam kung ano ang gagawin kahapon",
    "id": "Kemarin kami tidak tahu apa yang harus dilakukan",
    "uk": "\u0421\u044c\u043e\u0433\u043e\u0434\u043d\u0456 \u0456 \u0432\u0447\u043e\u0440\u0430",
    "el": "\u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
}
ENGLISH = [
    "no no no",
    "la la la la la la",
    "yo taco amigos",
    "die in a war",
    "lol ur so bad m8",
    "Angela Merkel, Jos\u00e9 and Dos Santos met on the way to Los Angeles",
    "he said das ist gut and i was like ok whatever",
    "\U0001f600 42",
    "a",
    "gg wp noob team lmao rekt",
    "bruh moment fr fr no cap",
    "Pasta carbonara: pancetta, pecorino, guanciale",
    "thx 4 the ride m8 c u l8r",
    "omg so gooood yesss queen slay",
    "Borussia Dortmund v Bayern Munich kick off 8pm",
    "ur mom gay lol kys",
    "gimme gimme gimme moar cookies pls",
    "Zeitgeist, schadenfreude and kindergarten came from German",
]


@pytest.mark.parametrize(("language", "text"), FOREIGN.items())
def test_languages_are_told_apart(language: str, text: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize("text", ENGLISH, ids=ascii)
def test_english_is_never_refused_on_a_guess(text: str) -> None:
    assert detect_language(text) == "en"


@given(st.text(alphabet="a\u00e9\u4e2d\U0001f600\U00010348", max_size=12))
def test_offsets_count_as_utf16_does(text: str) -> None:
    units = Utf16(text)
    for offset in range(len(text) + 1):
        assert units.at(offset) == len(text[:offset].encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("one", ["one"]),
        ("One. Two!  Three?\nfour", ["One.", "Two!", "Three?", "four"]),
        ("Mr. Rice paid 3.50 at 5 p.m. on e.g. Monday. Then J. Doe left.", None),
        ('He said "stop." Then (he left.) ok', ['He said "stop."', "Then (he left.)", "ok"]),
        ("well... no", ["well...", "no"]),
        ("  \n . ", ["."]),
        ("\u3053\u308c\u3002\u305d\u308c\u3002", ["\u3053\u308c\u3002", "\u305d\u308c\u3002"]),
    ],
)
def test_sentences_end_at_marks_and_lines(text: str, sentences: list[str] | None) -> None:
    wanted = sentences or ["Mr. Rice paid 3.50 at 5 p.m. on e.g. Monday.", "Then J. Doe left."]
    assert [text[a:b] for a, b in cut_sentences(text)] == wanted


@given(st.text(alphabet="a .!\n\u3002J\U0001f600", max_size=400))
def test_sentences_are_in_order_and_leave_out_white_space_alone(text: str) -> None:
    sentences = cut_sentences(text)
    assert 1 <= len(sentences) <= MAX_SENTENCES
    if text.strip():
        ends = [0, *(x for pair in sentences for x in pair), len(text)]
        assert ends == sorted(ends)
        assert not any(text[a:b].strip() for a, b in zip(ends[::2], ends[1::2], strict=True))
    else:
        assert sentences == [(0, len(text))]
