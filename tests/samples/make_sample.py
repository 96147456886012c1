"""Generator of `interview.jsonl` from `interview.txt`: a live recogniser and a chat, the same bytes on every machine.

Run `python -m tests.samples.make_sample` after editing the script. Only `Random.random` is used, the one method whose
sequence Python promises to keep.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from stream.messages.types import Update

SAMPLES = Path(__file__).parents[2] / "consumers" / "samples"
SCRIPT = SAMPLES / "interview.txt"
SAMPLE = SAMPLES / "interview.jsonl"
SEED = 58

LIKE_SOUNDING = """
    to/two two/to too/to for/four four/for their/there there/their they're/there hear/here here/hear know/no no/know
    right/write one/won won/one our/are are/our been/bin by/buy its/it's it's/its in/and and/in on/an an/on of/have
    i've/i i'm/am we've/we we're/were he'd/he she's/she that's/that who's/whose weeks/weak week/weak hole/whole
    new/knew would/wood through/threw then/than than/then was/were is/as at/that now/no so/sew well/will he/she
    mother/another what/but how/who when/went some/sun this/these you/your your/you they/day from/form night/knight
    boat/both boats/boat bridge/bridges mira/mirror crane/train shop/ship shops/ships date/day side/sight half/have
    ring/bring hip/hit fence/fans cast/cost phone/foam dog/dock nil/mill money/many plan/plant council/counsel
    calls/cause drum/drama man/men wife/life air/hair end/and photo/foot rates/rate lights/light pays/pace
"""
HOMOPHONES = dict(pair.split("/") for pair in LIKE_SOUNDING.split())
"""First hearing of a word by the recogniser, besides those marked in the script."""


@dataclass(frozen=True, slots=True)
class RecogniserErrors:
    """Error rates of the simulated recogniser, tuned so that the sample rewrites as often as recorded streams do."""

    mishear_marked: float = 0.72
    """Share of the script's marked words that are first misheard as it says."""
    mishear: float = 0.18
    """Share of all other words that are first misheard, where a like-sounding word is known."""
    held: float = 0.5
    """Longest time in seconds that a misheard word stands after it ended."""
    late_fix: float = 0.02
    """Share of the misheard words that only the final corrects."""
    half_heard: float = 0.4
    """Chance that an interim says something for a word that is still being spoken."""
    blank: float = 0.07
    """Chance that the beginning of a word is taken for a word of its own."""
    shrink: float = 0.08
    """Chance that an interim has lost the last words of the one before; the next one has them again."""
    echo: float = 0.05
    """Chance that an interim repeats the one before."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One or more words that are misheard together: what was said, what may be heard first, and when it was said."""

    said: tuple[str, ...]
    heard: tuple[str, ...]
    marked: bool
    start: float
    end: float


Hearing = tuple[tuple[str, ...], float]
"""What a unit is heard as at first, and the second at which it is put right."""


@dataclass(frozen=True, slots=True)
class Line:
    """One segment of the script."""

    segment: str
    units: tuple[Unit, ...]
    end: float


def read_script(text: str) -> dict[str, tuple[float, list[tuple[str, str]]]]:
    """Read the script: session to (its start in seconds, lines of (speaker, words))."""
    sessions: dict[str, tuple[float, list[tuple[str, str]]]] = {}
    lines: list[tuple[str, str]] = []
    for row in text.splitlines():
        if row.startswith("== "):
            name, _, start = row[3:].partition(" @ ")
            lines = []
            sessions[name] = (float(start), lines)
        elif row and not row.startswith("#"):
            speaker, _, words = row.partition(": ")
            lines.append((speaker, words))
    return sessions


def time_line(segment: str, words: str, clock: float, rng: Random) -> Line:
    """Give every word of a line its time: a short pause, then 2.5 to 3 words a second, long words longer."""
    clock += 0.25 + 0.7 * rng.random()
    units: list[Unit] = []
    for match in re.finditer(r"<([^|]*)\|([^>]*)>|\S+", words):
        marked = match[2] is not None
        said = tuple((match[2] if marked else match[0]).split())
        first = match[1].split("/") if marked else [HOMOPHONES.get(said[0], said[0])]
        heard = tuple(first[int(rng.random() * len(first))].split())
        spoken = sum(0.14 + 0.045 * len(word) for word in said) * (0.85 + 0.3 * rng.random())
        units.append(Unit(said, heard, marked, clock, clock + spoken))
        clock += spoken + (0.25 * rng.random() if said[-1] in ("um", "uh", "ha", "well", "so") else 0.0)
    return Line(segment, tuple(units), clock)


