"""Generator of `kitchen/commands.jsonl`: labelled requests to a kitchen's voice assistant, used in docs/own-data.md.

Run `python -m tests.samples.make_kitchen` after an edit. As in `make_sample`, only `Random.random` is used. A number
may begin an amount ("two hundred grams of flour") or a duration ("two hundred minutes"), which only later words decide.
"""

import re
from pathlib import Path
from random import Random

import msgspec

SAMPLES = Path(__file__).parents[2] / "consumers" / "samples"
KITCHEN = SAMPLES / "kitchen" / "commands.jsonl"
SEED = 7
COUNT = 400

TEMPLATES = """
    set a timer for {duration}
    set a timer for {duration} for {dish}
    set {duration} for {dish}
    set {dish} timer to {duration} please
    {duration} for {dish} please
    {duration}, no, make that {duration}
    {amount} please
    {amount} and {amount}
    um {amount} for {dish}
    add {amount} to the list
    add {amount} and {amount} to {dish}
    add another {duration} to the timer
    put {amount} on the shopping list
    put {dish} in the oven for {duration}
    do we have {amount} left
    how long does {dish} take
    how long is left on {dish}, is it {duration}
    does {dish} take {duration}
    what goes into {dish}
    I need {amount} for {dish}
    we need {amount}, then {duration} in the oven
    read me the recipe for {dish}
    next step for {dish}
    is {amount} enough for {dish}
    stir {dish} every {duration}
    let {dish} rest for {duration}
    let it rest for {duration}, then add {amount}
    remind me in {duration} to turn {dish}
    remind me to buy {amount} tomorrow at nine
    wait, {amount}, not {amount}
    stop the timer
    stop, that is two too many
    what did I ask you two minutes ago in the other room
    turn the light down please
    go back one step
    say that again
    thanks, the oven is on at two hundred degrees
    call me when four people are here
""".strip().splitlines()

WORDS = {
    "dish": """the rice/the lentil soup/the banana bread/the roast potatoes/the fish pie/the pancakes/the apple cake
        the onion tart/the tomato sauce/the bean stew/the cheese scones/the pumpkin curry/the noodles/the rye bread""",
    "number": """two/three/four/five/six/eight/ten/twelve/fifteen/twenty/thirty/forty five/ninety/a hundred
        two hundred""",
    "thing": "flour/sugar/butter/rice/oats/red lentils/olive oil/milk/cream/grated cheese/chopped onions/stock",
    "piece": "eggs/lemons/onions/tomatoes/cloves of garlic/carrots/bananas/slices of bread/bay leaves/limes",
    "unit": "grams/cups/spoons/millilitres/handfuls",
    "time": "minutes/seconds/hours/more minutes/and a half minutes/and a half hours",
}


def draw(choices: list[str], rng: Random) -> str:
    """Draw one of them."""
    return choices[int(rng.random() * len(choices))]


def say(kind: str, rng: Random) -> str:
    """Draw words of a kind."""
    return draw(re.split(r"/|\n\s*", WORDS[kind]), rng)


def fill(kind: str, rng: Random) -> str:
    """Draw a span's words."""
    if kind == "dish":
        return say("dish", rng)
    if kind == "duration":
        return f"{say('number', rng)} {say('time', rng)}"
    if rng.random() < 0.5:
        return f"{say('number', rng)} {say('piece', rng)}"
    return f"{say('number', rng)} {say('unit', rng)} of {say('thing', rng)}"


def make_row(rng: Random) -> dict[str, object]:
    """Make one request, in the form that `hearken train` reads: spans are in characters."""
    text, spans = "", []
    for part in re.split(r"(\{\w+\})", draw(TEMPLATES, rng).strip()):
        kind = part[1:-1] if part.startswith("{") else ""
        said = fill(kind, rng) if kind else part
        if kind == "dish" and said.startswith("the "):
            text, said = text + "the ", said[4:]  # the article is not part of the name
        if kind:
            spans.append([len(text), len(text) + len(said), kind])
        text += said
    return {"text": text, "spans": spans}


def kitchen_bytes() -> bytes:
    """Return the file's content: requests that all differ."""
    rng = Random(SEED)
    rows: dict[bytes, None] = {}
    while len(rows) < COUNT:
        rows[msgspec.json.encode(make_row(rng))] = None
    return b"\n".join(rows) + b"\n"


if __name__ == "__main__":
    KITCHEN.parent.mkdir(exist_ok=True)
    KITCHEN.write_bytes(kitchen_bytes())
