"""The examples of docs/redaction.md: what they print has no name and no number in it."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.consumers.http.gateways import served
from tests.consumers.http.sites import asking, make_context
from tests.docs.documented import ROOT, Saved, read_page
from tests.waiting import run

PAGE = ROOT / "docs" / "redaction.md"
SECRET = re.compile(r"anna|rice|two oh|seven|nine|7946|0958", re.IGNORECASE)


def test_a_call_is_scrubbed_before_it_is_logged_and_before_a_model_is_asked(tmp_path: Path) -> None:
    (script,) = [x for x in read_page(PAGE) if isinstance(x, Saved) and x.name == "scrub_call.py"]
    (tmp_path / script.name).write_text(script.text)
    command = [sys.executable, script.name]
    done = run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr
    assert not SECRET.search(done.stdout), done.stdout
    assert "caller: [PHONE_1]" in done.stdout
    assert "Summarise this call:\nthank you for calling" in done.stdout
    assert "words were sent" in done.stdout


async def test_one_text_is_scrubbed_by_what_the_page_sends() -> None:
    (code,) = re.findall(r"```python\n(import json, urllib.*?)```", PAGE.read_text("utf-8"), re.S)
    sent: list[tuple[str, bytes, dict[str, str]]] = []
    here: dict[str, object] = {}
    exec(code.replace("urllib.request.urlopen", "urlopen").replace("urllib.request.Request", "Request"), here)

    class Stop(Exception):
        """What would be sent is known."""

    def request(address: str, body: bytes, headers: dict[str, str]) -> None:
        sent.append((address, body, headers))
        raise Stop

    here["Request"] = request
    with pytest.raises(Stop):
        here["scrub"]("we met Anna and Bob")  # type: ignore[operator]
    ((address, body, headers),) = sent
    async with served() as service, asking(make_context(worker=service.worker, gateway=service.desk)) as client:
        answer = await client.post(address.removeprefix("http://localhost:8477"), content=body, headers=headers)
    assert json.loads(answer.content)["text"] == "we met [PERSON_1] and [PERSON_2]"
