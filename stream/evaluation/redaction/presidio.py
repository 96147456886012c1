"""Presidio as a peer: its spans of a text, all types that it has at their default scores."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from stream.evaluation.redaction.samples import OTHERS_LABELS
from stream.rules.merge import RuleSpan

MODEL = "en_core_web_md"
"""Pipeline of spaCy that finds names."""


class PeerMissing(Exception):
    """A peer that is not installed; the message says what to install."""


def load_presidio() -> Callable[[str], Sequence[RuleSpan]]:
    """Return what finds spans by Presidio.

    Raises:
        PeerMissing: its packages, or the pipeline, are not installed.
    """
    if missing := [x for x in ("presidio_analyzer", MODEL) if find_spec(x) is None]:
        raise PeerMissing(f"{', '.join(missing)} not installed")
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": "en", "model_name": MODEL}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    analyzer = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])

    def find(text: str) -> list[RuleSpan]:
        found = analyzer.analyze(text=text, language="en")
        return [RuleSpan(x.start, x.end, OTHERS_LABELS.get(x.entity_type, x.entity_type), x.score) for x in found]

    return find
