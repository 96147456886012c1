"""What consumer groups really do with aiokafka: the facts that rebalances, fences and restores stand on."""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError

from tests.kafka.rig import PARTITIONS, Place, administering, take
from tests.waiting import PATIENCE


class Listener(ConsumerRebalanceListener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.revoked: list[set[int]] = []
        self.assigned: list[set[int]] = []
        self.changed = asyncio.Condition()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.revoked.append({at.partition for at in revoked})

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.assigned.append({at.partition for at in assigned})
        async with self.changed:
            self.changed.notify_all()

    async def until(self, partitions: int) -> None:
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(lambda: self.assigned and len(self.assigned[-1]) == partitions)


async def join(
    stack: AsyncExitStack, place: Place, listener: ConsumerRebalanceListener, **options: object
) -> AIOKafkaConsumer:
    member = place.member(**options)
    await stack.enter_async_context(member)
    member.subscribe([place.topic], listener=listener)
    return member


async def test_every_rebalance_takes_all_partitions_from_all(place: Place) -> None:
    """Eager: who keeps two of four partitions is told that all four are revoked, and asked to stop them all."""
    await place.make_topics()
    first, second = Listener(), Listener()
    async with AsyncExitStack() as stack:
        await join(stack, place, first)
        await first.until(PARTITIONS)
        async with AsyncExitStack() as later:
            await join(later, place, second)
            await first.until(PARTITIONS // 2)
            await second.until(PARTITIONS // 2)
            assert first.revoked[-1] == {0, 1, 2, 3}
            assert first.assigned[-1] | second.assigned[-1] == {0, 1, 2, 3}
        await first.until(PARTITIONS)  # the second left: its LeaveGroup is not waited for any longer than a heartbeat


async def test_records_come_while_the_partition_is_still_being_restored(place: Place) -> None:
    """`getmany` hands out records before `on_partitions_assigned` has returned (aiokafka issue 738)."""
    await place.make_topics()
    await place.produce([b"early"])
    restored = asyncio.Event()

    class Restoring(Listener):
        async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
            await restored.wait()

    async with AsyncExitStack() as stack:
        member = await join(stack, place, Restoring())
        records = await take(member, 1)
        assert [record.value for record in records] == [b"early"]
        assert not restored.is_set()
        restored.set()


async def test_a_partition_that_is_paused_at_once_gives_nothing_before_it_is_resumed(place: Place) -> None:
    """The gate against that: pause first thing in the listener, restore, resume."""
    await place.make_topics()
    await place.produce([b"early"])
    paused, restored = asyncio.Event(), asyncio.Event()

    class Gated(Listener):
        async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
            member.pause(*assigned)
            paused.set()
            await restored.wait()
            member.resume(*assigned)

    async with AsyncExitStack() as stack:
        member = await join(stack, place, Gated())
        async with asyncio.timeout(PATIENCE):
            await paused.wait()
        assert not await member.getmany(timeout_ms=300)
        restored.set()
        assert [record.value for record in await take(member, 1)] == [b"early"]


async def test_what_a_listener_raises_is_swallowed(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The group goes on as if the listener had done its work: it must carry its failures out by itself."""
    await place.make_topics()
    await place.produce([b"x"])

    class Broken(Listener):
        async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
            raise ArithmeticError("the restore failed")

    async with AsyncExitStack() as stack:
        member = await join(stack, place, Broken())
        assert len(await take(member, 1)) == 1
    assert "the restore failed" in caplog.text


async def test_a_blocked_event_loop_gets_a_member_evicted(place: Place) -> None:
    """Heartbeats run on the loop. A member that stood still learns it only from its commit."""
    await place.make_topics()
    await place.produce([b"x"])
    first, second = Listener(), Listener()
    async with AsyncExitStack() as stack:
        member = await join(stack, place, first, session_timeout_ms=1000)
        await take(member, 1)
        time.sleep(2.5)  # as a model on the loop would  # noqa: ASYNC251
        with pytest.raises(CommitFailedError):
            await member.commit({place.partition(): 1})
        assert await place.committed(place.partition()) is None
        await join(stack, place, second)
        await second.until(PARTITIONS // 2)


async def test_a_revocation_is_the_last_moment_to_commit(place: Place) -> None:
    """What was not committed before the revocation ends cannot be committed any more, and is read again."""
    await place.make_topics()
    await place.produce([b"x"] * 3)
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Listener):
        async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
            if self.assigned:
                entered.set()
                await leave.wait()

    listener, second = Slow(), Listener()
    async with AsyncExitStack() as stack:
        member = await join(stack, place, listener)
        await take(member, 3)
        await member.commit({place.partition(): 1})
        await join(stack, place, second)
        async with asyncio.timeout(PATIENCE):
            await entered.wait()
            # Inside of the revocation the old generation is still good: the last moment to commit.
            await member.commit({place.partition(): 2})
            leave.set()
            await second.until(PARTITIONS // 2)
            await listener.until(PARTITIONS // 2)
        lost = next(at for at in range(PARTITIONS) if at in second.assigned[-1])
        with pytest.raises((CommitFailedError, IllegalStateError)):
            await member.commit({place.partition(lost): 3})
    assert await place.committed(place.partition()) == 2


async def test_a_static_member_does_not_say_goodbye(place: Place) -> None:
    """With `group_instance_id` a stop sends no LeaveGroup: back in time it has its partitions; nobody else stops."""
    await place.make_topics()
    await place.produce([b"x"])
    other, gone, back = Listener(), Listener(), Listener()
    options = {"session_timeout_ms": 10_000}
    async with AsyncExitStack() as stack:
        await join(stack, place, other, group_instance_id="b", **options)
        await other.until(PARTITIONS)
        async with AsyncExitStack() as first_life:
            await join(first_life, place, gone, group_instance_id="a", **options)
            await other.until(PARTITIONS // 2)
            await gone.until(PARTITIONS // 2)
        seen = len(other.revoked)
        async with administering(place.address) as admin:
            group = (await admin.describe_consumer_groups([place.group]))[0].groups[0]
            assert len(group[5]) == 2, "the one that stopped is still counted"
        await join(stack, place, back, group_instance_id="a", **options)
        await back.until(PARTITIONS // 2)
        assert back.assigned[-1] == gone.assigned[-1]
        assert len(other.revoked) == seen


def sticky() -> type[StickyPartitionAssignor]:
    """A class of one's own."""
    return type("Sticky", (StickyPartitionAssignor,), {})


async def shared_out(listeners: Sequence[Listener], partitions: int) -> None:
    """Wait until each has its even share."""
    async with asyncio.timeout(PATIENCE):
        while True:
            sizes = [len(listener.assigned[-1]) for listener in listeners if listener.assigned]
            if len(sizes) == len(listeners) and sum(sizes) == partitions and max(sizes) - min(sizes) <= 1:
                return
            await asyncio.sleep(0.02)


async def test_with_a_class_of_its_own_the_sticky_assignor_moves_what_it_must(place: Place) -> None:
    """The only assignor that spares restores; it must be told apart from others in the process."""
    await place.make_topics(partitions=9)
    listeners: list[Listener] = []
    async with AsyncExitStack() as stack:
        for _ in range(3):
            before = [listener.assigned[-1] for listener in listeners]
            listeners.append(Listener())
            await join(stack, place, listeners[-1], partition_assignment_strategy=(sticky(),))
            await shared_out(listeners, 9)
            for listener, had in zip(listeners, before, strict=False):
                assert listener.assigned[-1] < had


async def test_the_sticky_assignor_keeps_its_memory_in_its_class(place: Place) -> None:
    """Two members in one process overwrite each other's claims, and each then claims what the last one got."""
    await place.make_topics(partitions=9)
    listeners: list[Listener] = []
    shared = sticky()
    async with AsyncExitStack() as stack:
        for _ in range(2):
            listeners.append(Listener())
            await join(stack, place, listeners[-1], partition_assignment_strategy=(shared,))
            await shared_out(listeners, 9)
        assert {at.partition for at in shared.member_assignment or ()} in [x.assigned[-1] for x in listeners]
        assert shared.generation == -1, "nor does it ever learn the generation that would tell old claims from new ones"


MORTAL = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main(broker, topic, group):
    options = {"session_timeout_ms": 1000, "heartbeat_interval_ms": 200}
    async with AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=group, **options) as member:
        await member.getmany(timeout_ms=60_000)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_dead_are_missed_after_their_session_timeout(place: Place) -> None:
    """A killed member holds its partitions until the group has not heard of it for the session timeout."""
    await place.make_topics()
    alive = Listener()
    async with AsyncExitStack() as stack:
        await join(stack, place, alive)
        await alive.until(PARTITIONS)
        dead = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MORTAL, place.address, place.topic, place.group
        )
        try:
            await alive.until(PARTITIONS // 2)
        finally:
            dead.kill()
            await dead.wait()
        await alive.until(PARTITIONS)


async def test_cancelling_getmany_disarms_the_poll_watch(place: Place) -> None:
    """A cancelled `getmany` counts as under way for ever, so `max_poll_interval_ms` never strikes: use `timeout_ms`."""
    await place.make_topics()
    async with AsyncExitStack() as stack:
        listener = Listener()
        member = await join(stack, place, listener)
        await listener.until(PARTITIONS)
        await member.getmany(timeout_ms=1)
        assert member._subscription._fetch_count == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await member.getmany(timeout_ms=60_000)
        assert member._subscription._fetch_count == 1
        await member.getmany(timeout_ms=1)
        assert member._subscription.fetcher_idle_time == 0
