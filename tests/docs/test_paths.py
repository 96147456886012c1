"""Pages about the code name files, classes and tests that exist.

What is checked stands in backticks, or in the text of a drawing. NAME or SET in a path stands for any name.
"""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(f"docs/{x.name}" for x in (ROOT / "docs").glob("*.md"))]
DRAWINGS = ["docs/architecture-rooms.svg", "docs/architecture-record.svg"]
TOPS = r"(?:consumers|stream|encoder|hearken|clients|tests|benchmarks|docs|docker|configs|examples|setup|\.ci)/"

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"{TOPS}[\w./-]*|[A-Z]+\.md|pyproject\.toml|requirements\.lock|Makefile|LICENSE")
_TEST = re.compile(rf"({TOPS}[\w./-]+\.py)::(\w+)")
_MODULE = re.compile(r"(?:python -m )?((?:consumers|stream|encoder|tests|benchmarks)(?:\.[a-z_]+)+)(?:\.[A-Z]\w+)?")
_CLASS = re.compile(r"([A-Z][a-z]+(?:[A-Z][A-Za-z]+)*)(?:\.([a-z_]+))?")
_TEXT = re.compile(r"<text[^>]*>([^<]*)</text>")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PAGE = re.compile(r"(?<![\w/.'\"-])(?:[\w-]+/)*[\w-]+\.md\b")
_HEADING = re.compile(r"^#+ (.*)$", re.M)


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def codes(page: str) -> list[str]:
    return _CODE.findall(read(page))


def exists(path: str) -> bool:
    """A path is there, or a path like it where NAME or SET stands for a name."""
    return any(ROOT.glob(re.sub(r"\b(NAME|SET)\b", "*", path)))


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    named = {word for code in codes(page) for word in code.split() if _PATH.fullmatch(word)}
    assert [path for path in sorted(named) if not exists(path) and not exists(f"docs/{path}")] == []


@pytest.mark.parametrize("page", PAGES)
def test_modules_exist(page: str) -> None:
    named = {match[1].replace(".", "/") for code in codes(page) if (match := _MODULE.fullmatch(code))}
    assert [path for path in sorted(named) if not (ROOT / f"{path}.py").is_file() and not (ROOT / path).is_dir()] == []


@pytest.mark.parametrize("page", DRAWINGS)
def test_paths_in_drawings_exist(page: str) -> None:
    named = {word for text in _TEXT.findall(read(page)) for word in text.split() if _PATH.fullmatch(word)}
    assert named
    assert [path for path in sorted(named) if not exists(path)] == []


def test_the_drawing_has_the_packages_of_each_room() -> None:
    drawn = {word for text in _TEXT.findall(read(DRAWINGS[0])) for word in text.split() if re.fullmatch(r"\w+/", word)}
    rooms = [ROOT / room for room in ("consumers", "stream", "encoder")]
    packages = {f"{folder.name}/" for room in rooms for folder in room.iterdir() if any(folder.glob("*.py"))}
    assert packages - drawn == {"samples/"} & packages


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_lead_somewhere(page: str) -> None:
    links = [link for link in _LINK.findall(read(page)) if "://" not in link]
    assert [link for link in links if not leads_somewhere((ROOT / page).parent, page, link)] == []


def test_the_index_has_every_page() -> None:
    listed = {link.partition("#")[0] for link in _LINK.findall(read("docs/README.md"))}
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(pages - listed) == []


def leads_somewhere(folder: Path, page: str, link: str) -> bool:
    name, _, section = link.partition("#")
    target = (folder / name).resolve() if name else ROOT / page
    if not target.exists():
        return False
    return not section or section in {anchor(x) for x in _HEADING.findall(target.read_text("utf-8"))}


def anchor(heading: str) -> str:
    """The name that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_tests_exist(page: str) -> None:
    named = [match.groups() for code in codes(page) if (match := _TEST.fullmatch(code))]
    missing = [f"{path}::{name}" for path, name in named if not has_test(path, name)]
    assert missing == []
    assert named or page != "docs/architecture.md"


def has_test(path: str, name: str) -> bool:
    file = ROOT / path
    return file.is_file() and re.search(rf"^(?:async )?def {name}\(", file.read_text("utf-8"), re.M) is not None


def test_classes_and_their_members_exist() -> None:
    named = {match.groups() for code in codes("docs/architecture.md") if (match := _CLASS.fullmatch(code))}
    assert len(named) >= 10
    assert [x for x in sorted(named, key=str) if not is_defined(*x)] == []


def is_defined(name: str, member: str | None) -> bool:
    if name in ("Makefile", "LICENSE"):
        return True
    bodies = re.findall(rf"^class {name}\b.*?(?=^\S|\Z)", sources(), re.M | re.S)
    return any(member is None or re.search(rf"(?:def {member}\(|\b{member}: )", body) for body in bodies)


def test_docstrings_cite_pages_of_this_repository() -> None:
    cited = {word for line in sources().splitlines() for word in _PAGE.findall(line)}
    assert cited >= {"docs/architecture.md"}
    assert [page for page in sorted(cited) if not exists(page)] == []


@cache
def sources() -> str:
    return "\n".join(
        path.read_text("utf-8") for room in ("consumers", "stream", "encoder") for path in (ROOT / room).rglob("*.py")
    )
