"""Ranges of sight: where in a plan's past an observation belongs, and what of it was known then. Pure.

Rows are those of `snapshots` and `sights`. Observations stand in the order of their times, of equal times in that of
their keys; so the ranges they come to are the same in whatever order they are told.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from archiver.mapping import Row, epoch_ms, key_of

Sights = dict[str, Row]  # those of one plan, by key


def place(rows: list[Row], new: Row, sights: Sights) -> None:
    """Put one observation (a snapshot row with captured_at = last_captured_at) among its plan's ranges, in place.

    A body that was seen before and after, with no other between, is one range; another body within a range splits it
    between the sights that are known. No list item's range goes on past a time when the plan was gone, and none whose
    body was pruned goes on at all. Doing it twice does it once. `sights` takes the observation, and the end of a range
    that moves. A range that begins anew is named anew.
    """
    _note(sights, new, new["captured_at"])
    _place(rows, new, sights)
    mine = _in_order(row for row in rows if row["kind"] == new["kind"])
    gone = [(row["gone_at"], row["gone_run_id"]) for row in mine if row["gone_at"] is not None]
    _mark_gone(mine, gone)


def _place(rows: list[Row], new: Row, sights: Sights) -> None:
    mine = _in_order(row for row in rows if row["kind"] == new["kind"])
    around = next((row for row in mine if not (_is_before(new, row) or _is_after(new, row))), None)
    if around is not None:
        if around["canonical_sha256"] != new["canonical_sha256"]:
            rows += [_split(around, new, sights), new]
        return
    before = next((row for row in reversed(mine) if _is_after(new, row)), None)
    after = next((row for row in mine if _is_before(new, row)), None)
    gone = _gone_times(mine)
    if before is not None and _is_one(before, new, gone):
        _note(sights, _first_told(before, sights), before["last_captured_at"])
        before["last_captured_at"] = new["captured_at"]
    elif after is not None and _is_one(new, after, gone):
        _note(sights, after, after["captured_at"])
        after |= {name: new[name] for name in ("captured_at", "run_id", "recorded_at")}
        after["snapshot_id"] = after["snapshot_key"] = snapshot_key(after)
    else:
        rows.append(new)


def _mark_gone(rows: Sequence[Row], gone: Iterable[tuple[datetime, str]]) -> None:
    """Note when the plan was found gone beside the last range of before, and nowhere else."""
    for row in rows:
        row["gone_at"] = row["gone_run_id"] = None
    for at, run_id in gone:
        if marked := [row for row in rows if row["captured_at"] <= at]:
            marked[-1]["gone_at"], marked[-1]["gone_run_id"] = at, run_id


def _gone_times(rows: Iterable[Row]) -> list[datetime]:
    """Return when the plan was found gone, for ranges of list items; the deployment information outlives that."""
    return [row["gone_at"] for row in rows if row["kind"] == "list_item" and row["gone_at"] is not None]


def _is_one(earlier: Row, later: Row, gone: Iterable[datetime]) -> bool:
    """Whether two neighbours, a range and an observation, are one range."""
    return bool(
        earlier["canonical_sha256"] == later["canonical_sha256"]
        and None not in (earlier["body"], later["body"])
        and not any(earlier["last_captured_at"] <= at < later["captured_at"] for at in gone)
    )


def put_aside(rows: Iterable[Row], aside: list[Row], new: Row) -> bool:
    """Put an observation of a time whose bodies were pruned with those that stay aside, in place: each body once.

    One that only says what the range of that time says lengthens that range. Return whether it stays aside.
    """
    at = new["captured_at"]
    mine = [row for row in rows if row["kind"] == new["kind"] and row["captured_at"] <= at]
    if any(_is_of(row, new) and at <= row["last_captured_at"] for row in mine):
        return False
    before = max(mine, key=itemgetter("captured_at", "last_captured_at"), default=None)
    if (
        before is not None
        and _is_of(before, new)
        and not any(before["last_captured_at"] <= x < at for x in _gone_times(mine))
    ):
        before["last_captured_at"] = at
        return False
    there = next((row for row in aside if _is_of(row, new)), None)
    if there is None:
        aside.append(new | {"is_aside": True})
    elif at < there["captured_at"]:
        there |= {name: new[name] for name in ("captured_at", "run_id", "recorded_at")}
        there["snapshot_id"] = there["snapshot_key"] = snapshot_key(there)
    else:
        there["last_captured_at"] = max(at, there["last_captured_at"])
    return True


def as_told_by(rows: Iterable[Row], sights: Collection[Row], runs: Collection[str], at: datetime) -> list[Row]:
    """Return the ranges as these runs, all of those that had ended by `at`, told them: copies, shortened and joined."""
    told: dict[str, list[tuple[datetime, str]]] = {}
    for sight in sights:
        told.setdefault(sight["kind"] + sight["canonical_sha256"], []).append((sight["captured_at"], sight["run_id"]))
    found: list[Row] = []
    for _, mine in groupby(sorted(rows, key=itemgetter("kind")), key=itemgetter("kind")):
        found += _of_kind_as_told_by(_in_order(mine), told, runs, at)
    return found


def _of_kind_as_told_by(
    rows: Sequence[Row], told: Mapping[str, list[tuple[datetime, str]]], runs: Collection[str], at: datetime
) -> list[Row]:
    gone = [row for row in rows if row["gone_at"] is not None and row["gone_run_id"] in runs]
    times = _gone_times(gone)
    found: list[Row] = []
    is_parted = False  # by a range that was not known
    for row in rows:
        known = _shortened(row, told.get(row["kind"] + row["canonical_sha256"], []), runs, at)
        if known is None:
            is_parted = True
        elif is_parted and found and _is_one(found[-1], known, times):
            found[-1]["last_captured_at"] = known["last_captured_at"]
            is_parted = False
        else:
            found.append(known)
            is_parted = False
    _mark_gone(found, [(row["gone_at"], row["gone_run_id"]) for row in gone])
    return found


def _shortened(row: Row, sights: list[tuple[datetime, str]], runs: Collection[str], at: datetime) -> Row | None:
    """Return a copy of the range from the first to the last sight of it that the runs told; None if they told none."""
    first, last = row["captured_at"], row["last_captured_at"]
    within = [(seen_at, run_id) for seen_at, run_id in sights if first <= seen_at <= last]
    known = [seen_at for seen_at, run_id in within if run_id in runs and seen_at <= at]
    if row["run_id"] in runs and first <= at:
        known.append(first)
    if not known:
        return None
    is_last_told = all(run_id in runs for seen_at, run_id in within if seen_at == last)
    shortened = row | {
        "captured_at": min(known),
        "last_captured_at": min(last, at) if is_last_told else max(known),
    }
    if shortened["captured_at"] != first:
        shortened["snapshot_id"] = shortened["snapshot_key"] = snapshot_key(shortened)
        shortened["run_id"] = next(run_id for seen_at, run_id in within if seen_at == shortened["captured_at"])
    return shortened


def overlaps(rows: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield the pairs of one plan's ranges of one kind of which the second begins before the first has ended."""
    newest: dict[str, Row] = {}
    for row in _in_order(rows):
        before = newest.get(row["kind"])
        if before is not None and row["captured_at"] < before["last_captured_at"]:
            yield before, row
        if before is None or row["last_captured_at"] >= before["last_captured_at"]:
            newest[row["kind"]] = row


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=itemgetter("captured_at", "snapshot_id"))


