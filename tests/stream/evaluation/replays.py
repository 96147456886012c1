"""Replays as tests make them."""

from collections.abc import Sequence

from stream.evaluation.policy_evaluation import evaluate_policies
from stream.evaluation.replay.stream_replay import NO_LEVELS, StreamReplay, ignore_progress
from stream.evaluation.replay.update_stream import message_stream, word_stream
from stream.labelling.hybrid import HybridLabeller
from tests.stream.hybrid import shared_tagger
from tests.tiny import LABELS


def replay_words(labeller, policy, examples, names=LABELS, *, closing, levels=NO_LEVELS, tagger=None) -> StreamReplay:
    return StreamReplay(labeller, policy, word_stream(examples, names, closing=closing), levels, tagger)


def replay_messages(policy, messages, levels=NO_LEVELS) -> StreamReplay:
    tagger = shared_tagger()
    return StreamReplay(HybridLabeller(tagger), policy, message_stream(messages), levels, tagger)


def evaluate_policy(tagger, policy: str, examples, *, name, closing, stability: Sequence[str] = ()):
    return evaluate_policies(
        tagger, {policy: ignore_progress}, name=name, examples=examples, closing=closing, stability=stability
    )
