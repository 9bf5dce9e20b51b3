"""The Grafana dashboard: every query of it runs on PostgreSQL, gives what its panel draws, and equals the reports."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from fenced import ROOT
from grafana_dashboard import DASHBOARD, dashboard, written
from sqlalchemy import text

FROM, TO = "2026-09-28T00:00:00Z", "2026-11-28T12:00:00Z"
PANELS = {panel["title"]: panel for panel in dashboard()["panels"]}
VARIABLES = {one["name"]: one for one in dashboard()["templating"]["list"]}
EMPTY = {"Plans that could not be archived"}  # the demo's nights archived every plan


def interpolated(query, **chosen):
    """Return a query as Grafana sends it: its variables and its macros put in."""

    def variable(match):
        name, form = match.groups()
        values = chosen[name] if isinstance(chosen[name], list) else [chosen[name]]
        quoted = [f"'{value}'" for value in values] if form == "sqlstring" else values
        return ",".join(quoted)

    query = re.sub(r"\$\{(\w+):(sqlstring|csv|raw)\}", variable, query)
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{FROM}' AND '{TO}'", query)
    assert "$" not in query, "a macro or variable that this test does not know"
    return query


@pytest.fixture
def grafana(postgresql_docs):
    """Return a function that asks a query as an analyst's connection would, with every project chosen."""

    def asked(query, **chosen):
        with postgresql_docs.connect() as connection:
            connection.exec_driver_sql("SET jit = off")
            connection.exec_driver_sql("SET search_path TO pg_catalog")
            projects = connection.execute(text("SELECT DISTINCT project_id FROM release_archive.runs")).scalars().all()
            given = {"schema": "release_archive", "project": projects, "time_zone": "UTC", "batch": ["1", "2"]} | chosen
            result = connection.execute(text(interpolated(query, **given).replace(":", r"\:")))
            return list(result.keys()), result.all()

    return asked


def _query(title):
    (target,) = PANELS[title]["targets"]
    return target["rawSql"]


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_s_query_runs_and_has_something_to_draw(grafana, title):
    columns, rows = grafana(_query(title))

    assert bool(rows) is (title not in EMPTY)
    if PANELS[title]["type"] == "timeseries":
        assert columns[0] == "time"
        times = [row[0] for row in rows]
        assert times == sorted(times)
        assert all(time.utcoffset() is not None for time in times)
        assert len({(row[0], row[1] if "metric" in columns else None) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["project", "time_zone", "batch"])
def test_a_variable_has_values_and_its_default_is_one_of_them(grafana, name):
    _, rows = grafana(VARIABLES[name]["query"])
    values = {str(row[0]) for row in rows}
    default = VARIABLES[name]["current"]["value"]

    assert values
    assert set(default if isinstance(default, list) else [default]) <= values | {"$__all"}


def test_every_panel_but_the_run_s_own_follows_zone_project_and_time():
    unfiltered = {
        title: [name for name in ("${time_zone", "${project", "$__timeFilter(starts_at)") if name not in _query(title)]
        for title in PANELS
    }

    assert {title: missing for title, missing in unfiltered.items() if missing} == {
        "Last saved": ["${time_zone", "$__timeFilter(starts_at)"],
        "Plans that could not be archived": ["${time_zone", "$__timeFilter(starts_at)"],
    }


def test_one_project_gives_fewer_and_a_zone_without_weeks_nothing(grafana):
    _, rows = grafana(_query("Finished and failed attempts"))
    _, of_one = grafana(_query("Finished and failed attempts"), project=["841b7eb68032bc81ad8b85eab6f2dc1e"])
    _, elsewhere = grafana(_query("Finished and failed attempts"), time_zone="Europe/Nowhere")

    assert sum(row.finished for row in of_one) < sum(row.finished for row in rows)
    assert elsewhere == []


@pytest.mark.parametrize(
    ("title", "command", "columns"),
    [
        ("Failure rate of attempts", "failure-rates", ("failure_rate", "ci_low", "ci_high")),
        ("Finished and failed attempts", "failure-rates", ("finished", "failed")),
        ("Rollback rate of releases", "rollbacks", ("rollback_rate", "ci_low", "ci_high")),
        ("Rollbacks", "rollbacks", ("rollbacks", "rollbacks_failed")),
        ("Coverage: nights of each week", "failure-rates", ("nights_done",)),
    ],
)
def test_a_panel_s_figures_are_the_report_s(grafana, postgresql_docs, title, command, columns):
    _, rows = grafana(_query(title))
    drawn = {row[0].astimezone(UTC).date(): row[1:] for row in rows}
    reported = _reported(postgresql_docs, command)

    assert len(reported) == 8
    for row in reported:
        monday = datetime.strptime(f"{row['week']}-1", "%G-W%V-%u").replace(tzinfo=UTC).date()
        assert [float(value) for value in drawn[monday][: len(columns)]] == pytest.approx(
            [row[column] for column in columns], abs=1e-9
        )


def _reported(engine, command):
    """Return what the report's own command prints of the archive's whole weeks."""
    span = ["--since", "2026-09-28", "--until", "2026-11-23", "--by", "week", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "reports", command, *span],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ARCHIVER_DATABASE_URL": engine.url.render_as_string(hide_password=False),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("title", "view", "hits", "other"),
    [
        ("Failure rate of attempts", "weekly_failure_rates", "failed", "aborted"),
        # In the demo each release that was rolled back was so once, so that only this tells the two apart.
        ("Rollback rate of releases", "weekly_rollbacks", "rolled_back", "rollbacks"),
    ],
)
def test_a_rate_is_of_its_own_counts_added_up_over_components(postgresql_docs, title, view, hits, other):
    chosen = {"schema": "pg_temp", "project": ["p"], "time_zone": "UTC"}
    with postgresql_docs.connect() as connection:
        connection.exec_driver_sql(f"CREATE TEMP TABLE {view} AS SELECT * FROM release_archive.{view} LIMIT 0")
        connection.exec_driver_sql(
            f"INSERT INTO {view} (time_zone, project_id, starts_at, finished, {hits}, {other}) VALUES "
            "('UTC', 'p', '2026-11-02', 6, 2, 5), ('UTC', 'p', '2026-11-02', 4, 0, 0)"
        )
        row = connection.execute(text(interpolated(_query(title), **chosen).replace(":", r"\:"))).one()

    assert row[1:] == pytest.approx((0.2, 0.0566821514543753, 0.5098375284633582))  # Wilson's interval of 2 in 10


def test_what_nothing_finished_in_is_a_gap_and_not_nothing_failed(grafana):
    empty = _query("Failure rate of attempts").replace("sum(finished)", "sum(finished * 0)")
    _, rows = grafana(empty)

    assert {row[1:] for row in rows} == {(None, None, None)}


def test_panels_lie_side_by_side_and_none_upon_another():
    taken = [
        (x, y)
        for panel in PANELS.values()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert len({panel["id"] for panel in PANELS.values()}) == len(PANELS)


def test_the_dashboard_is_in_step():
    assert DASHBOARD.read_text("utf-8") == written(), "run `make docs`"
