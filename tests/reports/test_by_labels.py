"""Tables by team, environment and tier: every row in a group, the unlabelled in one of their own."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from oracle import Oracle
from random_archives import random_archive
from report_builders import attempt, component, frames, save, week_47
from sqlalchemy import create_engine, select
from test_against_oracle import assert_same

from archiver.clock import ManualClock
from archiver.labelling import apply_rules
from archiver.labels import LabelRule
from archiver.lease import database_now
from archiver.viewing import refresh_views
from archiver.views import TABLES as VIEWS
from reports import cli
from reports.batch_timing import batch_timing
from reports.columns import PROVEN_ATTEMPTS, PROVEN_ROLLBACKS
from reports.delivery import delivery
from reports.explain import TABLES, explain
from reports.failure_rates import failure_rates
from reports.frames import frames_of, load_frames
from reports.groups import Selection, parse_where
from reports.passes import batch_passes
from reports.reading import reading
from reports.releases import component_releases
from reports.rollbacks import rollback_rates
from reports.tables import records
from reports.window import Window

SINCE, UNTIL, ZONE = date(2026, 10, 19), date(2026, 11, 12), ZoneInfo("Europe/Berlin")
WINDOW = Window.between(SINCE, UNTIL, ZONE)
AS_OF = datetime(2026, 11, 24, tzinfo=UTC)
GRAINS = {
    "component_releases": ("project_id", "plan_id", "component_id", "batch"),
    "batch_runs": ("project_id", "plan_id", "batch"),
}
RULES = [
    LabelRule(component="[aw]*", labels={"team": "front"}),
    LabelRule(component="db", labels={"team": "data"}),
    LabelRule(project="p1", labels={"tier": "gold"}),
    LabelRule(project="p1", component="cron", labels={"environment": "staging", "tier": "none at all"}),
]


def labels_of(row):
    """Say the labels once more, by hand."""
    is_p1, name = row["project_id"] == "p1", row["component_id"]
    return {
        "team": {"api": "front", "web": "front", "db": "data"}.get(name),
        "environment": "staging" if is_p1 and name == "cron" else None,
        "tier": ("none at all" if name == "cron" else "gold") if is_p1 else None,
    }


def label(engine, rules):
    with engine.begin() as connection:
        apply_rules(connection, rules, database_now(connection))


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    """Return an archive, on each database in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def known(engine):
    """Return the frames of a labelled archive of random rows, and the rows."""
    rows = random_archive(500)
    save(engine, **rows)
    label(engine, RULES)
    return load_frames(engine, WINDOW), rows | {"attempts": [row | labels_of(row) for row in rows["attempts"]]}


def test_the_tables_by_labels_equal_the_oracle(known):
    loaded, rows = known
    oracle = Oracle(rows["attempts"], rows["rollbacks"], rows["components"], since=SINCE, until=UNTIL, zone=ZONE)

    for by in (("team",), ("week", "tier"), ("environment", "team"), ("tier", "batch")):
        selection = Selection(WINDOW, by)
        for unit in ("attempt", "release"):
            assert_same(failure_rates(loaded, selection, unit=unit), oracle.failure_rates(by, unit), by)
        rates = rollback_rates(loaded, selection, as_of=AS_OF, recheck_days=14)
        assert_same(rates, oracle.rollback_rates(by), by)
        assert_same(batch_timing(loaded, selection), oracle.batch_timing(by), by)


@pytest.mark.parametrize("key", ["team", "environment", "tier"])
def test_the_groups_of_a_label_add_up_to_the_components_and_to_all(known, key):
    loaded, _ = known
    counts = ["finished", "failed", "unfinished", "aborted", "unknown"]

    def sums(by):
        return failure_rates(loaded, Selection(WINDOW, by))[counts].sum().to_dict()

    assert sums((key,)) == sums(("component",)) == sums(())


def test_where_selects_each_group_and_the_empty_text_the_unlabelled(known):
    loaded, _ = known
    counts = {"team": "releases", "tier": "attempts"}

    for key, count in counts.items():
        groups = {row[key]: row[count] for row in records(delivery(loaded, Selection(WINDOW, (key,))))}
        assert None in groups
        for value, expected in groups.items():
            where = parse_where([f"{key}={value or ''}"], (key,))
            [row] = records(delivery(loaded, Selection(WINDOW, (), where)))
            assert row[count] == expected > 0


def test_the_unlabelled_may_be_asked_for_as_they_are_shown():
    assert parse_where(["team=(unlabelled)", "creator=(unlabelled)"], ("team", "creator")) == {
        "team": ("",),
        "creator": ("(unlabelled)",),
    }


