"""Generated dialogue with personal data: spans, forms, check digits, folds, negatives, and sources that ask for it."""

import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.files import FileRefused
from encoder.model.config import ConfigError
from encoder.train.config import AugmentConfig, TextSource, read_train_config
from encoder.train.data.augment import speak
from encoder.train.data.numbers import ONES, TENS
from encoder.train.data.pii.addresses import AddressData
from encoder.train.data.pii.dialogue import FORMS, RECORDS, Dialogue, PersonalSpan, draw_dialogue
from encoder.train.data.pii.generate import generate_dialogues
from encoder.train.data.pii.locales import LISTS
from encoder.train.data.pii.personal import PERSONAL_SLOTS, PersonalData
from encoder.train.data.pii.persons import Person, draw_person, faker_of
from encoder.train.data.pii.speech import NATO, Speech
from encoder.train.data.pii.templates import DialogueTemplate, TemplateTurn, read_templates
from encoder.train.data.pii.value import LABELS, fold_accents, make_code
from encoder.train.data.sequence import TextSequence, hash_text, keep_template
from encoder.train.data.text import read_source

SEEDS = st.integers(0, 2**32)
LOCALES = st.sampled_from([*LISTS.locales])
NOBODY = Person("Ann", "Lee", "")
SIGN_WORDS = {"plus", "dash", "space", "slash"}
NUMBERS = {"phone", "card", "account", "national_id", "passport", "license_plate", "medical_record", "postcode", "iban"}


@pytest.fixture(scope="module")
def dialogues() -> list[Dialogue]:
    return list(generate_dialogues(2500, seed=3))


def spans_of(dialogues: list[Dialogue]) -> list[tuple[Dialogue, str, PersonalSpan]]:
    return [
        (dialogue, turn.text[span.start : span.end], span)
        for dialogue in dialogues
        for turn in dialogue.turns
        for span in turn.spans
    ]


def plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def read_spoken(text: str) -> str:
    """Read a number that is said without hundreds back into its letters and digits."""
    text = re.sub(r"\b([a-z]) (as in|for|like) \w+", r"\1", text)
    read, times = "", 1
    tens = ""
    for word in text.split():
        if word in ("double", "triple"):
            times = 2 if word == "double" else 3
            continue
        if word in ("oh", "nought"):
            found = "0"
        elif word in ONES:
            found = str(ONES.index(word))
        elif word in TENS:
            found = str(TENS.index(word) * 10)
        elif word in NATO:
            found = word[0]
        else:
            found = "" if word in SIGN_WORDS else word
        if tens and len(found) == 1 and found in "123456789":
            read = read[:-1]
        tens = found if word in TENS else ""
        read += found * times
        times = 1
    return read


def test_typed_spans_are_their_values(dialogues: list[Dialogue]) -> None:
    typed = [x for x in spans_of(dialogues) if x[0].form == "written"]
    assert len(typed) > 500
    assert all(text.casefold() == span.value.casefold() for _, text, span in typed)


def test_spoken_numbers_read_back_as_their_values(dialogues: list[Dialogue]) -> None:
    """Of all that nothing disturbed; where some are said in pairs without zeros ("twenty five" may be 20 and 5)."""
    disturbed = {"correction", "hesitation", "misheard", "two turns", "hundreds", "typed"}
    checked = 0
    for dialogue, text, span in spans_of(dialogues):
        if dialogue.form not in ("words", "digits") or dialogue.styles & disturbed or span.label not in NUMBERS:
            continue
        said, meant = read_spoken(text), plain(span.value)
        if "pairs" in dialogue.styles:
            said, meant = said.replace("0", ""), meant.replace("0", "")
        assert said == meant, (text, span)
        checked += 1
    assert checked > 200


def test_halves_of_a_value_that_is_split_make_the_whole(dialogues: list[Dialogue]) -> None:
    others = {"correction", "hesitation", "misheard", "hundreds", "pairs", "echo"}
    split = [x for x in dialogues if x.form == "words" and "two turns" in x.styles and not x.styles & others]
    checked = 0
    for dialogue in split:
        for (_, one, first), (_, two, second) in pairwise(spans_of([dialogue])):
            whole, half = plain(first.value), read_spoken(one)
            if first.label in NUMBERS and first[2:] == second[2:] and half != whole and whole.startswith(half):
                assert read_spoken(f"{one} {two}") == whole
                checked += 1
    assert checked > 10


