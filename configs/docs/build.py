"""Site of the documentation: lays the pages out as the repository has them, writes the pages of the API, runs MkDocs.

Warnings are errors: a link or a section that leads nowhere, a docstring that cannot be read, a name that is not there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build" / "docs-source"
PAGES = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "clients/typescript/README.md",
    "encoder/checkpoints/english/README.md",
)
SECTIONS: Mapping[str, Sequence[str]] = {
    "In this process": ("load", "Model", "Stream", "LoadError", "LabellingError"),
    "Clients of a server": (
        "AsyncClient",
        "AsyncStream",
        "Client",
        "ClientStream",
        "ServerRefused",
        "ServerUnreachable",
    ),
    "State": ("apply", "forget", "LiveState", "LiveSession", "LiveSegment", "LiveLabels"),
    "Messages in": ("Update", "WordTime", "Delete", "End", "InputError"),
    "Messages out": ("Revision", "Span", "Changed", "Was", "Retracted", "ServerError", "decode_event"),
    "Redacted stream": ("RedactedUpdate", "RedactedPart", "RedactedDelete", "RedactedEnd", "decode_redacted"),
}
"""What is public, in the order of the page."""


def lay_out() -> None:
    """Copy the pages, and write those of the API."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for name in PAGES:
        place = SOURCE / name
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place)
    (SOURCE / "api").mkdir()
    (SOURCE / "api" / "python.md").write_text(api_page(), "utf-8")


def api_page() -> str:
    """Return the page of the API for Python; MkDocs fills in the docstrings."""
    about = "Everything here is in the module `hearken`; the [guide](../docs/python.md) shows its use."
    parts = ["# Python API\n", f"{about}\n"]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [f"::: hearken.{name}\n" for name in names]
    return "\n".join(parts)


def main() -> int:
    """Build the site into build/docs; returns the exit code."""
    lay_out()
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(Path(__file__).with_name("mkdocs.yml"))]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
