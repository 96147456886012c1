"""What the service tells of its promises: fates and evidence in /metrics, an event at the start and at an alarm."""

import msgspec
import pytest
from structlog.testing import capture_logs

from consumers.runtime.promises import log_promise_alarm, log_promises
from encoder.restart.policies import Last
from stream.engine.engine import Engine
from stream.messages.types import End, Message, Update
from stream.revisions.promise_watch import PromiseWatch
from tests.consumers.fake_kafka import IN, FakeKafka
from tests.consumers.http import test_metrics
from tests.consumers.http.test_metrics import serving
from tests.consumers.kafka.test_service import FIRST
from tests.stream.fake_tagger import fake_labeller


def call(session: str, *, breaks: bool) -> list[Message]:
    """A session with two persons; the second is withdrawn by the model when its segment closes, if `breaks`."""

    def say(segment: str, text: str, final: bool = False) -> Update:
        return Update(session=session, segment=segment, text=text, final=final)

    return [
        say("a", "anna"),
        say("a", "anna", True),
        say("u", "there"),
        say("b", "we" if breaks else "bob", True),
        say("u", "there", True),
        End(session=session),
    ]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> PromiseWatch:
    promised = {("ner", "person"): 0.1, ("ner", "place"): 0.1}
    made = PromiseWatch(promised, 0.01, log_promise_alarm, (("ner", "time"),))
    engine = Engine(fake_labeller("ner"), Last(3), promises=made)
    monkeypatch.setattr(test_metrics, "fake_engine", lambda *names, **options: engine)
    return made


@pytest.mark.parametrize("breaks", [False, True])
async def test_the_service_tells_fates_and_evidence_and_rings_once(watch: PromiseWatch, breaks: bool) -> None:
    kafka, calls = FakeKafka(), 12
    with capture_logs() as logs:
        async with serving(kafka) as site:
            for number in range(calls):
                for message in call(f"s{number}", breaks=breaks):
                    await kafka.append(IN, msgspec.json.encode(message), message.session.encode())
            await kafka.until(lambda: kafka.committed.get(FIRST) == 6 * calls)
            told = await site.read()
    lost = calls if breaks else 0
    fates = {x[1:]: value for x, value in told.items() if x[0] == "hearken_promise_spans_total"}
    assert fates.pop(("person", "taken_back", "ner"), 0) == lost
    assert fates == {("person", "stood", "ner"): 2 * calls - lost}
    evidence = told["hearken_promise_evidence", "person", "ner"]
    assert told["hearken_promise_sessions", "person", "ner"] == calls
    assert told["hearken_promise_alpha", "person", "ner"] == 0.1
    assert told["hearken_promise_alarm", "person", "ner"] == (evidence >= 2) == breaks
    assert told["hearken_promise_evidence", "place", "ner"] == told["hearken_promise_alarm", "place", "ner"] == 0
    assert told["hearken_promise_evidence_all", "ner"] == pytest.approx(watch.merged("ner"))
    assert ("hearken_promise_evidence", "time", "ner") not in told
    rung = [x for x in logs if x["event"] == "promise_broken"]
    assert [(x["log_level"], x["tagger"], x["label"], x["alpha"]) for x in rung] == (
        [("warning", "ner", "person", 0.1)] if breaks else []
    )


def test_the_start_says_what_is_watched_and_what_is_not(watch: PromiseWatch) -> None:
    with capture_logs() as logs:
        log_promises(watch)
    assert [(x["event"], x["tagger"], x.get("alphas"), x.get("labels")) for x in logs] == [
        ("promises_watched", "ner", {"person": 0.1, "place": 0.1}, None),
        ("promises_missing", "ner", None, ["time"]),
    ]