def test_an_archive_without_labels_is_one_unlabelled_group(engine):
    rows = random_archive(501, plans=5)
    save(engine, **rows)

    table = failure_rates(load_frames(engine, WINDOW), Selection(WINDOW, ("team", "environment", "tier")))

    assert [(row["team"], row["environment"], row["tier"]) for row in records(table)] == [(None, None, None)]


def test_each_place_of_a_component_has_its_own_labels_also_without_a_batch(engine):
    places = [
        {"plan_id": "one", "batch": None, "component": "pay-api"},
        {"plan_id": "one", "batch": 2, "component": "web"},
        {"plan_id": "two", "batch": None, "component": "web"},
    ]
    ids = [{name: place[name] for name in ("plan_id", "batch")} for place in places]
    save(engine, attempts=[attempt(**place) for place in places], components=[component(**one) for one in ids])
    label(engine, [LabelRule(component="pay-*", labels={"team": "payments"})])

    attempts = load_frames(engine, week_47()).attempts

    found = Counter((row["plan_id"], row["batch"], row["team"]) for row in records(attempts))
    assert found == Counter([("one", None, "payments"), ("one", 2, None), ("two", None, None)])


@pytest.mark.parametrize(
    ("teams", "expected"), [(("a", "a"), "a"), (("a", "b"), None), (("a", None), None), ((None, None), None)]
)
def test_a_batch_has_the_label_that_all_of_its_components_share(teams, expected):
    attempts = [attempt(component_id=f"c{place}", team=team) for place, team in enumerate(teams)]
    places = [component(component_id=f"c{place}") for place in range(len(teams))]
    loaded = frames(attempts=attempts, components=places)

    passes = batch_passes(loaded.attempts, loaded.components)

    assert [row["team"] for row in records(passes)] == [expected]


@pytest.mark.parametrize("command", ["failure-rates", "rollbacks", "batch-timing", "delivery"])
def test_every_table_takes_labels_and_names_the_unlabelled_to_people_alone(
    sqlite_archive_file, monkeypatch, capsysbinary, command
):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", sqlite_archive_file.url)
    places = [{"component_id": "pay", "batch": 1}, {"component_id": "web", "batch": 2}]
    engine = create_engine(sqlite_archive_file.url)  # without foreign keys
    save(engine, attempts=[attempt(**one) for one in places], components=[component(**p) for p in places])
    label(engine, [LabelRule(component="pay", labels={"team": "payments"})])
    engine.dispose()

    def printed(*more):
        arguments = [command, "--since", "2026-11-16", "--until", "2026-11-23", *more]
        assert cli.run(arguments, clock=ManualClock(AS_OF)) == 0
        return capsysbinary.readouterr().out.decode()

    assert "(unlabelled)" in printed("--by", "team")
    assert [row["team"] for row in json.loads(printed("--by", "team", "--format", "json"))] == ["payments", None]
    assert "unlabelled" not in printed("--by", "team", "--format", "csv")
    for value, batch in (("payments", 1), ("", 2), ("(unlabelled)", 2)):
        rows = json.loads(printed("--by", "batch", "--where", f"team={value}", "--format", "json"))
        assert [row["batch"] for row in rows] == [batch]


def test_the_views_label_releases_and_batches_as_the_reports_do(engine):
    rows = random_archive(501)
    save(engine, **rows)
    label(engine, RULES)
    with engine.begin() as connection:
        refresh_views(connection, "public")
        seen = {name: connection.execute(select(VIEWS[name])).mappings().all() for name in VIEWS if name in GRAINS}
    labelled = frames(**rows | {"attempts": [row | labels_of(row) for row in rows["attempts"]]})
    told = {
        "component_releases": component_releases(labelled.attempts, labelled.rollbacks),
        "batch_runs": batch_passes(labelled.attempts, labelled.components),
    }

    for name, grain in GRAINS.items():
        columns = (*grain, "team", "environment", "tier")
        expected = Counter(tuple(row[column] for column in columns) for row in records(told[name]))
        assert Counter(tuple(row[column] for column in columns) for row in seen[name]) == expected
        assert len({row["team"] for row in seen[name]}) == 3


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_behind_a_figure_say_their_labels(engine, table):
    rows = random_archive(502)
    save(engine, **rows)
    label(engine, [*RULES, LabelRule(project="p1", labels={"project_name": "Shop"})])

    with reading(engine) as archive:
        proven = frames_of(archive, WINDOW, attempt_columns=PROVEN_ATTEMPTS, rollback_columns=PROVEN_ROLLBACKS)
    told = records(explain(proven, Selection(WINDOW), table))

    for row in told:
        assert row["project_name"] == ("Shop" if row["project_id"] == "p1" else None)
        if "component_id" in row:
            assert {name: row[name] for name in ("team", "environment", "tier")} == labels_of(row)
    assert len({row["team"] for row in told}) > 1
