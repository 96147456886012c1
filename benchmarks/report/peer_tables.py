"""Tables of the comparison with peers."""

from benchmarks.harness.interleaved import SideRow
from benchmarks.harness.tables import Table, format_number, format_ratio, make_table
from benchmarks.peers import onnx, openvino, spacy
from benchmarks.peers import transformers as hugging
from benchmarks.peers.report import OURS, PeersReport

HEADLINE = (60, 64)
"""Words of a segment and number of sessions of the aims."""


def peer_tables(report: PeersReport) -> list[Table]:
    """Lay out the whole report."""
    lengths = dict.fromkeys(row.words for row in report.rows)
    sides = [side_table(report, words) for words in lengths]
    aims = aim_table(report)
    tables = [*sides, ratio_table(report), *([aims] if aims.rows else []), given_table(report)]
    return [*tables, agreement_table(report)]


def ratio_table(report: PeersReport) -> Table:
    """Lay out how many times as fast as each side Hearken is, by number of words and of sessions."""
    sides = sides_of(report)
    rows = []
    for words, sessions in _cells(report):
        found = {row.side: row for row in report.rows if (row.words, row.sessions) == (words, sessions)}
        ratios = [_ratio(report, found.get(side)) for side in sides]
        rows.append([str(words), str(sessions), f"{found[OURS].words_per_second:,.0f}", *ratios])
    return Table(
        "Hearken's words a second, and how many times as many as", ("words", "sessions", OURS, *sides), rows, 0
    )


def side_table(report: PeersReport, words: int) -> Table:
    """Lay out all figures of all sides at one number of words."""

    def ratio(row: SideRow, number: int) -> str:
        ratios = report.ratios(row)
        return "" if ratios is None else format_ratio(ratios[number])

    columns = {
        "sessions": lambda x: str(x.sessions),
        "side": lambda x: x.side,
        "words/s": lambda x: f"{x.words_per_second:,.0f}",
        "spread": lambda x: f"{x.slowest:,.0f} - {x.fastest:,.0f}",
        "p50 ms": lambda x: format_number(x.p50_ms),
        "p99 ms": lambda x: format_number(x.p99_ms),
        "ratio": lambda x: ratio(x, 0),
        "open": lambda x: ratio(x, 1),
        "by CPU time": lambda x: ratio(x, 2),
        "how": lambda x: x.way,
    }
    return make_table(f"segments of {words} words", [x for x in report.rows if x.words == words], columns, 2)


def given_table(report: PeersReport) -> Table:
    """Lay out how each peer was set up, and why others are missing."""
    rows = [[x.side, x.version, x.given] for x in report.given]
    rows += [[name, "left out", why] for name, why in report.missing.items()]
    return Table("how each was set up", ("side", "version", "how it was set up"), rows, 3)


def agreement_table(report: PeersReport) -> Table:
    """Lay out the agreement of the peers' scores with ours."""
    rows = [
        [x.peer, x.format, f"{x.error:.1e}", f"{x.allowed:g}", f"{100 * x.same_labels:.1f} %"] for x in report.agreement
    ]
    return Table("scores of the peers", ("side", "format", "error", "allowed", "same labels"), rows, 2)


def aim_table(report: PeersReport) -> Table:
    """Lay out the aims of speed and what was reached: by wall time with closing, without it, and by processor time."""
    rows = []
    words, sessions = HEADLINE
    wanted = [
        (30.0, "transformers, batched", [hugging.BATCHED], sessions),
        (12.0, "the faster of OpenVINO and ONNX Runtime", [openvino.NAME, onnx.NAME], sessions),
        (1.0, "spaCy", [spacy.NAME], 1),
    ]
    for aim, name, sides, count in wanted:
        found = [x for x in report.rows if (x.words, x.sessions) == (words, count) and x.side in sides]
        if found:
            ratios = report.ratios(max(found, key=lambda x: x.words_per_second))
            assert ratios is not None
            what = f"{count} sessions against {name}" if count > 1 else f"one session against {name}"
            rows.append([what, f"at least {aim:g}x", *map(format_ratio, ratios), "yes" if ratios[0] >= aim else "no"])
    heads = (f"segments of {words} words", "aim", "reached", "segments open", "by CPU time", "met")
    return Table("aims", heads, rows, 1)


def sides_of(report: PeersReport) -> list[str]:
    """Return the names of all measured peers, in the order in which they were built."""
    order = [given.side for given in report.given]
    measured = dict.fromkeys(row.side for row in report.rows if row.side != OURS)
    return sorted(measured, key=lambda side: order.index(side) if side in order else len(order))


def _cells(report: PeersReport) -> list[tuple[int, int]]:
    return list(dict.fromkeys((row.words, row.sessions) for row in report.rows))


def _ratio(report: PeersReport, row: SideRow | None) -> str:
    ratios = None if row is None else report.ratios(row)
    return "" if ratios is None else format_ratio(ratios[0])
