"""The performance page: prose by hand, with blocks between markers that are rewritten from results."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.growth.subject import PartResult
from benchmarks.harness.machine import Setting
from benchmarks.peers.report import PeersReport
from benchmarks.report.growth_tables import growth_tables
from benchmarks.report.peer_tables import agreement_table, aim_table, given_table, ratio_table, side_table
from benchmarks.report.savings import describe_savings

_BLOCK = re.compile(r"<!-- measured: (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


class PageError(ValueError):
    """The page cannot be written; the message says why."""


def fill_page(page: str, blocks: Mapping[str, str]) -> str:
    """Write blocks between their markers; other blocks stay as they are.

    Raises:
        PageError: a block has no place on the page.
    """
    if absent := blocks.keys() - {found["name"] for found in _BLOCK.finditer(page)}:
        raise PageError(f"the page has no place <!-- measured: {sorted(absent)[0]} --> ... <!-- end -->")

    def write(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- measured: {name} -->\n{blocks[name]}\n<!-- end -->" if name in blocks else found[0]

    return _BLOCK.sub(write, page)


def blocks_of(peers: PeersReport | None, growth: Mapping[str, PartResult[Any]]) -> dict[str, str]:
    """Make the blocks of these results, by their names on the page."""
    blocks: dict[str, str] = {}
    settings = [found.setting for found in (peers, *growth.values()) if found is not None]
    if settings:
        blocks["setting"] = describe_setting(settings[0])
    if peers is not None:
        lengths = dict.fromkeys(row.words for row in peers.rows)
        blocks["disturbance"] = _disturbance(peers)
        blocks["savings"] = describe_savings(peers)
        blocks["aims"] = aim_table(peers).markdown()
        blocks["ratios"] = ratio_table(peers).markdown()
        sides = (f"Segments of {words} words:\n\n{side_table(peers, words).markdown()}" for words in lengths)
        blocks["peers"] = "\n\n".join(sides)
        blocks["given"] = given_table(peers).markdown()
        blocks["agreement"] = agreement_table(peers).markdown()
    for name, found in growth.items():
        tables = [table.markdown() for table in growth_tables(name, found)]
        other = (
            []
            if found.setting == settings[0]
            else ["Measured with another setting: " + describe_setting(found.setting)]
        )
        blocks[name] = "\n\n".join([*other, *tables])
    return blocks


def describe_setting(setting: Setting) -> str:
    """Describe in a line what was measured, and on which machine."""
    machine = setting.machine
    extensions = ", ".join(machine.extensions) or "no extensions that matter"
    return (
        f"Tagger `{setting.tagger}`, policy `{setting.policy}`, {setting.number_format}; one thread of {machine.cores} "
        f"of {machine.processor or 'an unknown processor'} ({extensions}), {machine.memory_gib:g} GiB, "
        f"torch {machine.torch}, Python {machine.python}."
    )


def write_page(path: Path, blocks: Mapping[str, str]) -> None:
    """Fill a page in place.

    Raises:
        PageError: the page cannot be read, or a block has no place on it.
    """
    try:
        page = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PageError(f"{path} cannot be read: {error}") from error
    path.write_text(fill_page(page, blocks), encoding="utf-8")


def _disturbance(peers: PeersReport) -> str:
    return (
        f"Repeats in turns: {peers.repeats}. While it was timed, the process had {100 * peers.share_of_core:.0f} % "
        "of a core."
    )
