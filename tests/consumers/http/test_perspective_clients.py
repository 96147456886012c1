"""Programs' own clients of Perspective's API against our server: Google's for Python, Java and Node, and one more.

Those of Java and Node come with `make clients`; without them their tests are skipped.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import TOKEN, make_context
from tests.stream.fake_tagger import FakeLabeller
from tests.waiting import PATIENCE

HERE = Path(__file__).parent / "clients"
INSTALLED = Path(__file__).parents[3] / ".cache" / "clients"
"""What `make clients` installs."""
DISCOVERY = "$discovery/rest?version=v1alpha1"
LONG = "a long id, as long as a comment, \u00e9 + <1> " * 20


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve on a socket, with a token; yields the address with a slash."""
    labeller = FakeLabeller(names=["moderation"], text_scores={"moderation": ("toxicity", "insult")})
    async with served(labeller) as here:
        context = make_context(worker=here.worker, gateway=here.desk, token=TOKEN)
        listener = bind_socket(context.settings, required=True)
        assert listener is not None
        with listener:
            async with serve_http(build_app(context), listener, context.settings) as address:
                yield f"{address}/"


def body(text: str) -> dict[str, Any]:
    return {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}}


def ask_with_python(root: str) -> dict[str, Any]:
    """What programs do with Google's client: one comment, a refused one, a batch of both, no key."""
    find: Any = discovery.build
    client = find(
        "commentanalyzer", "v1alpha1", developerKey=TOKEN, discoveryServiceUrl=root + DISCOVERY, static_discovery=False
    )
    found: dict[str, Any] = {"one": client.comments().analyze(body=body("we met anna")).execute()}
    try:
        client.comments().analyze(body=body("")).execute()
    except HttpError as error:
        found["error"] = str(error)
    parts: dict[str, tuple[Any, Any]] = {}
    batch = client.new_batch_http_request(callback=lambda name, one, error: parts.update({name: (one, error)}))
    for name, text in (("first", "we met anna"), (LONG, "we met anna"), ("empty", "")):
        batch.add(client.comments().analyze(body=body(text)), request_id=name)
    batch.execute()
    found["parts"] = parts
    stranger = find("commentanalyzer", "v1alpha1", discoveryServiceUrl=root + DISCOVERY, static_discovery=False)
    try:
        stranger.comments().analyze(body=body("we met")).execute()
    except HttpError as error:
        found["stranger"] = error
    for one in (client, stranger):
        one.close()
    return found


async def test_googles_client_for_python() -> None:
    async with serving() as root:
        found = await asyncio.to_thread(ask_with_python, root)
    assert found["one"]["attributeScores"]["TOXICITY"]["spanScores"][0]["end"] == 11
    assert "COMMENT_EMPTY" in found["error"]  # programs look for it in the text of the error
    assert list(found["parts"]) == ["first", LONG, "empty"]
    assert found["parts"]["first"] == found["parts"][LONG] == (found["one"], None)
    assert found["parts"]["empty"][0] is None
    assert "COMMENT_EMPTY" in str(found["parts"]["empty"][1])
    assert found["stranger"].status_code == 401


async def ask_with(*command: str, root: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *command, root, TOKEN, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=INSTALLED
    )
    async with asyncio.timeout(PATIENCE):
        out, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()[-2000:]
    return out.decode().splitlines()


@pytest.mark.skipif(
    not (INSTALLED / "lib").is_dir() or not shutil.which("java"), reason="make clients fetches Google's Java client"
)
async def test_googles_client_for_java() -> None:
    """It compresses every body, and takes the answers of a batch in order."""
    async with serving() as root:
        found = await ask_with("java", "-cp", "lib/*", str(HERE / "Client.java"), root=root)
    assert [x.partition(" ")[0] for x in found] == ["one", "error", "part", "part", "part"]
    assert found[1] == "error Comment must be non-empty."
    assert found[3] == "part Comment must be non-empty."
    assert "TOXICITY" in found[2]


@pytest.mark.skipif(
    not (INSTALLED / "node_modules").is_dir() or not shutil.which("node"), reason="make clients fetches Node's clients"
)
async def test_clients_for_node() -> None:
    shutil.copy(HERE / "client.js", INSTALLED)  # where its modules are found
    async with serving() as root:
        found = await ask_with("node", "client.js", root=root)
    assert found == ["one TOXICITY,INSULT", "error Unknown requested attribute: SPAM", "google 11"]
