"""A component's latest name: the one it has in the plan where it started last, whatever else is known of it."""

import random
from datetime import timedelta

import pytest
from report_builders import at, attempt, component, save

from reports.naming import load_names
from reports.reading import reading
from reports.tables import records

FIRST = at("2026-11-02 00:00")


def random_rows(seed):
    """Return attempts, and places of which some have no name, and no attempt, and stand in two batches."""
    dice = random.Random(seed)
    attempts, places = [], []
    for number in range(60):
        about = {"project_id": dice.choice("pq"), "plan_id": f"plan-{number}", "component_id": dice.choice("abcdef")}
        for batch in range(1, dice.choice([2, 2, 3])):
            seen_at = FIRST + timedelta(days=dice.randrange(9))
            name = dice.choice([None, "old", "new", "newest"])
            places.append(component(**about, batch=batch, name=name, first_seen_at=seen_at))
            for rank in range(1, dice.choice([1, 2, 3])):
                start = dice.choice([None, f"2026-11-0{dice.randrange(2, 6)} 10:00"])
                attempts.append(attempt(**about, batch=batch, start=start, attempt=rank) | {"component": None})
    return attempts, places


def latest_names(attempts, places):
    """Work the names out row by row."""
    best = {}
    for number, place in enumerate(places):
        tried = [
            row["started_at"]
            for row in attempts
            if (row["plan_id"], row["component_id"]) == (place["plan_id"], place["component_id"])
        ]
        if not tried or place["name"] is None:
            continue
        started_at = max((one for one in tried if one is not None), default=at("1970-01-01 00:00"))
        # The keys of places are written as c0, c1 and so on; of two that are equal in all else the lower one wins.
        key = [*(-ord(letter) for letter in f"c{number}"), 0]
        order = (started_at, place["first_seen_at"], key)  # `save` lets all be last seen together
        of = (place["project_id"], place["component_id"])
        best[of] = max(best.get(of, (order, place["name"])), (order, place["name"]))
    return {of: name for of, (_, name) in best.items()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("database", ["sqlite_archive", "postgres_archive"])
def test_names_are_those_worked_out_row_by_row(request, database, seed):
    engine = request.getfixturevalue(database)
    attempts, places = random_rows(seed)
    save(engine, attempts=attempts, components=places)

    with reading(engine) as archive:
        names = records(load_names(archive))

    expected = latest_names(attempts, places)
    assert len(expected) > 8
    assert {(row["project_id"], row["component_id"]): row["component"] for row in names} == expected


def test_where_it_has_no_name_at_its_last_start_an_earlier_one_is_told(sqlite_archive):
    attempts = [attempt(plan_id="old", start="2026-11-16 08:00"), attempt(plan_id="new", start="2026-11-18 08:00")]
    places = [component(plan_id="old", name="old name"), component(plan_id="new", name=None)]
    save(sqlite_archive, attempts=[row | {"component": None} for row in attempts], components=places)

    with reading(sqlite_archive) as archive:
        names = records(load_names(archive))

    assert names == [{"project_id": "p", "component_id": "api", "component": "old name"}]
