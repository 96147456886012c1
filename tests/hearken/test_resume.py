"""`ResumableStream`: wherever connections break, there is one stream, which ends with the labels of the whole text."""

import re
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.verify.revision_checker import RevisionChecker
from hearken import Delete, End, Message, RedactedMessage, Revision, ServerError, Span, Update
from hearken.resume import END_FRAME, ResumableStream
from stream.messages.errors import InputError
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fakes import fake_engine
from tests.stream.fake_tagger import VOCABULARY
from tests.stream.helpers import drain
from tests.stream.streams import ALL, messages, steps

TAGGERS = ("ner", "speech")
PERSONS = RedactionPolicy(labels=frozenset({"person"}))
Answer = Revision | RedactedMessage | ServerError


class Connection:
    """What `/v1/stream` answers to the frames of one connection: an engine of its own, whose frames are counted."""

    def __init__(self, redacted: bool = False) -> None:
        self._engine = fake_engine(TAGGERS, coalesce=True, redaction=PERSONS if redacted else None)
        self._frames = 0
        self._redacted = redacted
        self.answers: list[Answer] = []
        """Those that the client has not received yet."""

    def take(self, frame: bytes) -> None:
        number = self._frames
        self._frames += 1
        told = [End(session=x) for x in self._engine.intake.sessions] if frame == END_FRAME else [decode(frame)]
        for message in told:
            try:
                self._engine.submit(message, number)
            except InputError as error:
                self.answers.append(ServerError(reason=error.reason, detail=error.detail, frame=number))

    def work(self) -> None:
        for result in drain(self._engine):
            self.answers += [x.message for x in result.redacted] if self._redacted else result.revisions


def decode(frame: bytes) -> Message:
    message: Message = msgspec.json.decode(frame, type=Message)
    return message


class Reader:
    """A client whose connections break."""

    def __init__(self, redacted: bool = False) -> None:
        self.stream = ResumableStream(redacted)
        self.connection: Connection | None = None
        self.redacted = redacted
        self.answers: list[Revision | RedactedMessage] = []

    def send(self, message: Message) -> None:
        frame = self.stream.send(message)
        self.answers += self.stream.take_answers()
        if self.connection is not None and frame is not None:
            self.connection.take(frame)

    def connect(self) -> None:
        self.connection = Connection(self.redacted)
        for frame in self.stream.resume():
            self.connection.take(frame)
        self.answers += self.stream.take_answers()

    def receive(self, most: int = 1_000_000) -> None:
        if self.connection is None:
            return
        self.connection.work()
        taken, self.connection.answers = self.connection.answers[:most], self.connection.answers[most:]
        for answer in taken:
            news = self.stream.receive(answer)
            assert not isinstance(news, ServerError), news
            self.answers += [news] if news is not None else []

    def finish(self) -> None:
        if self.connection is None:
            self.connect()
        assert self.connection is not None
        self.connection.take(self.stream.finish())
        self.receive()


def without_restarts(told: Sequence[Message]) -> list[Message]:
    """Messages up to the end of each session: one that begins again uses names of segments again."""
    ends = {x.session: i for i, x in reversed(list(enumerate(told))) if isinstance(x, End)}
    return [x for i, x in enumerate(told) if i <= ends.get(x.session, i)]


@st.composite
def scripts(draw: st.DrawFn) -> tuple[list[Message], list[str]]:
    """Messages, and what happens after each: nothing, answers are read, some are, the connection breaks, a new one."""
    told = without_restarts(messages(draw(steps(VOCABULARY, ALL))))
    events = st.sampled_from(["", "", "read", "read", "some", "break", "connect"])
    return told, draw(st.lists(events, min_size=len(told), max_size=len(told)))


def play(script: tuple[list[Message], list[str]], redacted: bool = False) -> Reader:
    reader = Reader(redacted)
    reader.connect()
    for message, event in zip(*script, strict=True):
        reader.send(message)
        if event in ("read", "some"):
            reader.receive(1_000_000 if event == "read" else 2)
        elif event == "break":
            reader.connection = None
        elif event == "connect":
            reader.connect()
    reader.finish()
    return reader


def unbroken(told: Sequence[Message], redacted: bool = False) -> Reader:
    return play((list(told), ["read"] * len(told)), redacted)


def edited(told: Sequence[Message]) -> set[tuple[str, str]]:
    """Segments that are touched after they closed."""
    closed: set[tuple[str, str]] = set()
    found: set[tuple[str, str]] = set()
    for x in told:
        if isinstance(x, End):
            continue
        key = x.session, x.segment
        if key in closed:
            found.add(key)
        if isinstance(x, Delete) or x.final:
            closed.add(key)
    return found


def final_labels(reader: Reader) -> dict[tuple[str, str, str], list[tuple[int, int, str, str]]]:
    return {
        (name, segment, tagger): [(x.start, x.end, x.label, x.text) for x in labels.spans]
        for name, session in reader.stream.state.sessions.items()
        for segment, y in session.segments.items()
        for tagger, labels in y.labels.items()
    }


