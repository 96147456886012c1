"""Taggers in this process: `load`, one-shot labels, and live streams."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from consumers.common.redaction import RedactionSettings
from consumers.common.settings import OFFLINE, EngineSettings, SettingError
from hearken.messages import Message, Update
from hearken.state import LiveSegment, LiveState, apply
from hearken.stream import Stream, StreamChange

if TYPE_CHECKING:
    from stream.engine.engine import Engine
    from stream.sessions.step_result import StepResult

Style = Literal["label", "numbered", "mask", "hash", "surrogate"]


class LoadError(ValueError):
    """Arguments of `load` that cannot be used: an unknown tagger, a damaged checkpoint, a wrong label to redact."""


def load(
    checkpoint: str | PathLike[str] = "english",
    taggers: Iterable[str] | None = None,
    *,
    redact: Iterable[str] | str | None = None,
    style: Style = "label",
    release: str = "settled",
    redact_key: str | None = None,
    redact_rules: str | PathLike[str] | None = None,
    stability: str = "medium",
    policy: str = "default",
    device: str = "auto",
) -> "Model":
    """Load taggers into this process. Takes about a second; nothing is fetched.

    Args:
        checkpoint: a shipped checkpoint, or a folder that `hearken train` or `hearken import` wrote.
        taggers: names of its heads, such as "ner", "pii", "moderation"; by default all of them.
        redact: labels to cover in the redacted text, or "all"; None: nothing is redacted. With it, spans of revisions
            have no text.
        style: what stands in place of a covered value (docs/redaction.md).
        release: when redacted text goes out: "settled", "final" or "words:K".
        redact_key: secret of hashes, for style "hash".
        redact_rules: file with rules of your own.
        stability: how stable a span must be before it is shown: "low", "medium" or "high".
        policy: restart policy.
        device: "auto" (the CPU), "cpu" or "cuda".

    Raises:
        LoadError: there is no such checkpoint or tagger, or another argument is not valid.

    Examples:
        >>> import hearken
        >>> model = hearken.load("english", taggers=["ner"])
        >>> model.taggers
        ('ner',)
    """
    from consumers.runtime.engine_factory import check_engine, load_engine

    place = fspath(checkpoint)
    if isinstance(taggers, str):
        taggers = [taggers]
    names = [place] if taggers is None else [f"{place}:{name}" for name in taggers]
    if not names:
        raise LoadError("taggers: name at least one, or leave the argument out for all of the checkpoint")
    try:
        settings = EngineSettings(tagger=names, stability=stability, policy=policy, device=device, **OFFLINE)
        redaction = RedactionSettings(
            redact=redact if redact is None or isinstance(redact, str) else ",".join(redact),
            release=release,
            redact_style=style,
            redact_key=redact_key,
            redact_rules=None if redact_rules is None else Path(redact_rules),
        )
        check_engine(settings)
        return Model(load_engine(settings, redaction))
    except SettingError as error:
        argument = _ARGUMENTS.get(error.name, error.name)
        raise LoadError(f"{argument}: {error.detail}") from error


_ARGUMENTS = {"tagger": "taggers", "redact_style": "style"}
"""Arguments of `load` whose settings have another name."""


class Model:
    """Loaded taggers, which label texts and streams of text. May be used by several threads; `load` makes it.

    Work of several threads is labelled together, in one pass where that is possible.

    Attributes:
        taggers: their names, as revisions give them.
        labels: the labels of each tagger.
        redacts: whether streams have a redacted text.
    """

    def __init__(self, engine: "Engine") -> None:
        self.taggers: tuple[str, ...] = engine.tagger_names
        self.labels: Mapping[str, tuple[str, ...]] = {
            name: tuple(sorted(labels)) for name, labels in engine.labeller.span_labels.items()
        }
        self.redacts = engine.redactor is not None
        self._engine = engine
        self._stepping = threading.Lock()
        """Held by the thread that computes; the others find their results when it lets go."""
        self._submitting = threading.Lock()
        self._results: dict[str, StreamChange] = defaultdict(StreamChange)
        self._unanswered: dict[str, set[int]] = {}
        """Numbers of the messages of each session that wait for their results."""
        self._sessions: set[str] = set()
        self._texts = count(1)

    def label(self, text: str) -> LiveSegment:
        """Label one finished text.

        Examples:
            >>> import hearken
            >>> segment = hearken.load("english", taggers=["ner"]).label("we met anna rice in rome")
            >>> [(span.label, span.text) for span in segment.spans("ner")]
            [('person', 'anna rice'), ('place', 'rome')]

        Returns:
            Its labels by tagger (`LiveSegment.labels`), and its redacted text if the model redacts.

        Raises:
            InputError: the text has over 65,536 characters or a half of a surrogate pair.
            LabellingError: labelling failed.
        """
        return self.label_all([text])[0]

    def label_all(self, texts: Iterable[str]) -> list[LiveSegment]:
        """Label finished texts, independently of each other; results are in order. Raises as `label`."""
        sessions: list[tuple[str, Update]] = []
        try:
            for text in texts:
                name = f"{_TEXTS}{next(self._texts)}"
                sessions.append((name, Update(session=name, segment="text", text=text, final=True)))
                self._submit(sessions[-1][1], 0)
            return [self._finish(message) for _, message in sessions]
        finally:
            self._drop([name for name, _ in sessions])

    def stream(self, session: str | None = None) -> Stream:
        """Open a stream of text that is still arriving; end it, or leave its `with` block, to free it.

        Args:
            session: its name in revisions; by default "stream-1" and so on.

        Raises:
            ValueError: a stream of this name is open.
        """
        if session is None:
            session = next(x for x in (f"stream-{number}" for number in count(1)) if x not in self._sessions)
        if session in self._sessions or session.startswith(_TEXTS):
            raise ValueError(f"a stream {session!r} is open: end it first, or give this one another name")
        self._sessions.add(session)
        return Stream(session, self._send, self._close)

    def _finish(self, message: Update) -> LiveSegment:
        change = self._wait(message.session)
        change.check()
        state = change.apply_to(apply(LiveState(), message))
        return state.segment(message.session, message.segment)

    def _send(self, message: Message, offset: int) -> StreamChange:
        """Label one message of a stream; returns what came of it."""
        self._submit(message, offset)
        return self._wait(message.session)

    def _submit(self, message: Message, offset: int) -> None:
        with self._submitting:  # or its answer could come before it is waited for
            self._engine.submit(message, offset)
            self._unanswered.setdefault(message.session, set()).add(offset)

    def _wait(self, session: str) -> StreamChange:
        """Step until all of a session is answered; returns its results."""
        while self._unanswered.get(session):
            with self._stepping:
                if self._unanswered.get(session):
                    self._take(self._engine.step())
        self._unanswered.pop(session, None)
        return self._results.pop(session, StreamChange())

    def _take(self, result: "StepResult") -> None:
        """Keep the results of a step for the threads that wait for them."""
        for revision in result.revisions:
            self._results[revision.session].revisions.append(revision)
        for output in result.redacted:
            self._results[output.session].redacted.append(output.message)
        for settled in result.settled:
            self._results[settled.session].settled.append(settled)
        for failure in result.failures:
            self._results[failure.session].failure = failure.error
        with self._submitting:
            for answer in result.answered:
                self._unanswered.get(answer.session, set()).discard(answer.offset)

    def _close(self, session: str) -> None:
        self._drop([session])
        self._sessions.discard(session)

    def _drop(self, sessions: Sequence[str]) -> None:
        """Free what the engine remembers of sessions that nobody can name any more."""
        with self._stepping:
            for name in sessions:
                self._engine.drop(name)
            self._take(self._engine.step())
            for name in sessions:
                self._unanswered.pop(name, None)
                self._results.pop(name, None)


_TEXTS = "*text "
"""Beginning of the sessions' names of single texts."""
