"""Tables as text: hostile cells, missing values, and every format."""

import csv
import io
import json

import pandas as pd
from report_builders import attempt, frames, week_47

from reports.failure_rates import failure_rates
from reports.groups import Selection
from reports.tables import render_csv, render_json, render_markdown, render_parquet, render_text, told_columns

HOSTILE = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a|b", "</script>", "\x1b[31mred", "line\nbreak", 'say "hi", ok']


def hostile_table():
    rows = [attempt("failed", component_id=f"c{n}", creator=name) for n, name in enumerate(HOSTILE)]
    return failure_rates(frames(rows), Selection(week_47(), ("creator", "batch")))


def test_json_keeps_text_as_it_is_and_writes_null_for_missing():
    table = failure_rates(frames([attempt(creator=None)]), Selection(week_47(2), ("week", "creator")))

    before, now = json.loads(render_json(table))

    assert (before["failure_rate"], now["creator"], now["finished"], now["is_cut"]) == (None, None, 1, False)
    assert {row["creator"] for row in json.loads(render_json(hostile_table()))} == set(HOSTILE)


def test_csv_disarms_formulas_in_text_cells_alone():
    table = hostile_table().assign(change_seconds=-1.5)

    rows = list(csv.DictReader(io.StringIO(render_csv(table), newline="")))

    armed = {"=1+1", "+1", "-1", "@x", "\tx", "\rx"}
    assert {row["creator"] for row in rows} == {f"'{name}" if name in armed else name for name in HOSTILE}
    assert {row["change_seconds"] for row in rows} == {"-1.5"}


def test_markdown_keeps_one_line_and_as_many_cells_a_row():
    lines = render_markdown(told_columns(hostile_table())).splitlines()

    assert len(lines) == 2 + len(HOSTILE)
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert not any("\x1b" in line or "</script>" in line for line in lines)


def test_a_terminal_gets_no_control_characters():
    text = render_text(hostile_table(), title="T", note="N", width=100, color=False)

    assert "\x1b" not in text
    assert "=1+1" in text


def test_no_number_is_cut_on_a_narrow_screen():
    table = failure_rates(frames([attempt(), attempt("failed", component_id="b")]), Selection(week_47(1), ("week",)))

    text = render_text(table, title="T", note="N", width=40, color=False)

    assert "9.5\N{EN DASH}90.5 %" in text
    assert "50.0 %" in text


def test_parquet_reads_back_with_its_types():
    table = failure_rates(frames([attempt(batch=None)]), Selection(week_47(2), ("week", "batch")))

    back = pd.read_parquet(io.BytesIO(render_parquet(table)))

    pd.testing.assert_frame_equal(back, table)


def test_an_empty_table_is_an_empty_list_and_a_header():
    table = failure_rates(frames(), Selection(week_47(), ("component",)))

    assert json.loads(render_json(table)) == []
    assert render_csv(table).startswith("project_id,component_id,component,finished,failed,failure_rate,ci_low")
    assert "No rows." in render_text(table, title="T", note="N", width=100, color=False)
