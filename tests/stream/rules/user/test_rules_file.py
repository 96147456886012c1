"""Rules of a user: what they find, what they allow, and errors with the line they are in."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.rules.reader import PersonalDataRules
from stream.rules.user.prefixes import PatternError, prefix_pattern
from stream.rules.user.rules_file import CustomRules, RulesFileError, load_rules


def load(tmp_path: Path, text: str) -> CustomRules:
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8")
    return load_rules(path)


def find(tmp_path: Path, toml: str, text: str) -> list[tuple[str, str, float]]:
    return [(text[x.start : x.end], x.label, x.score) for x in PersonalDataRules(load(tmp_path, toml)).find(text)]


def test_a_pattern_counts_only_after_its_context(tmp_path: Path):
    toml = "[[pattern]]\nlabel = 'staff'\nregex = 'E\\d{3}'\ncontext = ['badge', 'staff card']\nscore = 0.7\n"
    assert find(tmp_path, toml, "error E123") == []
    assert find(tmp_path, toml, "my badge, it is E123") == [("E123", "staff", 0.7)]
    assert find(tmp_path, toml, "the staff card E123") == [("E123", "staff", 0.7)]


def test_a_spoken_pattern_sees_digits_and_letters_as_they_are_said(tmp_path: Path):
    toml = "[[pattern]]\nlabel = 'staff'\nregex = 'E\\d{3}'\nspoken = true\n"
    assert find(tmp_path, toml, "it is e one double two ok") == [("e one double two", "staff", 0.9)]
    assert find(tmp_path, toml, "it is E122 ok") == [("E122", "staff", 0.9)]


def test_words_are_found_in_any_case_and_allowed_values_are_left(tmp_path: Path):
    toml = "[[words]]\nlabel = 'project'\nwords = ['Blue Heron', 'Kestrel']\n"
    toml += "[allow]\nwords = ['0207 946 0958', 'a@b.org']\n"
    text = "Kestrel's budget and BLUE HERON, call 0207 946 0958 or mail a@b.org or c@b.org"
    assert find(tmp_path, toml, text) == [
        ("Kestrel's", "project", 0.9), ("BLUE HERON", "project", 0.9), ("c@b.org", "email", 0.95),
    ]  # fmt: skip
    assert find(tmp_path, toml, "call oh two oh seven nine four six oh nine five eight now") == []


def test_context_words_ask_for_a_value_or_say_that_it_is_nobodys(tmp_path: Path):
    text = "the locker is four four one nine two ok"
    assert find(tmp_path, "", text) == []
    assert [x[1] for x in find(tmp_path, "[context]\naccount = ['the locker']\n", text)] == ["account"]
    text = "our ref is 4155550142 ok"
    assert [x[1] for x in find(tmp_path, "", text)] == ["phone"]
    assert find(tmp_path, "[context]\nnot_personal = ['our ref']\n", text) == []


@pytest.mark.parametrize(
    ("toml", "line", "reason"),
    [
        ("[[pattern]]\nlabel = 'x'\nregex = '('\n", 3, "regex"),
        ("[[pattern]]\nlabel = 'x'\nregex = '(?=a)b'\n", 3, "regex"),
        ("[[pattern]]\nlabel = 'x'\nregex = '(a)\\1'\n", 3, "regex"),
        ("[[pattern]]\nlabel = 'x'\n", 1, "no regex"),
        ("\n[[pattern]]\nlabel = 'Bad Label'\nregex = 'a'\n", 3, "no label"),
        ("[[pattern]]\nlabel = 'x'\nregex = 'a'\n\n[[pattern]]\nlabel = 'y'\nregx = 'a'\n", 7, "unknown key 'regx'"),
        ("[[pattern]]\nlabel = 'x'\nregex = 'a'\nscore = 2\n", 4, "score"),
        ("[[pattern]]\nlabel = 'x'\nregex = 'a'\nscore = true\n", 4, "float"),
        ("[pattern]\nlabel = 'x'\n", 1, "two brackets"),
        ("[[words]]\nlabel = 'x'\nwords = 'a'\n", 3, "list"),
        ("[[words]]\nlabel = 'x'\nwords = ['a', ' ']\n", 3, "empty text"),
        ("[allow]\nwords = [1]\n", 2, "list of texts"),
        ("[allowed]\nwords = []\n", 1, "unknown table"),
        ("[context]\nphone = ['a']\nphon = ['b']\n", 3, "'phon' is no label that words can ask for"),
        ("[context]\nphone = \n", 2, "Invalid value"),
        ("[[words]]\nlabel = 'x'\nwords = ['a", 3, "Expected"),
    ],
)
def test_an_error_names_the_line_and_what_is_wrong(tmp_path: Path, toml: str, line: int, reason: str):
    with pytest.raises(RulesFileError, match=rf"rules\.toml.*line {line}\b.*{re.escape(reason)}"):
        load(tmp_path, toml)


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path: Path):
    with pytest.raises(RulesFileError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"[allow]\n# \xff\n")
    with pytest.raises(RulesFileError, match="line 2: this is no UTF-8"):
        load_rules(tmp_path / "b.toml")


def test_a_pattern_that_backtracks_elsewhere_takes_no_longer(tmp_path: Path):
    """A backtracking matcher needs 2 ** 40 steps for it: the test would never end."""
    rules = PersonalDataRules(load(tmp_path, "[[pattern]]\nlabel = 'x'\nregex = '(a+)+$'\n"))
    assert rules.find("a" * 40 + "!") == []


PIECES = st.sampled_from(
    ["a", "b", "[ab]", ".", r"\d", "(?:ab|a)", "(b|cd)", "a{2,3}", "b*", "c+?", "d?", r"\b", "x{2}"]
)


@given(pieces=st.lists(PIECES, min_size=1, max_size=5), text=st.text("abcdx1 ", max_size=8), cut=st.integers(0, 8))
def test_every_beginning_of_a_match_is_one_of_its_beginnings(pieces: list[str], text: str, cut: int):
    import re2

    regex = "".join(pieces)
    beginning = re2.compile(f"(?:{prefix_pattern(regex)})\\z")
    for match in re2.compile(regex).finditer(text):
        if match.start() <= cut:
            found = beginning.search(text[: min(cut, match.end())])
            assert found is not None
            assert found.start() <= match.start()


@pytest.mark.parametrize("regex", ["a" * 501, "(?<=a)b", "(?i:a", "a)", r"\Qa\E"])
def test_patterns_without_known_beginnings_are_refused(regex: str):
    with pytest.raises(PatternError):
        prefix_pattern(regex)