def test_every_label_occurs_in_every_locale_and_form(dialogues: list[Dialogue]) -> None:
    seen = Counter((span.label, dialogue.locale) for dialogue, _, span in spans_of(dialogues))
    assert set(seen) == {(label, locale) for label in LABELS for locale in LISTS.locales}
    by_form = {(span.label, dialogue.form) for dialogue, _, span in spans_of(dialogues)}
    assert by_form == {(label, form) for label in LABELS for form in FORMS}


def test_every_way_of_speaking_occurs(dialogues: list[Dialogue]) -> None:
    styles = Counter(style for dialogue in dialogues for style in dialogue.styles)
    wanted = """
        digits, pairs, hundreds, double, triple, oh, zero, nought, letters, nato, letter as in, letter for, plus, at,
        dot, underscore, dash, hyphen, slash, hesitation, correction, misheard, two turns, echo, disfluency, typed,
        date 0, date 1, date 2, date 3, date 4, date 5, date 6, date 7, letters together, digits groups, digits one,
        digits single, digits pairs
    """
    assert {x.strip(): styles[x.strip()] for x in wanted.split(",") if styles[x.strip()] < 3} == {}


def test_spoken_text_has_no_capital_and_no_punctuation(dialogues: list[Dialogue]) -> None:
    for dialogue in dialogues:
        for turn in dialogue.turns:
            if dialogue.form == "words":
                assert re.fullmatch(r"[a-z' ]+", turn.text), turn
            elif dialogue.form == "digits" and "typed" not in dialogue.styles:
                assert re.fullmatch(r"[a-z0-9' ]+", turn.text), turn
            assert not re.search(r"\S  ", turn.text)  # lines of an address may be indented
            assert turn.text == turn.text.strip()


def test_forms_have_their_shares(dialogues: list[Dialogue]) -> None:
    spoken = [x for x in dialogues if not x.domain.endswith(RECORDS)]
    forms = Counter(x.form for x in spoken)
    assert all(abs(forms[form] / len(spoken) - share) < 0.04 for form, share in FORMS.items())


def test_templates_are_many_and_negatives_carry_no_span(dialogues: list[Dialogue]) -> None:
    templates = read_templates()
    assert sum(x.personal for x in templates) >= 150
    assert sum(not x.personal for x in templates) >= 60
    assert len({x.domain for x in templates if x.personal}) >= 12
    assert {slot for x in templates for slot in x.slots} >= PERSONAL_SLOTS
    assert len({x.turns for x in templates}) == len(templates)
    assert all(1 <= len(x.turns) <= 6 for x in templates)
    hard = [x for x in dialogues if x.domain.startswith("hard_")]
    assert 0.32 < len(hard) / len(dialogues) < 0.38
    assert max(len(x.template.split(", ")) for x in hard) > 2  # long stretches
    assert not any(turn.spans for x in hard for turn in x.turns)
    spanless = {name for x in dialogues if not any(turn.spans for turn in x.turns) for name in x.template.split(", ")}
    assert spanless <= {x.name for x in templates if not x.personal}


def test_a_written_block_of_an_address_has_its_postcode_and_a_line_of_its_own_does_not() -> None:
    rng = random.Random(4)
    blocks = [AddressData("en_US", rng, faker_of("en_US")).block() for _ in range(1500)]
    lines = [x for x in blocks if "\n" in x]
    assert sum(re.search(r"\D\d{4,5}$", x) is not None for x in lines) / len(lines) > 0.2
    regions = (*LISTS.regions, *LISTS.countries, "AA", "AE", "AP")
    plain_lines = [
        x for x in blocks if "\n" not in x and not any(re.search(rf"[ ,]{re.escape(y)}\b", x) for y in regions)
    ]
    assert plain_lines
    assert not any(re.search(r"[^\W\d] \d{5}$", x) for x in plain_lines if "Box" not in x)


def test_names_keep_their_accents_in_writing_alone(dialogues: list[Dialogue]) -> None:
    names = [(x.form, text) for x, text, span in spans_of(dialogues) if span.label == "person"]
    assert any(form == "written" and not text.isascii() for form, text in names)
    assert all(text.isascii() for form, text in names if form in ("words", "digits"))


def test_what_is_said_after_a_value_is_no_part_of_it(dialogues: list[Dialogue]) -> None:
    thinking = ("let me see", "hang on", "hold on", "what was it")
    assert any(
        turn.text[span.end :].strip().startswith(thinking) for x in dialogues for turn in x.turns for span in turn.spans
    )
    whole = [text for x, text, _ in spans_of(dialogues) if "two turns" not in x.styles]
    assert not any(text.endswith(thinking) for text in whole)


