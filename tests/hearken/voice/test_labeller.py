"""Labelling beside a pipeline: the newest text wins, no closed segment is left out, failures are told once."""

import asyncio

from hearken.voice.labeller import MAX_WAITING, LabelsLost, LiveLabeller, SegmentLabels
from hearken.voice.transcripts import Heard
from tests.hearken.voice.sources import FakeSource


class Listener:
    def __init__(self, source: FakeSource, **options: object) -> None:
        self.labels: list[SegmentLabels] = []
        self.errors: list[Exception] = []
        self.labeller = LiveLabeller(source, self.take, self.fail, **options)  # type: ignore[arg-type]

    async def take(self, labels: SegmentLabels) -> None:
        self.labels.append(labels)

    async def fail(self, error: Exception) -> None:
        self.errors.append(error)


async def test_labels_name_what_they_answer() -> None:
    here = Listener(FakeSource())
    here.labeller.hear(Heard("interim", "call anna", source=7))
    await asyncio.sleep(0.01)
    assert await here.labeller.finish(5)
    first, last = here.labels
    assert (first.text, first.heard.source, first.revision.final) == ("call anna", 7, False)
    assert [x.label for x in first.revision.spans] == ["person"]
    assert (last.text, last.heard.source, last.revision.final) == ("call anna", None, True)
    await here.labeller.drop()


async def test_of_the_interims_that_wait_the_newest_is_labelled_and_every_final() -> None:
    source = FakeSource(hold=asyncio.Event())
    here = Listener(source)
    here.labeller.hear(Heard("interim", "first"))
    await asyncio.sleep(0.01)  # it is being labelled
    for text in ("first anna", "first anna and"):
        here.labeller.hear(Heard("interim", text))
    here.labeller.hear(Heard("final", "first anna and bob"))
    for text in ("yes", "yes"):
        here.labeller.hear(Heard("final", text))
    here.labeller.hear(Heard("interim", "then"))
    assert source.hold is not None
    source.hold.set()
    assert await here.labeller.finish(5)
    assert [x.text for x in source.sent] == ["first", "first anna and bob", "yes", "yes", "then"]
    assert [x.final for x in source.sent] == [False, True, True, True, True]
    await here.labeller.drop()
    assert source.ended == ["voice"]


async def test_speakers_do_not_wait_for_each_other() -> None:
    source = FakeSource(hold=asyncio.Event())
    here = Listener(source)
    for speaker in ("a", "b"):
        here.labeller.hear(Heard("final", speaker, speaker))
    await asyncio.sleep(0.01)
    assert {x.session for x in source.sent} == {"voice/a", "voice/b"}
    await here.labeller.drop()


async def test_a_failure_is_told_once_and_labelling_goes_on() -> None:
    failing = True
    source = FakeSource(fails=lambda: RuntimeError("down") if failing else None)
    here = Listener(source)
    for text in ("one", "two", "three"):
        here.labeller.hear(Heard("final", text))
    while len(source.sent) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    failing = False
    here.labeller.hear(Heard("final", "anna"))
    assert await here.labeller.finish(5)
    assert [str(x) for x in here.errors] == ["down"]
    assert [x.text for x in here.labels] == ["three", "anna"] or [x.text for x in here.labels] == ["anna"]
    await here.labeller.drop()


async def test_too_many_segments_that_wait_are_told_of() -> None:
    source = FakeSource(hold=asyncio.Event())
    here = Listener(source)
    for number in range(MAX_WAITING + 3):
        here.labeller.hear(Heard("final", f"text {number}"))
    assert source.hold is not None
    source.hold.set()
    assert await here.labeller.finish(20)
    assert [type(x) for x in here.errors] == [LabelsLost]
    assert [x.text for x in source.sent] == [f"text {n}" for n in range(3, MAX_WAITING + 3)]
    await here.labeller.drop()


async def test_the_end_waits_for_no_longer_than_it_may_and_what_is_dropped_stays_away() -> None:
    source = FakeSource(hold=asyncio.Event())
    here = Listener(source)
    here.labeller.hear(Heard("final", "anna"))
    assert not await here.labeller.finish(0.02)
    await here.labeller.drop()
    assert source.hold is not None
    source.hold.set()
    await asyncio.sleep(0.01)
    assert here.labels == []
    assert here.errors == []
