"""/v1/redact, and the redacted stream of a WebSocket and of the live page."""

import io
import json

from consumers.formats.line_reader import LineReader
from consumers.formats.readers import NormalReader
from consumers.http.frontend import HttpFrontend
from consumers.http.live.model import LiveModel, LiveObserver
from consumers.http.settings import HttpSettings
from consumers.runtime.tag_lines import TagRun
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.engine.worker import StepBatch
from stream.messages.types import Update
from stream.redaction.policy import RedactionPolicy
from stream.redaction.rule_covers import make_detector
from stream.sessions.redactor import Redactor
from tests.consumers.http.gateways import Served, served, until
from tests.consumers.http.sites import asking, make_context
from tests.consumers.http.test_stream import BAD, END, talking, update
from tests.stream.fake_tagger import FakeLabeller, fake_labeller

KEY = b"a key of the test"


def redactor(**policy: object) -> Redactor:
    return Redactor(RedactionPolicy(**policy))  # type: ignore[arg-type]


async def ask(here: Served, body: object) -> tuple[int, dict[str, object]]:
    async with asking(make_context(worker=here.worker, gateway=here.desk)) as client:
        response = await client.post("/v1/redact", json=body)
        return response.status_code, response.json()


async def test_a_text_comes_back_redacted_with_offsets_of_both_texts() -> None:
    text = "We met Anna, Bob and anna in Rome \U0001f600."
    async with served() as here:
        code, answer = await ask(here, {"text": text, "labels": ["person"], "style": "numbered"})
    assert (code, answer["text"]) == (200, "We met [PERSON_1], [PERSON_2] and [PERSON_1] in Rome \U0001f600.")
    spans = answer["spans"]
    assert [text[x["start"] : x["end"]] for x in spans] == ["Anna", "Bob", "anna"]
    shown = [str(answer["text"])[x["redacted_start"] : x["redacted_end"]] for x in spans]
    assert shown == ["[PERSON_1]", "[PERSON_2]", "[PERSON_1]"]
    assert {x["label"] for x in spans} == {"person"}


async def test_what_the_request_leaves_out_is_as_the_service_was_started() -> None:
    policy = redactor(labels=frozenset({"place"}), style="hash", key=KEY)
    async with served(redactor=policy) as here:
        code, answer = await ask(here, {"text": "anna is in rome"})
        assert code == 200
        assert str(answer["text"]).startswith("anna is in [PLACE:")
        code, answer = await ask(here, {"text": "anna is in rome", "labels": ["all"], "style": "label"})
        assert answer["text"] == "[PERSON] is in [PLACE]"


async def test_a_request_that_cannot_be_fulfilled_is_refused() -> None:
    async with served() as here:
        for body, reason in (
            ({"text": "anna", "labels": ["phon"]}, "unknown_label"),
            ({"text": "anna", "labels": []}, "unknown_label"),
            ({"text": "anna", "style": "hash"}, "no_key"),
            ({"text": "anna", "style": "blur"}, "invalid_message"),
            ({"texts": ["anna"]}, "invalid_message"),
            ({"text": "anna " * 10_000}, "text_too_long"),
        ):
            code, answer = await ask(here, body)
            assert (code, answer["error"]) == (422, reason)
            assert "anna" not in str(answer["detail"])


async def test_a_text_that_cannot_be_labelled_is_not_sent_back() -> None:
    async with served() as here:
        code, answer = await ask(here, {"text": "anna poison"})
    assert (code, answer["error"]) == (500, "labelling_failed")


async def test_a_websocket_gives_the_redacted_stream() -> None:
    async with served(redactor=redactor(), taggers=["fake"]) as here, talking(here, "output=redacted") as socket:
        await socket.send(update("we met"), update("we met anna and"), update("We met Anna and Bob", final=True))
        await socket.send(*(frame for frame, _ in BAD[:5]), {"type": "delete", "session": "call", "segment": "u"}, END)
        frames, closed = await socket.rest()
        assert closed.code == 1000
        said = [x for x in frames if x["type"] == "update"]
        assert [x["session"] for x in said] == ["call"] * len(said)
        assert (said[-1]["text"].lower(), said[-1]["final"]) == ("we met [person] and [person]", True)
        assert [x["type"] for x in frames if x["type"] not in ("update", "error")] == ["delete", "end"]
        assert "anna" not in json.dumps(frames).lower()