@settings(max_examples=60)
@given(scripts())
def test_one_stream_whose_lists_are_exact_and_whose_final_labels_are_those_of_an_unbroken_one(
    script: tuple[list[Message], list[str]],
) -> None:
    reader = play(script)
    checker = RevisionChecker(reopened=edited(script[0]))
    for answer in reader.answers:
        assert isinstance(answer, Revision)
        checker.check(answer)
    assert checker.violations == []
    # What was not answered before its context was edited is labelled in the edited one.
    if not edited(script[0]):
        assert final_labels(reader) == final_labels(unbroken(script[0]))
    texts = {name: x.text for name, x in reader.stream.state.sessions.items()}
    for (name, segment, _), spans in final_labels(reader).items():
        text = reader.stream.state.segment(name, segment).text or ""
        assert texts[name] is not None
        assert all(text[start:end] == covered for start, end, _, covered in spans)


@settings(max_examples=40)
@given(scripts())
def test_an_unbroken_connection_is_passed_through(script: tuple[list[Message], list[str]]) -> None:
    told, server = script[0], Connection()
    stream = ResumableStream()
    for frame in stream.resume():
        server.take(frame)
    for message in told:
        frame = stream.send(message)
        if frame is not None:
            server.take(frame)
        server.work()
        for answer in server.answers:
            assert stream.receive(answer) == answer
        server.answers = []


@settings(max_examples=40)
@given(scripts())
def test_the_redacted_stream_goes_on_and_ends_as_an_unbroken_one(script: tuple[list[Message], list[str]]) -> None:
    reader = play(script, redacted=True)
    last: dict[str, int] = {}
    for answer in reader.answers:
        assert not isinstance(answer, Revision)
        assert answer.rev == last.get(answer.session, 0) + 1
        last[answer.session] = answer.rev
    if not edited(script[0]):
        assert released(reader) == released(unbroken(script[0], redacted=True))


def released(reader: Reader) -> dict[str, list[str]]:
    """Words of the released texts: words keep the form in which they were released first, which is history."""
    return {name: re.findall(r"\w+", x.redacted_text.lower()) for name, x in reader.stream.state.sessions.items()}


def update(text: str, segment: str = "u", final: bool = False) -> Update:
    return Update(session="s", segment=segment, text=text, final=final)


def span_of(reader: Reader) -> Span:
    """The span of the newest revision of the first tagger."""
    revision = next(x for x in reversed(reader.answers) if isinstance(x, Revision) and x.tagger == TAGGERS[0])
    (span,) = revision.spans
    return span


def test_a_span_keeps_its_id_over_a_break_and_what_is_no_news_is_not_told() -> None:
    reader = Reader()
    reader.connect()
    reader.send(update("rome we met anna", "first", final=True))
    reader.send(update("we met anna"))
    reader.receive()
    known = span_of(reader)
    count = len(reader.answers)
    reader.connect()
    reader.receive()
    assert len(reader.answers) == count
    reader.send(update("so we met anna rice"))
    reader.receive()
    revision = next(x for x in reader.answers[count:] if isinstance(x, Revision) and x.tagger == "ner")
    assert [(x.id, x.text) for x in revision.spans] == [(known.id, "anna rice")]
    assert (revision.added, revision.retracted, revision.changed[0].was.start) == ((), (), 7)
    assert revision.offset == 2


def test_what_was_rewritten_while_there_was_no_connection_is_retracted_by_its_input() -> None:
    reader = Reader()
    reader.connect()
    reader.send(update("we met anna"))
    reader.receive()
    reader.connection = None
    reader.send(update("we met rome"))
    reader.connect()
    reader.receive()
    revision = next(x for x in reversed(reader.answers) if isinstance(x, Revision) and x.tagger == "ner")
    assert [(x.text, x.cause) for x in revision.retracted] == [("anna", "input")]
    assert [x.text for x in revision.spans] == ["rome"]


def test_a_delete_without_a_connection_is_answered() -> None:
    reader = Reader()
    reader.connect()
    reader.send(update("we met anna"))
    reader.receive()
    reader.connection = None
    reader.send(Delete(session="s", segment="u"))
    reader.connect()
    reader.finish()
    last = [x for x in reader.answers if isinstance(x, Revision) and x.offset == 1]
    assert {x.tagger for x in last} == set(TAGGERS)
    assert all(x.final and not x.spans and x.retracted[0].cause == "delete" for x in last)


def test_appended_text_is_whole_after_a_break() -> None:
    reader = Reader()
    reader.connect()
    reader.send(update("we met"))
    reader.connection = None
    reader.send(Update(session="s", segment="u", text=" anna", mode="append"))
    reader.connect()
    reader.send(Update(session="s", segment="u", text=" rice", mode="append", final=True))
    reader.finish()
    assert span_of(reader).text == "anna rice"
    assert reader.stream.state.session("s").text == "we met anna rice"


def test_nothing_is_taken_after_the_end() -> None:
    stream = ResumableStream()
    stream.finish()
    with pytest.raises(ValueError, match="was ended"):
        stream.send(update("we"))