def test_a_seed_gives_the_same_dialogues_in_every_process() -> None:
    program = (
        "from encoder.train.data.pii.generate import generate_dialogues\n"
        "for x in generate_dialogues(60, 8): print(x.turns, sorted(x.styles), *x[:4])"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1
    assert list(generate_dialogues(20, 8)) == list(generate_dialogues(60, 8))[:20]
    assert list(generate_dialogues(20, 8)) != list(generate_dialogues(20, 9))


@given(SEEDS)
def test_tags_are_valid_and_turns_stay_in_order(seed: int) -> None:
    made = list(generate_dialogues(3, seed))
    read = read_source(TextSource(generate="pii", count=3, seed=seed))
    assert [re.sub(r"\s", "", turn.text) for x in made for turn in x.turns] == ["".join(x.words) for x in read]
    assert len({x.document for x in read}) == 3
    for sequence, turn in zip(read, (turn for x in made for turn in x.turns), strict=True):
        assert sequence.as_is
        for before, tag in pairwise(("O", *sequence.tags)):
            assert tag == "O" or tag[2:] in LABELS
            assert not tag.startswith("I-") or before[1:] == tag[1:]
        begun = [tag[2:] for tag in sequence.tags if tag.startswith("B-")]
        assert begun == [span.label for span in turn.spans]


def test_folds_share_no_template_and_leave_both_kinds() -> None:
    templates = read_templates()
    sizes = Counter(k for x in templates for k in range(5) if keep_template(hash_text(x.turns[0].text), f"{k}/5"))
    assert set(sizes) == set(range(5))
    assert sizes.total() == len(templates)
    assert min(sizes.values()) > len(templates) / 10
    names = {}
    for part in ({"fold": "1/5"}, {"without_fold": "1/5"}):
        read = read_source(TextSource(generate="pii", count=800, **part))
        names[tuple(part)] = {name for x in read for name in x.document.partition(": ")[2].split(", ")}
        assert any("B-person" in x.tags for x in read)
        assert any(name.startswith("hard_") for name in names[tuple(part)])
    held, rest = names.values()
    assert not held & rest
    assert len(held) > 30


def test_a_source_keeps_what_where_selects() -> None:
    only = {"locale": ("en_IE",), "form": ("words", "digits")}
    read = read_source(TextSource(generate="pii", count=60, where=only))
    assert 0 < len(read) < len(read_source(TextSource(generate="pii", count=60)))
    assert not any(re.search(r"[A-Z?!]", " ".join(x.words)) for x in read)
    assert TextSource(generate="pii", count=1, where=only).name() == "pii words digits en_IE"


def mod_97(iban: str) -> int:
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97


def luhn(number: str) -> int:
    """Sum as ISO/IEC 7812 has it; 0 if the check digit is right."""
    digits = [int(c) for c in reversed(number)]
    return sum(digits[::2] + [sum(divmod(2 * d, 10)) for d in digits[1::2]]) % 10


def verhoeff(number: str) -> int:
    """Check with the tables of Verhoeff's thesis; 0 if the check digit is right."""
    dihedral = ["0123456789", "1234067895", "2340178956", "3401289567", "4012395678"]
    dihedral += ["5987604321", "6598710432", "7659821043", "8765932104", "9876543210"]
    permutations = ["0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415"]
    permutations += ["7046913258"]
    state = 0
    for i, c in enumerate(reversed(number)):
        state = int(dihedral[state][int(permutations[i % 8][int(c)])])
    return state


def weighted(number: str, weights: tuple[int, ...]) -> int:
    return sum(w * int(c) for w, c in zip(weights, number, strict=True))


def national_id_holds(locale: str, number: str) -> bool:
    if locale == "en_US":
        return bool(re.fullmatch(r"(?!000|666|9..)\d{3}(?!00)\d{2}(?!0000)\d{4}", number))
    if locale == "en_GB" and number.isdigit():
        return len(number) == 10 and weighted(number, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    if locale == "en_GB":
        return bool(re.fullmatch(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", number))
    if locale == "en_CA":
        return len(number) == 9 and luhn(number) == 0
    if locale == "en_AU" and len(number) == 9:
        return weighted(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0
    if locale == "en_AU":
        return len(number) == 10 and weighted(number[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(number[8])
    if locale == "en_IE":
        return chr(64 + (weighted(number[:7], (8, 7, 6, 5, 4, 3, 2)) % 23 or 23)) == number[7]
    return (len(number) == 12 and verhoeff(number) == 0) or bool(re.fullmatch(r"[A-Z]{3}P[A-Z]\d{4}[A-Z]", number))


@given(SEEDS, LOCALES)
def test_check_digits_hold(seed: int, locale: str) -> None:
    data = PersonalData(locale, random.Random(seed))
    card = plain(data.draw("card", NOBODY).written)
    assert len(card) in (12, 13, 14, 15, 16, 19)
    assert luhn(card) == 0
    assert mod_97("".join(data.draw("iban", NOBODY).parts)) == 1
    number = plain(data.draw("national_id", NOBODY).written).upper()
    assert national_id_holds(locale, number), number
    if locale == "en_US":
        assert weighted(data.draw("sort", NOBODY).written, (3, 7, 1) * 3) % 10 == 0


@given(SEEDS, LOCALES, st.sampled_from(sorted(PERSONAL_SLOTS)))
def test_values_are_ascii_and_their_parts_are_their_letters_and_digits(seed: int, locale: str, slot: str) -> None:
    rng = random.Random(seed)
    data = PersonalData(locale, rng)
    value = data.draw(slot, draw_person(locale, rng))
    assert value.label in LABELS
    assert value.written.isascii() or slot.startswith(("address", "place", "person"))
    assert "".join(value.parts).isascii()
    if value.kind != "date":
        assert plain("".join(value.parts)) == plain(fold_accents(value.written))


@given(SEEDS)
def test_a_number_of_hundreds_is_said(seed: int) -> None:
    rng = random.Random(seed)
    value = make_code("phone", "800 1200 2000")
    said = {" ".join(Speech(rng, digits=False, day_first=True).say(value).units) for _ in range(200)}
    assert any("eight hundred twelve hundred two thousand" in x for x in said)
    assert len(said) > 5


def test_a_slot_that_recurs_is_the_same_value_said_by_both() -> None:
    template = DialogueTemplate(
        "x 1", "x", (TemplateTurn("a", "It's {phone}."), TemplateTurn("b", "So {phone}, {phone2}?"))
    )
    for seed in range(50):
        made = draw_dialogue(template, "en_GB", random.Random(seed))
        values = [span.value for turn in made.turns for span in turn.spans]
        assert len(set(values)) == 2
        assert values[-1] != values[0]


def test_a_possessive_is_outside_of_the_name() -> None:
    template = DialogueTemplate("x 1", "x", (TemplateTurn("a", "That is {person}'s car."),))
    for seed in range(60):
        (turn,) = draw_dialogue(template, "en_US", random.Random(seed)).turns
        assert turn.text[turn.spans[0].end :].startswith("'s")


def test_augmentation_leaves_generated_text() -> None:
    sequence = TextSequence(
        "", ("Call", "Jo", ",", "20", "30"), ("O", "B-person", "O", "B-phone", "I-phone"), as_is=True
    )
    options = AugmentConfig(unpunctuated=1, filler=0.9, repetition=0.9, number_words=1)
    assert speak(sequence, options, random.Random(1)) == ([*sequence.words], [*sequence.tags])


def test_without_faker_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)
    faker_of.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'hearken\[train\]'"):
        read_source(TextSource(generate="pii", count=1))
    faker_of.cache_clear()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "either a `path` or `generate"),
        ('path = "x.conll"\ngenerate = "pii"\ncount = 5', "either a `path` or `generate"),
        ('generate = "pii"', "needs a `count`"),
        ('generate = "pii"\ncount = -1', "needs a `count`"),
        ('generate = "places"\ncount = 5', "places"),
        ('path = "x.conll"\ncount = 5', "belong to `generate`"),
        ('path = "x.conll"\nfold = "0/5"', "belong to `generate`"),
        ('generate = "pii"\ncount = 5\nfold = "5/5"', "must be"),
        ('generate = "pii"\ncount = 5\nfold = "0/1"', "must be"),
        ('generate = "pii"\ncount = 5\nfold = "1"', "must be"),
        ('generate = "pii"\ncount = 5\nwithout_fold = "x/3"', "must be"),
        ('generate = "pii"\ncount = 5\nfold = "0/2"\nwithout_fold = "1/2"', "not both"),
    ],
)
def test_a_source_that_cannot_be_is_refused(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(f'out = "x"\n[tagger]\nepochs = 1\n[[train]]\n{source}\n')
    with pytest.raises((ConfigError, FileRefused), match=re.escape(message)):
        read_train_config(path)


def test_the_shipped_configuration_is_read() -> None:
    config = read_train_config(Path(__file__).parents[3] / "configs" / "pii.toml")
    assert {x.generate for x in config.train} >= {"pii"}
    held = {x.fold for x in config.dev if x.generate}
    assert held == {x.without_fold for x in config.train if x.generate}