async def test_every_door_gives_the_same_answer_for_the_same_text() -> None:
    texts = [
        "We met Anna and Bob, her card is 4111 1111 1111 1111.",
        "my number is oh seven seven double oh nine double oh one two three no sorry four",
        "it's [PERSON_1] or anna.rice@example.org in Rome \U0001f600",
    ]
    policy = RedactionPolicy(style="numbered")
    answers: list[list[str]] = []
    for door in ("post", "websocket", "tag"):
        redactor = Redactor(policy, None, make_detector())
        async with served(redactor=redactor, taggers=["fake"]) as here:
            if door == "post":
                answers.append([str((await ask(here, {"text": x}))[1]["text"]) for x in texts])
                continue
            lines = [update(x, session=str(i), final=True) for i, x in enumerate(texts)]
            if door == "websocket":
                async with talking(here, "output=redacted", max_sessions=8) as socket:
                    await socket.send(*lines, {"type": "end"})
                    said, _ = await socket.rest()
            else:
                engine = Engine(FakeLabeller(), Last(3), redactor=redactor)
                out = io.BytesIO()
                TagRun(engine, NormalReader(), False, out, io.StringIO()).run(
                    LineReader(io.BytesIO(b"\n".join(json.dumps(x).encode() for x in lines)))
                )
                said = [json.loads(x) for x in out.getvalue().splitlines()]
            answers.append([x["text"] for x in said if x["type"] == "update"])
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == "We met [PERSON_1] and [PERSON_2], her card is [CARD_1]."


async def test_a_websocket_without_redaction_says_so() -> None:
    for query, word in (("output=redacted", "--redact"), ("output=raw", "redacted")):
        async with served() as here, talking(here, query) as socket:
            frames, closed = await socket.rest()
            assert closed.code == 4400
            assert word in frames[0]["detail"]


def shown(withheld: str = "omit", raw: bool = False, hash_ids: bool = False) -> LiveModel:
    """The live page's model after a service has labelled an open segment, as it redacts and shows raw texts."""
    policy = RedactionPolicy(withheld=withheld, hash_ids=hash_ids, key=KEY)  # type: ignore[arg-type]
    engine = Engine(fake_labeller("ner"), Last(3), redactor=Redactor(policy))
    live = LiveModel()
    observer = LiveObserver(live, True, raw, Redactor(policy).hide_name)
    for offset, text in enumerate(["we met anna and", "we met anna and then bob"]):
        message = Update(session="call", segment="bob", text=text)
        engine.submit(message, offset)
        observer.on_message(message)
        while engine.pending:
            observer.on_step(StepBatch(engine.step(), [], 0.0))
    return live


def test_the_live_page_shows_what_is_released_and_blocks_for_the_rest_if_they_are_wanted() -> None:
    (segment,) = shown().snapshot("call")["segments"]
    assert segment["text"] == "we met [PERSON] and then"
    assert segment["redacted"]["released"] == len(segment["text"])
    assert segment["redacted"]["redactions"] == [{"start": 7, "end": 15, "label": "person"}]
    (segment,) = shown("masked").snapshot("call")["segments"]
    assert segment["text"] == "we met [PERSON] and then ███"
    assert segment["text"][: segment["redacted"]["released"]] == "we met [PERSON] and then"
    assert segment["spans"] == {}


def test_the_live_page_shows_raw_texts_and_their_labels_beside_the_redacted_ones_if_it_may() -> None:
    (segment,) = shown(raw=True, hash_ids=True).snapshot("call")["segments"]
    assert segment["text"] == "we met anna and then bob"
    assert [x.text for x in segment["spans"]["ner"]] == ["anna", "bob"]
    redacted = segment["redacted"]
    assert redacted["text"] == "we met [PERSON] and then"
    assert segment["text"][redacted["source"] :] == " bob"


def test_the_live_page_has_no_raw_ids_if_they_are_hashed() -> None:
    live = shown(hash_ids=True)
    (session,) = live.sessions()
    said = json.dumps([session, live.snapshot(session["session"])])
    assert "[PERSON]" in said
    assert "call" not in said
    assert "bob" not in said


async def test_the_live_page_shows_the_redacted_stream_alone() -> None:
    async with served(redactor=redactor()) as here:
        front = HttpFrontend(HttpSettings(port=0), here.worker)
        seen = []
        here.desk.on_step, desk_step = (
            lambda batch: (front.observer.on_step(batch), desk_step(batch)),
            here.desk.on_step,
        )
        front.observer.on_message(Update(session="s", segment="a", text="we met anna", final=True))
        await here.worker.submit(Update(session="s", segment="a", text="we met anna", final=True), 0)
        await until(lambda: bool(front.live.sessions()))
        seen = json.dumps([front.live.sessions(), front.live.snapshot("s")])
        assert "[PERSON]" in seen
        assert "anna" not in seen
