"""What a service that makes no mistake writes, as lists that tests may spoil."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from consumers.common.settings import Guarantee
from consumers.formats.decode import BadInput, check_key, decode_message
from consumers.kafka.output.dead_letter import copy_record
from consumers.verify.oracle import RecordedTopics, verify_records
from consumers.verify.report import VerifyReport
from encoder.restart.policies import Always, Last, RestartPolicy
from stream.engine.engine import Engine
from stream.messages.errors import InputError
from stream.messages.types import Delete, End, Message, Revision, Update
from tests.stream.fake_tagger import fake_labeller

TOPIC = "in"
SPOILT = "fake"
TAGGERS = [("fake",), ("speech", "fake"), ("speech@other", "fake"), ("scored@other", "fake")]


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = -1
    topic: str = TOPIC


@dataclass
class Run:
    """Three topics as lists, to be spoilt."""

    inputs: list[Record]
    outputs: list[Record]
    letters: list[Record]
    policy: RestartPolicy
    exact: bool
    taggers: Sequence[str]

    def check(self, guarantee: Guarantee = "exactly_once", until: dict[int, int] | None = None) -> VerifyReport:
        said = RecordedTopics(self.inputs, self.outputs, self.letters)
        engine = Engine(fake_labeller(*self.taggers, poison=["poison"]), self.policy)
        return verify_records(said, engine, TOPIC, guarantee=guarantee, exact=self.exact, until=until)

    def find(self, session: str, rev: int) -> int:
        return next(i for i in self.places(session) if read(self.outputs[i]).rev == rev)

    def places(self, session: str) -> list[int]:
        """Where the revisions of the tagger that is spoilt lie."""
        is_of = lambda x: x.key == session.encode() and read(x).tagger == SPOILT  # noqa: E731
        return [i for i, x in enumerate(self.outputs) if is_of(x)]

    def change(self, at: int, **fields: object) -> None:
        self.outputs[at] = encode(msgspec.structs.replace(read(self.outputs[at]), **fields))


def read(record: Record) -> Revision:
    return msgspec.json.decode(record.value or b"", type=Revision)


def encode(revision: Revision) -> Record:
    return Record(0, 0, revision.session.encode(), msgspec.json.encode(revision), topic="out")


def serve(
    values: Sequence[tuple[bytes | None, bytes | None]],
    policy: RestartPolicy,
    coalesce: bool,
    taggers: Sequence[str] = TAGGERS[0],
) -> Run:
    """What a service would make of it; a key decides the partition, no key means the first."""
    inputs, letters = [], []
    headers = [("traceparent", b"00-11"), ("reason", None), ("reason", b"of its own")]
    ends = [0, 0]
    for key, value in values:
        partition = sum(key or b"") % 2
        inputs.append(Record(partition, ends[partition], key, value, headers))
        ends[partition] += 1
    engine = Engine(fake_labeller(*taggers, poison=["poison"]), policy, coalesce=coalesce)
    outputs: list[Record] = []
    by_place = {}

    def bury(record: Record, reason: str) -> None:
        letter = copy_record(reason, "x", record)
        letters.append(Record(0, len(letters), letter.key, letter.value, letter.headers))

    def drain() -> None:
        while engine.pending:
            result = engine.step()
            outputs.extend(map(encode, result.revisions))
            for failure in result.failures:
                bury(by_place[failure.session, failure.offset], "labelling_failed")

    for number, record in enumerate(inputs):
        try:
            message = decode_message(record.value)
            check_key(record.key, message)
            by_place[message.session, record.offset] = record
            engine.submit(message, record.offset)
        except (BadInput, InputError) as error:
            bury(record, error.reason)
        if number % 3 == 2:
            drain()
    drain()
    inputs.sort(key=lambda x: x.partition)
    return Run(inputs, outputs, letters, policy, not coalesce, taggers)


def update(session: str, segment: str, text: str, final: bool = False) -> Update:
    return Update(session=session, segment=segment, text=text, final=final)


STREAM: list[Message] = [
    update("a", "s", "we met anna"),
    update("b", "s", "may"),
    update("a", "s", "we met anna may"),
    update("b", "s", "may said"),
    update("a", "s", "we met anna may river", True),
    update("b", "t", "rome"),
    update("a", "t", "there"),
    update("b", "s", "may said bob", True),
    update("a", "t", "there rice"),
    update("a", "s", "we met bob", True),
    update("b", "u", "paris"),
    Delete(session="b", segment="u"),
    update("a", "t", "there rice peru", True),
    End(session="b"),
]
BAD: list[tuple[bytes | None, bytes | None]] = [
    (b"a", b"{"),
    (None, b"\xff"),
    (b"b", None),
    (b"b", msgspec.json.encode(update("a", "x", "anna"))),
    (b"a", msgspec.json.encode(Delete(session="a", segment="unheard"))),
]


def keyed(stream: Sequence[Message]) -> list[tuple[bytes | None, bytes | None]]:
    return [(x.session.encode(), msgspec.json.encode(x)) for x in stream]


def good(exact: bool = True, taggers: Sequence[str] = TAGGERS[0]) -> Run:
    values = keyed(STREAM)
    values[5:5] = BAD
    return serve(values, Always() if exact else Last(2), coalesce=not exact, taggers=taggers)
