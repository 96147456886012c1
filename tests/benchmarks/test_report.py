"""Tables and the page say what was measured, and leave the words around it alone."""

import pytest

from benchmarks.growth.subject import PartResult
from benchmarks.growth.threshold import ThresholdRow
from benchmarks.harness.interleaved import SideRow
from benchmarks.harness.machine import Machine, Setting, available_bytes, resident_bytes, this_machine
from benchmarks.harness.tables import Table, format_number, format_ratio
from benchmarks.peers.report import OURS, PeersReport
from benchmarks.report.page import PageError, blocks_of, describe_setting, fill_page, write_page
from benchmarks.report.peer_tables import aim_table, ratio_table, side_table
from benchmarks.report.plots import PLOTS, plot_peers
from benchmarks.report.savings import describe_savings, savings_table

MACHINE = Machine(processor="a processor", cores=2, extensions=["avx2"], memory_gib=8.0, python="3.11.1", torch="2.1")
SETTING = Setting(machine=MACHINE, tagger="ner", policy="last:3", number_format="float32")


def row(sessions, side, rate, open_rate=None, words=60):
    return SideRow(
        words=words,
        sessions=sessions,
        side=side,
        way="float32",
        words_per_second=rate,
        slowest=rate,
        fastest=rate,
        open_words_per_second=open_rate or rate,
        p50_ms=1.0,
        p99_ms=2.0,
        cpu_ms=1000 / rate,
        steps=6,
    )


def peers(*rows):
    return PeersReport(
        setting=SETTING,
        repeats=2,
        window=128,
        share_of_core=0.5,
        rows=list(rows),
        given=[],
        agreement=[],
        missing={"OpenVINO": "pip install openvino"},
    )


def test_aims_are_told_with_what_was_reached():
    found = peers(
        row(64, OURS, 3000.0, 3300.0),
        row(64, "transformers, batched", 300.0),
        row(64, "OpenVINO", 200.0),
        row(64, "ONNX Runtime", 250.0),
        row(1, OURS, 100.0),
        row(1, "spaCy", 50.0),
    )
    assert [(line[0], *line[1:3], line[-1]) for line in aim_table(found).rows] == [
        ("64 sessions against transformers, batched", "at least 30x", "10.0x", "no"),
        ("64 sessions against the faster of OpenVINO and ONNX Runtime", "at least 12x", "12.0x", "yes"),
        ("one session against spaCy", "at least 1x", "2.00x", "yes"),
    ]
    assert aim_table(found).rows[0][3] == "11.0x"


def test_an_aim_whose_peer_is_missing_is_not_told():
    assert aim_table(peers(row(64, OURS, 3000.0), row(1, OURS, 100.0))).rows == []


def test_sides_have_a_line_each_and_a_length_its_own_table():
    found = peers(
        row(1, OURS, 10.0), row(1, "spaCy", 5.0), row(1, OURS, 4.0, words=250), row(1, "spaCy", 1.0, words=250)
    )
    assert [line[:3] + line[6:7] for line in side_table(found, 250).rows] == [
        ["1", OURS, "4", ""], ["1", "spaCy", "1", "4.00x"]
    ]  # fmt: skip
    assert [line[:3] for line in ratio_table(found).rows] == [["60", "1", "10"], ["250", "1", "4"]]


PAGE = """# A page
words <!-- measured: aims -->
before
<!-- end --> between
<!-- measured: threshold -->
<!-- end -->
"""


def test_blocks_are_written_anew_and_words_stay():
    once = fill_page(PAGE, {"aims": "new"})
    assert once == PAGE.replace("before", "new")
    assert fill_page(once, {"aims": "before"}) == PAGE
    assert fill_page(PAGE, {}) == PAGE


def test_a_block_without_a_place_is_a_mistake():
    with pytest.raises(PageError, match="measured: floors"):
        fill_page(PAGE, {"floors": "x"})


def test_a_page_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(PageError, match="absent"):
        write_page(tmp_path / "absent.md", {})


def threshold(policy="price:0.005", setting=SETTING):
    rows = [ThresholdRow(policy=policy, ms=0.4, words_per_second=2500.0, closing_ms=0.1, recomputed=1.9)]
    return PartResult(setting=setting, rows=rows)


def test_the_setting_is_told_once_unless_a_part_has_another():
    other = Setting(machine=MACHINE, tagger="ner", policy="always", number_format="bfloat16")
    same = blocks_of(None, {"threshold": threshold()})
    assert same["setting"] == describe_setting(SETTING)
    assert "`price:0.005`" in same["threshold"]
    assert "setting" not in same["threshold"]
    two = blocks_of(peers(row(1, OURS, 10.0)), {"threshold": threshold(setting=other)})
    assert two["setting"] == describe_setting(SETTING)
    assert "another setting: Tagger `ner`, policy `always`, bfloat16" in two["threshold"]
    assert "50 % of a core" in two["disturbance"]


def test_pictures_are_drawn(tmp_path):
    PLOTS["threshold"](threshold(), tmp_path / "threshold.png")
    plot_peers(peers(row(1, OURS, 10.0), row(1, "spaCy", 5.0)), tmp_path / "peers.png")
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_a_table_as_markdown():
    table = Table("a title", ("name", "ms"), [["x", "1"]])
    assert table.markdown() == "| name | ms |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.parametrize(("number", "text"), [(0.0, "0"), (0.012345, "0.0123"), (12.345, "12.3"), (1234.5, "1,234")])
def test_numbers_are_short(number, text):
    assert format_number(number) == text


def test_ratios_are_short():
    assert (format_ratio(9.994), format_ratio(12.34)) == ("9.99x", "12.3x")


def test_the_machine_is_looked_up():
    machine = this_machine()
    assert machine.cores >= 1
    assert resident_bytes() >= 0
    assert available_bytes() >= 0


def test_savings_are_whole_cores_at_the_price_that_is_given():
    found = peers(
        row(64, OURS, 5000.0), row(64, "transformers, batched", 500.0), row(64, "OpenVINO", 1000.0), row(1, OURS, 9.0)
    )
    table = savings_table(found, core_month=20.0, share=0.5)
    cells = {line[0]: line for line in table.rows}
    assert cells[OURS][4:] == ["1 ($20)", "1 ($20)", "10 ($200)"]  # .2 ms x 2.5 words/s x 10,000 = 5 cores at full use
    assert cells["OpenVINO"][4:] == ["1 ($20)", "5 ($100)", "50 ($1,000)"]
    third = cells["OpenVINO, every third word"]
    assert float(third[1]) < 0.5  # less than half of OpenVINO's 1 ms
    assert third[3] == "1.0"
    assert [line[0] for line in table.rows[:3]] == [OURS, "OpenVINO", "transformers, batched"]
    assert "$20 a core" in describe_savings(found, 20.0, 0.5)
