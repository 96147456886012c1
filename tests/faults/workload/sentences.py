"""Synthetic sentences as a recogniser transcribes them: lower case, no punctuation, many names and times."""

from random import Random

_PEOPLE = ("anna", "bob", "ms rice", "may", "jordan", "doctor okafor", "maria lopez", "the minister", "mister chen")
_PLACES = ("rome", "paris", "peru", "the river", "lake como", "oslo", "new york", "the old harbour", "kenya")
_GROUPS = ("the red cross", "the city council", "acme", "the museum", "united airlines", "our team")
_THINGS = ("the report", "a new phone", "the world cup", "the election", "the storm", "that song", "the contract")
_TIMES = ("on monday", "last year", "at noon", "in two thousand and ten", "tomorrow", "this morning", "in june")
_TEMPLATES = (
    "{person} said {time} that {person} would go to {place}",
    "we met {person} there and {person} from {group} too",
    "may said {thing} was in {place} {time}",
    "so {group} sent {thing} to {place}",
    "did you see {person} at {thing} {time}",
    "well there was {thing} and then {group} left {place}",
    "{person} and {person} work for {group} in {place}",
    "i think {thing} came from {place} {time}",
    "they said no",
    "{place} said {person}",
)


def make_sentence(random: Random) -> list[str]:
    """Return the words of one sentence."""
    text = random.choice(_TEMPLATES)
    while "{" in text:
        for name, choices in (
            ("person", _PEOPLE),
            ("place", _PLACES),
            ("group", _GROUPS),
            ("thing", _THINGS),
            ("time", _TIMES),
        ):
            text = text.replace("{" + name + "}", random.choice(choices), 1)
    return text.split()


def any_word(random: Random) -> str:
    """Return a random word, as a recogniser may have misheard."""
    return random.choice(make_sentence(random))
