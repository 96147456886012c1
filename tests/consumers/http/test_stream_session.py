"""The session that the query of a WebSocket names."""

import pytest

from tests.consumers.http.gateways import served
from tests.consumers.http.test_stream import END, talking, update


@pytest.mark.parametrize("session", ["", "x" * 257, "%00", "a%0Ab"])
async def test_a_session_that_can_be_none_is_told_before_anything_is_taken(session: str) -> None:
    async with served() as here, talking(here, f"format=vosk&session={session}") as socket:
        frames, closed = await socket.rest()
        assert closed.code == 4400
        assert frames[0]["reason"] == "bad_query"
        assert frames[0]["detail"].startswith("session: ")


async def test_a_message_of_another_session_than_the_querys_is_told_so() -> None:
    async with served() as here, talking(here, "session=other") as socket:
        await socket.send(update("anna"), END)
        frames, _ = await socket.rest()
        assert frames[0]["detail"] == "the session of the query is not the message's session"
