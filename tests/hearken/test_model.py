"""`hearken.Model` and its streams: what they give is what the engine says, whoever asks, and however often."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings

import hearken
from hearken import Delete, End, Message, Model, Update
from stream.redaction.policy import RedactionPolicy
from tests.consumers.fakes import fake_engine
from tests.stream.fake_tagger import VOCABULARY
from tests.stream.helpers import brief, drain, tell
from tests.stream.streams import ALL, Step, messages, steps


def fake_model(*taggers: str, redact: RedactionPolicy | None = None) -> Model:
    return Model(fake_engine(taggers or ("ner",), coalesce=False, redaction=redact))


def offline(*texts: str) -> list[list[tuple[int, str, str]]]:
    """Spans of finished texts, each alone in a session, as the engine gives them."""
    engine = fake_engine(("ner",), coalesce=False)
    sent = [Update(session=f"s{i}", segment="u", text=x, final=True) for i, x in enumerate(texts)]
    return [brief(x.spans) for x in tell(engine, *sent)]


def sessions_of(model: Model) -> list[str]:
    """Names of the sessions that the engine knows."""
    return model._engine.intake.sessions


def words(segment: hearken.LiveSegment) -> list[tuple[str, str]]:
    return [(x.label, x.text) for x in segment.spans()]


def test_a_text_is_labelled_as_the_engine_labels_it() -> None:
    segment = fake_model().label("we met anna rice in rome")
    assert words(segment) == [("person", "anna rice"), ("place", "rome")]
    assert (segment.text, segment.final, segment.settled()) == ("we met anna rice in rome", True, 24)


def test_texts_do_not_see_each_other_and_leave_nothing_behind() -> None:
    model = fake_model()
    texts = ["anna", "there", "rome", "there"]
    assert [words(x) for x in model.label_all(texts)] == [[("person", "anna")], [], [("place", "rome")], []]
    assert model.label_all([]) == []
    assert sessions_of(model) == []
    assert not model._results
    assert not model._unanswered


def test_a_stream_grows_and_closes() -> None:
    stream = fake_model().stream("call")
    assert [brief(x.spans) for x in stream.replace("we met anna")] == [brief_of("person", "anna", 1)]
    assert stream.replace("we met anna") == []
    (grown,) = stream.append(" rice")
    assert [x.text for x in grown.spans] == ["anna rice"]
    assert (grown.session, grown.segment, grown.rev, grown.offset) == ("call", "1", 2, 2)
    (closed,) = stream.close()
    assert closed.final
    (other,) = stream.replace("rome", final=True)
    assert (other.segment, other.rev, other.final) == ("2", 4, True)
    assert stream.text == "we met anna rice\nrome" == stream.settled_text
    assert stream.end() == [] == stream.end()
    with pytest.raises(ValueError, match="has ended"):
        stream.append("more")


def brief_of(label: str, text: str, number: int) -> list[tuple[int, str, str]]:
    return [(number, label, text)]


def test_the_end_closes_what_is_open_and_frees_the_name() -> None:
    model = fake_model()
    with model.stream("call") as stream:
        stream.replace("anna")
        with pytest.raises(ValueError, match="'call' is open"):
            model.stream("call")
        last = stream.end()
    assert [x.final for x in last] == [True]
    assert stream.session.ended
    again = model.stream("call").replace("anna")
    assert [(x.rev, x.offset) for x in again] == [(1, 0)]


def test_a_block_that_fails_frees_the_stream() -> None:
    model = fake_model()
    with pytest.raises(hearken.InputError), model.stream("call") as stream:
        stream.replace("anna" * 20_000)
    assert model.stream("call").text == ""
    assert sessions_of(model) == []


def test_streams_without_a_name_get_one_each() -> None:
    model = fake_model()
    first, second = model.stream(), model.stream()
    assert [x.replace("anna")[0].session for x in (first, second)] == ["stream-1", "stream-2"]
    first.end()
    assert model.stream().name == "stream-1"


def test_a_bad_message_changes_nothing_and_is_not_counted() -> None:
    stream = fake_model().stream()
    stream.replace("anna")
    with pytest.raises(hearken.InputError, match="65536 characters"):
        stream.append("x" * 65_536)
    with pytest.raises(hearken.InputError, match="unknown_segment"):
        stream.delete("never")
    with pytest.raises(ValueError, match="'other', the stream is 'stream-1'"):
        stream.send(End(session="other"))
    assert stream.text == "anna"
    assert [x.offset for x in stream.append(" rice")] == [1]


def test_a_refused_text_leaves_the_others_of_its_call_unlabelled_and_nothing_behind() -> None:
    model = fake_model()
    with pytest.raises(hearken.InputError):
        model.label_all(["anna", "x" * 70_000])
    assert words(model.label("rome")) == [("place", "rome")]
    assert not model._results


def test_a_fault_of_labelling_is_told_and_the_stream_goes_on() -> None:
    model = fake_model()
    stream = model.stream()
    with pytest.raises(hearken.LabellingError, match="poison"):
        stream.replace("anna poison")
    assert words(model.label("rome")) == [("place", "rome")]
    assert [x.text for x in stream.replace("anna")[0].spans] == ["anna"]


def test_a_stream_that_redacts_gives_released_text_and_spans_without_text() -> None:
    model = fake_model(redact=RedactionPolicy(labels=frozenset({"person"}), style="numbered"))
    stream = model.stream()
    (revision,) = stream.replace("we met anna in", final=True)
    assert [(x.label, x.text) for x in revision.spans] == [("person", "")]
    assert stream.redacted_text == "we met [PERSON_1] in"
    assert [x.text for x in stream.redacted if isinstance(x, hearken.RedactedUpdate)] == [stream.redacted_text]
    assert model.label("bob said").redacted == "[PERSON_1] said"


@settings(max_examples=40)
@given(steps(VOCABULARY, ALL))
def test_the_state_is_what_the_engine_published_and_fits_the_text(script: Sequence[Step]) -> None:
    """Streams of one model, fed by turns: each has exactly the revisions of an engine that has all of its messages."""
    model, alone = fake_model("ner", "speech"), fake_engine(("ner", "speech"), coalesce=False)
    streams: dict[str, hearken.Stream] = {}
    offsets: dict[str, int] = {}
    for message in messages(script):
        if message.session not in streams:
            streams[message.session] = model.stream(message.session)
        stream, offset = streams[message.session], offsets.get(message.session, 0)
        offsets[message.session] = offset + 1
        alone.submit(message, offset)
        published = [x for result in drain(alone) for x in result.revisions]
        assert stream.send(message) == published
        check(stream, message)
        if isinstance(message, End):
            streams.pop(message.session).end()
            alone.drop(message.session)
            drain(alone)
            offsets.pop(message.session)


def check(stream: hearken.Stream, message: Message) -> None:
    for segment in stream.session.segments.values():
        text = segment.text
        assert text is not None or segment.deleted
        for span in segment.spans():
            assert (text or "")[span.start : span.end] == span.text
        assert 0 <= segment.settled() <= len(text or "")
        assert segment.rewrites == ()
    if isinstance(message, Delete):
        assert stream.segment(message.segment).deleted
        assert stream.segment(message.segment).spans() == []


def test_threads_share_a_model() -> None:
    """Each thread has its own stream; what one labels is none of the others' business."""
    model = fake_model("ner", "speech")
    texts = ["we met anna", "bob said may river", "rome there", "anna rice"]
    expected = offline(*texts)
    found: dict[int, list[list[tuple[int, str, str]]]] = {}

    def work(number: int) -> None:
        mine = []
        for text in texts:
            with model.stream(f"{number} {text}") as stream:
                for end in range(1, len(text)):
                    stream.replace(text[:end])
                mine.append([x for x in stream.replace(text, final=True) if x.tagger == "ner"])
        found[number] = [brief(x.spans) for (x,) in mine]

    threads = [threading.Thread(target=work, args=[i], daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [[[x[1:] for x in y] for y in found[i]] for i in range(4)] == 4 * [[[x[1:] for x in y] for y in expected]]


def test_arguments_that_cannot_be_used_are_named_as_arguments() -> None:
    with pytest.raises(hearken.LoadError, match=r"^taggers: .*no head 'nre'"):
        hearken.load("english", taggers=["nre"])
    with pytest.raises(hearken.LoadError, match=r"^taggers: .*'no-such' is none"):
        hearken.load("no-such")
    with pytest.raises(hearken.LoadError, match=r"^taggers: name at least one"):
        hearken.load(taggers=[])
    with pytest.raises(hearken.LoadError, match=r"^stability: "):
        hearken.load(taggers=["ner"], stability="hihg")
    with pytest.raises(hearken.LoadError, match=r"^redact_key: "):
        hearken.load(taggers=["ner"], redact="all", style="hash")
