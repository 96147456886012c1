"""spaCy: a blank English pipeline with the entity recogniser of its small models, untrained.

Another and much smaller model, so its scores are not compared. It alone of the peers is charged with tokenising,
which a pipeline of it cannot do without.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks.peers.peer import Material, MissingPackages, Peer, Step

NAME = "spaCy"
PACKAGES = "spacy"
LABELS = (
    "CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY "
    "NORP ORDINAL ORG PERCENT PERSON PRODUCT QUANTITY TIME WORK_OF_ART"
)
RECOGNISER = {
    "model": {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": {
            "@architectures": "spacy.Tok2Vec.v2",
            "embed": {
                "@architectures": "spacy.MultiHashEmbed.v2",
                "width": 96,
                "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE"],
                "rows": [5000, 1000, 2500, 2500, 50, 50],
                "include_static_vectors": False,
            },
            "encode": {
                "@architectures": "spacy.MaxoutWindowEncoder.v2",
                "width": 96,
                "depth": 4,
                "window_size": 1,
                "maxout_pieces": 3,
            },
        },
    }
}
"""As en_core_web_sm has it."""


@dataclass(frozen=True)
class _Pipe:
    nlp: Any
    name: str = "float32, nlp.pipe"

    def differs(self, texts: int) -> bool:
        """It is the only one."""
        return True

    def prepare(self, step: Step) -> list[str]:
        """It takes texts."""
        return step.texts

    def run(self, prepared: list[str]) -> None:
        """Texts to documents with entities."""
        for document in self.nlp.pipe(prepared):
            _ = document.ents


def build(material: Material) -> list[Peer]:
    """Make the pipeline.

    Raises:
        MissingPackages: spacy is not here.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingPackages(f"pip install {PACKAGES}") from error
    nlp = spacy.blank("en")
    recogniser = nlp.add_pipe("ner", config=RECOGNISER)
    for label in LABELS.split():
        recogniser.add_label(label)
    nlp.initialize()
    given = (
        "spacy.blank('en') with the tok2vec (width 96, depth 4) and ner of en_core_web_sm and its 18 labels, random "
        "weights, through nlp.pipe; text in, entities out; numpy's and blis' one thread"
    )
    return [Peer(NAME, f"spacy {spacy.__version__}", given, [_Pipe(nlp)])]
