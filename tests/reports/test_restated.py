"""What is known otherwise than when a report was issued: each reason, from two facts as they were known."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from report_builders import UTC_ZONE

from reports import restated
from reports.columns import CHANGED_FACTS, conform
from reports.restated import changed_facts, definition_breaks
from reports.window import Window

WINDOW = Window.of_weeks(date(2026, 11, 16), 4, UTC_ZONE)
AT = datetime(2026, 11, 17, 9, tzinfo=UTC)


def facts(*rows):
    blank = dict.fromkeys(CHANGED_FACTS) | {
        "subject": "attempt",
        "fact_key": "k1",
        "project_id": "pr",
        "plan_id": "plan",
        "component_id": "c",
        "component": "sch",
        "batch": 1,
        "job_id": "JOB1",
        "version": "1",
        "outcome": "running",
        "started_at": AT,
        "week_at": AT,
        "first_run_kind": "scheduled",
        "last_run_kind": "scheduled",
    }
    columns = {name: pd.Series([(blank | row)[name] for row in rows], dtype="object") for name in CHANGED_FACTS}
    return conform(pd.DataFrame(columns), CHANGED_FACTS)


OVER = {"outcome": "failed", "ended_at": AT + timedelta(minutes=5)}


@pytest.mark.parametrize(
    ("then", "now", "why", "change"),
    [
        ([{}], [OVER], "late finish", "outcome running → failed; ended unknown → 2026-11-17T09:05:00.000Z"),
        ([{}], [{"outcome": "unknown"}], "replaced unseen", "outcome running → unknown"),
        ([OVER], [OVER | {"version": "2"}], "changed upstream", "version 1 → 2"),
        ([], [OVER], "seen late", "not known then; failed"),
        ([], [OVER | {"subject": "rollback"}], "late rollback", "not known then; failed"),
        ([], [OVER | {"first_run_kind": "import"}], "import", "not known then; failed"),
        (
            [{}],
            [OVER | {"last_run_kind": "import"}],
            "import",
            "outcome running → failed; ended unknown → 2026-11-17T09:05:00.000Z",
        ),
        ([OVER], [], "changed upstream", "no longer known"),
    ],
)
def test_each_change_has_its_words_and_its_reason(then, now, why, change):
    table = changed_facts(facts(*then), facts(*now), WINDOW, "2026-W47")

    assert table[["week", "change", "why"]].to_numpy().tolist() == [["2026-W47", change, why]]


def test_what_is_known_alike_or_lies_outside_is_not_told():
    outside = [AT + timedelta(days=7), AT - timedelta(days=35)]
    then = facts({}, *({"fact_key": str(at), "week_at": at} for at in outside), {"fact_key": "none", "week_at": None})
    now = facts(
        {},
        *({"fact_key": str(at), "week_at": at} | OVER for at in outside),
        {"fact_key": "none", "week_at": None} | OVER,
    )

    assert changed_facts(then, now, WINDOW, "2026-W47").empty


def test_a_fact_that_moved_into_another_week_is_told_in_the_week_of_now():
    earlier = {"started_at": AT - timedelta(days=7), "week_at": AT - timedelta(days=7)}

    table = changed_facts(facts({}), facts(earlier), WINDOW, "2026-W47")

    assert table["week"].to_list() == ["2026-W46"]


LABELS = [week.label for week in WINDOW.weeks]


@pytest.mark.parametrize(
    ("issued", "breaks"),
    [
        ({}, []),
        ({0: 3, 1: 3, 2: 3}, []),
        ({0: 2, 1: 2, 2: 3}, [2]),
        ({0: 1, 1: 2, 2: 3}, [1, 2]),
        ({0: 2}, [1]),  # nothing was issued on the weeks between: they belong to the newer definition
        ({2: 2}, [3]),
        ({3: 2}, []),  # what was issued on this very week is what this report restates
    ],
)
def test_a_definition_breaks_after_each_week_that_was_told_by_an_older_one(monkeypatch, issued, breaks):
    monkeypatch.setattr(restated, "DEFINITION_VERSIONS", {"rollbacks": 3, "new": 1})

    found = definition_breaks({LABELS[place]: {"rollbacks": version} for place, version in issued.items()}, WINDOW)

    assert found == tuple((LABELS[place], "rollbacks") for place in breaks)
