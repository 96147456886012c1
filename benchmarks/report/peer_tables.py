"""What the bench of peers found, as tables."""

from benchmarks.peers import onnx, openvino, spacy
from benchmarks.peers import transformers as hugging
from benchmarks.peers.report import OURS, PeersReport, Row
from benchmarks.report.table import Table, short, times

HEADLINE = (60, 64)
"""Words of a segment and sessions of which the aims speak."""


def peer_tables(report: PeersReport) -> list[Table]:
    """All of it."""
    lengths = dict.fromkeys(row.words for row in report.rows)
    sides = [side_table(report, words) for words in lengths]
    return [*sides, ratio_table(report), aim_table(report), given_table(report), agreement_table(report)]


def ratio_table(report: PeersReport) -> Table:
    """One line for each number of words and of sessions: how many times as fast Hearken is."""
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
    """All figures of all sides for one number of words."""
    heads = ("sessions", "side", "words/s", "spread", "p50 ms", "p99 ms", "ratio", "open", "by CPU time", "how")
    rows = []
    for row in report.rows:
        if row.words == words:
            ratios = report.ratios(row)
            rows.append(
                [
                    str(row.sessions),
                    row.side,
                    f"{row.words_per_second:,.0f}",
                    f"{row.slowest:,.0f} - {row.fastest:,.0f}",
                    short(row.p50_ms),
                    short(row.p99_ms),
                    *(("", "", "") if ratios is None else map(times, ratios)),
                    row.way,
                ]
            )
    return Table(f"segments of {words} words", heads, rows, 2)


def given_table(report: PeersReport) -> Table:
    """What each peer was given, and why others are missing."""
    rows = [[x.side, x.version, x.given] for x in report.given]
    rows += [[name, "left out", why] for name, why in report.missing.items()]
    return Table("what each was given", ("side", "version", "how it was set up"), rows, 3)


def agreement_table(report: PeersReport) -> Table:
    """How near the peers' scores are to ours."""
    rows = [
        [x.peer, x.format, f"{x.error:.1e}", f"{x.allowed:g}", f"{100 * x.same_labels:.1f} %"] for x in report.agreement
    ]
    return Table("scores of the peers", ("side", "format", "error", "allowed", "same labels"), rows, 2)


def aim_table(report: PeersReport) -> Table:
    """The aims of speed, and what was reached: by time on the clock with closing, and while the segment is open."""
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
            rows.append([what, f"at least {aim:g}x", *map(times, ratios), "yes" if ratios[0] >= aim else "no"])
    heads = (f"segments of {words} words", "aim", "reached", "segments open", "by CPU time", "met")
    return Table("aims", heads, rows, 1)


def sides_of(report: PeersReport) -> list[str]:
    """Names of all peers, in the order in which they were made."""
    order = [given.side for given in report.given]
    measured = dict.fromkeys(row.side for row in report.rows if row.side != OURS)
    return sorted(measured, key=lambda side: order.index(side) if side in order else len(order))


def _cells(report: PeersReport) -> list[tuple[int, int]]:
    return list(dict.fromkeys((row.words, row.sessions) for row in report.rows))


def _ratio(report: PeersReport, row: Row | None) -> str:
    ratios = None if row is None else report.ratios(row)
    return "" if ratios is None else times(ratios[0])