def half_word(word: str, known: list[str]) -> str:
    """Hear only the beginning of a word: a shorter word that begins alike, or nothing yet."""
    alike = [other for other in known if other != word and other[:2] == word[:2] and len(other) <= len(word)]
    return alike[len(word) % len(alike)] if alike and len(word) > 3 else ""


def first_hearing(unit: Unit, errors: RecogniserErrors, rng: Random) -> Hearing:
    """Draw what a unit is heard as at first, and until when."""
    rate = errors.mishear_marked if unit.marked else errors.mishear
    wrong, held, late = rng.random() < rate, rng.random(), rng.random() < errors.late_fix
    if not wrong or unit.heard == unit.said:
        return unit.said, unit.end
    return unit.heard, float("inf") if late else unit.end + errors.held * held


def recognise(line: Line, known: list[str], errors: RecogniserErrors, rng: Random) -> Iterator[tuple[float, str, bool]]:
    """Yield what a recogniser sends for one line: (seconds, text, final), interims 0.3 to 1 s apart."""
    hearings = [first_hearing(unit, errors, rng) for unit in line.units]
    now, before = line.units[0].start, ""
    while True:
        now += 0.3 + 0.7 * rng.random()
        if now >= line.end:
            break
        chance, which = rng.random(), rng.random()
        text = hear(line, hearings, known, errors, now, which)
        if before and chance < errors.shrink:
            text = " ".join(before.split()[: -1 - int(3 * which)])
        elif before and chance < errors.shrink + errors.echo:
            text = before
        if text:
            yield round(now, 2), text, False
            before = text
    said = " ".join(word for unit in line.units for word in unit.said)
    yield round(line.end + 0.2 + 0.3 * rng.random(), 2), said, True


def hear(
    line: Line, hearings: list[Hearing], known: list[str], errors: RecogniserErrors, now: float, which: float
) -> str:
    """Say what is heard of a line by `now`; `which` (0..1) decides over the word that is being spoken."""
    words: list[str] = []
    for unit, (heard, until) in zip(line.units, hearings, strict=True):
        if unit.end <= now:
            words.extend(heard if now < until else unit.said)
        elif unit.start + 0.12 <= now and which < errors.half_heard:
            words.extend(half_word(unit.said[0], known).split())
        elif unit.start <= now and which > 1.0 - errors.blank:
            words.append("a")  # a breath heard as a word
    return " ".join(words)


def make_updates(script: str, errors: RecogniserErrors | None = None) -> list[Update]:
    """Make the sample's messages, in order of time, from the script's text."""
    errors, sessions = errors or RecogniserErrors(), read_script(script)
    spoken = [row for name in ("programme", "phone-in") for _, row in sessions[name][1]]
    known = sorted({word for row in spoken for word in row.split() if word.isalpha()})
    updates: list[Update] = []
    for number, (session, (clock, rows)) in enumerate(sessions.items()):
        rng = Random(SEED + number)
        for index, (speaker, words) in enumerate(rows):
            segment = f"{index + 1:03d}-{speaker}"
            if session == "chat":  # a message arrives whole
                clock += 20.0 + 60.0 * rng.random()
                said = Update(
                    session=session, segment=segment, text=words, final=True, time=round(clock, 2), speaker=speaker
                )
                updates.append(said)
                continue
            line = time_line(segment, words, clock, rng)
            clock = line.end
            for time, text, final in recognise(line, known, errors, rng):
                said = Update(session=session, segment=segment, text=text, final=final, time=time, speaker=speaker)
                updates.append(said)
    return sorted(updates, key=lambda update: update.time or 0.0)  # stable: equal times keep each session's order


def sample_bytes() -> bytes:
    """Return the sample file's content."""
    lines = (msgspec.json.encode(update) for update in make_updates(SCRIPT.read_text(encoding="utf-8")))
    return b"\n".join(lines) + b"\n"


if __name__ == "__main__":
    SAMPLE.write_bytes(sample_bytes())