def _is_before(new: Row, row: Row) -> bool:
    """Whether the observation stands before the range."""
    return _precedes(new, new["captured_at"], row, row["captured_at"])


def _is_after(new: Row, row: Row) -> bool:
    return _precedes(row, row["last_captured_at"], new, new["captured_at"])


def _precedes(one: Row, one_at: datetime, other: Row, other_at: datetime) -> bool:
    return one_at < other_at or (one_at == other_at and _key_at(one, one_at) < _key_at(other, other_at))


def _split(around: Row, new: Row, sights: Sights) -> Row:
    """Shorten a range to its sights before an observation within it, and return that of its sights after it."""
    _note(sights, _first_told(around, sights), around["last_captured_at"])
    seen = sorted((sight for sight in sights.values() if _is_of(sight, around)), key=itemgetter("captured_at"))
    at, first, last = new["captured_at"], around["captured_at"], around["last_captured_at"]
    earlier = [s["captured_at"] for s in seen if first <= s["captured_at"] and _precedes(s, s["captured_at"], new, at)]
    later = [s for s in seen if s["captured_at"] <= last and _precedes(new, at, s, s["captured_at"])]
    rest = around | {name: later[0][name] for name in ("captured_at", "run_id", "recorded_at")}
    rest["snapshot_id"] = rest["snapshot_key"] = snapshot_key(rest)
    around["gone_at"] = around["gone_run_id"] = None  # it goes with the rest
    around["last_captured_at"] = max([first, *earlier])
    return rest


def _first_told(row: Row, sights: Sights) -> Row:
    """Return what told of the range first, the row or a sight in it: no run that moved its end later had come then."""
    within = (s for s in sights.values() if _is_of(s, row) and row["captured_at"] <= s["captured_at"])
    return min((row, *within), key=itemgetter("recorded_at"))


def _is_of(sight: Row, row: Row) -> bool:
    return bool(sight["kind"] == row["kind"] and sight["canonical_sha256"] == row["canonical_sha256"])


def _note(sights: Sights, row: Row, at: datetime) -> None:
    """Note that the row's body was seen then, unless that is known."""
    key = _key_at(row, at)
    if key not in sights:
        names = ("project_id", "plan_id", "kind", "canonical_sha256", "run_id", "recorded_at")
        sights[key] = {"sight_key": key, "captured_at": at} | {name: row[name] for name in names}


def snapshot_key(row: Row) -> str:
    """Return the key of a range that begins at the row's captured_at."""
    return _key_at(row, row["captured_at"])


def _key_at(row: Row, at: datetime) -> str:
    return key_of(row["project_id"], row["plan_id"], row["kind"], row["canonical_sha256"], epoch_ms(at))
