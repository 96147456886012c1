"""Golden values: the same text and checkpoint give the same scores for ever.

`python -m tests.golden_scores` writes them anew after a checkpoint was replaced: those of the shipped one beside it,
with its digest in the model card, and those of the small stand-in of the tests (only if its making was changed).
"""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from consumers.recordings.score_texts import label_alone
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.checkpoints.names import choose_taggers
from encoder.restart.policies import Last
from encoder.tagger import load_tagger
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from tests.tiny import LABELS, tiny_checkpoint

SHIPPED = choose_taggers(["moderation"])[0].folder
SHIPPED_FILE, CARD = SHIPPED / "scores.json", SHIPPED / "README.md"
SMALL_FILE = Path(__file__).with_name("golden_scores.json")
DIGEST = re.compile(r"Its digest is `([0-9a-f]*)`")
TEXTS = (
    "thank you, that was very kind of you",
    "you are a complete idiot and everybody here knows it",
    "Come on, ref! That was never a penalty.",
    "what the hell is wrong with this damn printer",
    "i will find you and you will be sorry",
    "sh*t, I left my keys at work again \U0001f605",
    "Nobody said that the mayor is corrupt; the report says her office lost the files.",
    "people like you should not be allowed to vote, you pathetic old fool",
    "caf\u00e9 na\u00efve \u00dcber \u4f60\u597d",
    "42",
    "I disagree. Your numbers leave out the second half of the year, as the table on page nine shows. " * 12,
    "He called me a moron in front of the whole class, and the teacher laughed.",
)
"""Own texts: kind, rude, disguised, quoted, long, hardly any."""


def score_texts_of(folder: Path, number_format: str, heads: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Scores of all texts by a checkpoint in one number format, under the name of that format."""
    labeller = HybridLabeller(load_tagger(str(folder), number_format=number_format), heads)
    found = label_alone(Engine(labeller, Last(3)), TEXTS)
    return {labeller.precisions[0]: [{name: x.scores for name, x in one.items() if x.scores} for one in found]}


def save_small(folder: Path) -> Path:
    """Save the stand-in."""
    scores = {"moderation": ("toxicity", "insult")}
    checkpoint = tiny_checkpoint(3, labels=("O",), taggers={"moderation": LABELS, "ner": LABELS}, text_scores=scores)
    save_checkpoint(folder, checkpoint.config, checkpoint.weights, checkpoint.tokenizer)
    return folder


def main() -> None:
    """Write the values."""
    digest = load_checkpoint(str(SHIPPED), calibrated=False).identity().hex()
    scores = {k: v for name in ("auto", "float32") for k, v in score_texts_of(SHIPPED, name, ("moderation",)).items()}
    _write(SHIPPED_FILE, {"checkpoint": digest, "scores": scores})
    CARD.write_text(DIGEST.sub(f"Its digest is `{digest}`", CARD.read_text("utf-8")), "utf-8")
    with TemporaryDirectory() as folder:
        _write(SMALL_FILE, {"scores": score_texts_of(save_small(Path(folder, "small")), "float32")})
    print(SHIPPED_FILE, CARD, SMALL_FILE, sep="\n")


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
