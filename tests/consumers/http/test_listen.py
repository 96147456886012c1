"""`hearken listen` as a process, and settings of HTTP that the commands refuse."""

import asyncio
import json
import os
import signal
import socket
import sys

import httpx
import pytest
import websockets

from consumers.cli.main import main
from tests.waiting import PATIENCE

COMMAND = [sys.executable, "-m", "tests.consumers.fakes", "listen"]


async def start(*arguments: str, **variables: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start it; gives the address that it says in its log."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while line := await process.stderr.readline():
            told = json.loads(line)
            if told["event"] == "http_started":
                return process, told["address"]
    raise AssertionError("it ended before it listened")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_answers_until_a_signal_and_ends_in_order(number: signal.Signals) -> None:
    process, address = await start("--http-port", "0")
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/readyz")).json() == {"ready": True, "why": []}
        assert "hearken_words_total 0.0" in (await client.get("/metrics")).text
    process.send_signal(number)
    async with asyncio.timeout(PATIENCE):
        _, rest = await process.communicate()
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["stopped"]


async def test_it_labels_and_says_of_a_fault_where_it_was_and_not_what_was_said() -> None:
    process, address = await start("--http-port", "0")
    async with httpx.AsyncClient(base_url=address) as client:
        found = (await client.post("/v1/label", json={"text": "we met anna"})).json()
        assert [x["text"] for x in found["results"][0]["ner"]["spans"]] == ["anna"]
        assert (await client.post("/v1/label", json={"text": "poison secret"})).status_code == 500
    async with websockets.connect(address.replace("http", "ws") + "/v1/stream") as stream:
        await stream.send(json.dumps({"type": "update", "session": "call", "segment": "u", "text": "anna"}))
        assert json.loads(await stream.recv())["session"] == "call"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosed):
            await stream.recv()
        assert stream.close_code == 1001
    async with asyncio.timeout(PATIENCE):
        _, rest = await process.communicate()
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["labelling_failed", "stopped"]
    assert b"secret" not in rest


async def test_with_a_token_it_listens_beyond_this_machine() -> None:
    token = "a-token-of-24-characters"
    process, address = await start(HEARKEN_HTTP_PORT="0", HEARKEN_HTTP_HOST="0.0.0.0", HEARKEN_HTTP_TOKEN=token)
    port = address.rsplit(":", 1)[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"host": "hearken.example"}) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/v1/label")).status_code == 401
        assert (await client.get("/v1/label", headers={"authorization": f"Bearer {token}"})).status_code != 401
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        _, rest = await process.communicate()
    assert process.returncode == 0
    assert token.encode() not in rest


@pytest.mark.parametrize("command", ["listen", "serve"])
def test_a_door_that_is_open_to_strangers_is_refused(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARKEN_HTTP_TOKEN", raising=False)
    assert main([command, "--http-host", "0.0.0.0"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("hearken: --http-host (HEARKEN_HTTP_HOST): 0.0.0.0 can be reached from elsewhere")
    assert "HEARKEN_HTTP_TOKEN" in told
    assert told.count("\n") == 1


def test_listening_needs_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--http-port", "off"]) == 2
    assert "--http-port" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["listen", "serve"])
def test_a_port_that_was_asked_for_must_be_free(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main([command, "--http-port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err
