"""From settings to a running engine."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from consumers.common.console import show_loading
from consumers.common.redaction import NO_REDACTION, RedactionSettings
from consumers.common.settings import DEFAULT_REMEMBER_SEGMENTS, POLICIES, EngineSettings, SettingError, suggest
from consumers.runtime.promises import ServedTagger, log_promises, make_watch, parse_alphas
from consumers.runtime.settled import choose_rules, log_settled, watch_settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoder.checkpoints.names import HeadChoice
    from stream.engine.engine import Engine
    from stream.labelling.hybrid import HybridLabeller
    from stream.revisions.emission import Emission
    from stream.revisions.score_thresholds import ScoreThresholds
    from stream.revisions.settled import SettledRules
    from stream.sessions.redactor import Redactor


def check_engine(settings: EngineSettings) -> None:
    """Check all names, without loading anything: commands refuse a wrong one at once, before anything that takes long.

    Raises:
        SettingError: an unknown tagger, policy or emission level, wrong thresholds, a tagger is named twice, or a share
            promised by hand is none.
    """
    parse_alphas(settings.promise_alpha or ())
    _choose_taggers(settings.taggers)
    _check_policy(settings.policy)
    _read_emission(settings.stability)
    _read_thresholds(settings.score_threshold)


def tagger_names(settings: EngineSettings) -> tuple[str, ...]:
    """Return the names of the taggers as revisions give them, without loading anything.

    Raises:
        SettingError: see `check_engine`.
    """
    return tuple(head for choice in _choose_taggers(settings.taggers) for head in choice.heads)


def build_engine(settings: EngineSettings, redaction: RedactionSettings = NO_REDACTION) -> "Engine":
    """Load taggers and build an engine, which redacts if labels are named. Takes seconds, and shows it.

    Raises:
        SettingError: see `check_engine`; or the device is missing, a checkpoint is damaged, the policy needs a number,
            or a threshold is that of a score that no tagger has.
    """
    with show_loading(f"tagger {', '.join(settings.taggers)}"):
        engine = load_engine(settings, redaction)
    warn_of_cache()
    return engine


def warn_of_cache() -> None:
    """Log once if nothing could be kept for the next start (`encoder.cache_folder`)."""
    from encoder.cache_folder import VARIABLE, write_failure

    failure = write_failure()
    if failure is not None:
        path, error = failure
        hint = f"the next start compiles again; set {VARIABLE} to a folder that can be written"
        structlog.get_logger().warning("cache_not_written", path=str(path), error=error.strerror, hint=hint)


def log_loaded(engine: "Engine", **fields: int) -> None:
    """Log the taggers of an engine, the number formats that they compute in, and what is promised of their labels."""
    names, formats = ", ".join(engine.tagger_names), ", ".join(engine.labeller.precisions)
    structlog.get_logger().info("tagger_loaded", tagger=names, number_format=formats, **fields)
    log_promises(engine.promises)
    log_settled(engine.rules, engine.promises.settled, engine.tagger_names)


def load_engine(settings: EngineSettings, redaction: RedactionSettings = NO_REDACTION) -> "Engine":
    """Load taggers and build an engine without showing anything; raises as `build_engine`."""
    # Compute has one core, Kafka and the event loop the other. Where torch computes, `set_num_threads` alone is too
    # late: it reaches the compute thread only with torch's first loop there, and oneDNN uses two threads until then.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from encoder.checkpoints.location import CheckpointError
    from encoder.restart.policies import parse_policy
    from encoder.restart.policy_text import PolicyError, most_cautious_policy, resolve_policy
    from encoder.runtime.gpu.device import DeviceError
    from encoder.tagger import load_tagger
    from encoder.tokenizer.incremental import TokenizerError
    from stream.engine.engine import Engine
    from stream.labelling.hybrid import HybridLabeller
    from stream.labelling.multi_model import MultiModelLabeller
    from stream.overload.budget import Budget
    from stream.overload.governor import Governor

    try:
        served = [
            ServedTagger(
                load_tagger(os.fspath(x.folder), number_format=settings.number_format, device=settings.device), x.heads
            )
            for x in _choose_taggers(settings.taggers)
        ]
        labellers = [HybridLabeller(x.tagger, x.heads) for x in served]
        own = most_cautious_policy([head.default_policy for labeller in labellers for head in labeller.heads])
        policy = resolve_policy(settings.policy, own)
    except (CheckpointError, TokenizerError) as error:
        raise SettingError("tagger", str(error)) from error
    except DeviceError as error:
        raise SettingError("device", str(error)) from error
    except PolicyError as error:
        raise SettingError("policy", str(error)) from error
    budget = None
    if settings.budget_gflops or settings.budget_share:
        gflops = settings.budget_gflops
        budget = Budget(1e9 * gflops) if gflops else Budget(settings.budget_share, "seconds")
    emission, rules = _read_emission(settings.stability), choose_rules(settings, served)
    return Engine(
        labellers[0] if len(labellers) == 1 else MultiModelLabeller(labellers),
        parse_policy(policy),
        coalesce=settings.coalesce,
        emission=emission,
        thresholds=_read_thresholds(settings.score_threshold, labellers),
        promises=make_watch(settings, served, emission, policy, watch_settled(rules, served, emission, policy)),
        rules=rules,
        idle_seconds=settings.idle_seconds,
        remember_seconds=settings.remember_seconds,
        remember_segments=settings.remember_segments or DEFAULT_REMEMBER_SEGMENTS,
        governor=Governor(settings.overload_seconds) if settings.overload_seconds else None,
        budget=budget,
        redactor=_make_redactor(redaction, labellers, rules),
    )


def _make_redactor(
    settings: RedactionSettings, labellers: "Sequence[HybridLabeller]", rules: "SettledRules"
) -> "Redactor | None":
    from stream.redaction.rule_covers import labels_of_rules, make_detector
    from stream.sessions.redactor import Redactor

    labels = {name: own for labeller in labellers for name, own in labeller.span_labels.items()}
    custom = settings.read_rules()
    by_rules = labels_of_rules(custom)
    policy = settings.make_policy(by_rules.union(*labels.values()))
    if policy is None:
        return None
    taggers = frozenset(name for name, own in labels.items() if policy.labels is None or own & policy.labels)
    detect = make_detector(custom) if policy.labels is None or by_rules & policy.labels else None
    return Redactor(policy, taggers, detect, rules)


def _choose_taggers(names: list[str]) -> "list[HeadChoice]":
    from encoder.checkpoints.location import CheckpointError
    from encoder.checkpoints.names import choose_taggers, shipped_names

    try:
        return choose_taggers(os.fspath(Path(name).expanduser()) for name in names)
    except CheckpointError as error:
        known = shipped_names()
        wrong = next((name for name in names if f"{name!r} is none" in str(error)), "")
        raise SettingError("tagger", str(error) + suggest(wrong, known)) from error


def _read_emission(level: str) -> "Emission":
    from stream.revisions.emission import EmissionError, parse_emission

    try:
        return parse_emission(level)
    except EmissionError as error:
        raise SettingError("stability", str(error) + suggest(level, ("low", "medium", "high"))) from error


def _read_thresholds(text: str, labellers: "Sequence[HybridLabeller] | None" = None) -> "ScoreThresholds":
    """Read thresholds; whether there are scores of these names is known once the taggers are loaded."""
    from stream.revisions.score_thresholds import ThresholdError, parse_thresholds

    try:
        thresholds = parse_thresholds(text)
        if labellers is not None:
            thresholds.check_names({name: x for labeller in labellers for name, x in labeller.text_scores.items()})
    except ThresholdError as error:
        raise SettingError("score_threshold", str(error)) from error
    return thresholds


def _check_policy(text: str) -> None:
    """Check a policy's syntax; whether the tagger has a number of its own is known once it is loaded."""
    from encoder.restart.policy_text import PolicyError, read_policy

    if text in ("default", "stability", "price"):
        return
    try:
        read_policy(text)
    except PolicyError as error:
        name = text.partition(":")[0]
        hint = "" if name in POLICIES else suggest(name, POLICIES)
        raise SettingError("policy", str(error) + hint) from error
