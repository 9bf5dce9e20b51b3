"""Ranges of sight: where in a plan's past an observation belongs. Pure; rows are those of `snapshots`."""

from archiver.mapping import Row, epoch_ms, key_of


def place(rows: list[Row], new: Row, *, keeps_ids: bool = False) -> bool:
    """Put one observation (a snapshot row with captured_at = last_captured_at) among its plan's ranges, in place.

    A body that was seen before and after, with no other between, is one range. An observation of another body within
    a range splits it: what is known of a range are its first and its last sight. Return whether anything changed;
    doing it twice does it once. A range that now begins earlier is named anew, unless `keeps_ids`.
    """
    at, body = new["captured_at"], new["canonical_sha256"]
    mine = sorted((row for row in rows if row["kind"] == new["kind"]), key=lambda row: row["captured_at"])
    around = [row for row in mine if row["captured_at"] <= at <= row["last_captured_at"]]
    if any(row["canonical_sha256"] == body for row in around):
        return False
    if around:
        _split(rows, around[0])
        rows.append(new)
        return True
    before = next((row for row in reversed(mine) if row["last_captured_at"] < at), None)
    after = next((row for row in mine if row["captured_at"] > at), None)
    is_gone = before is not None and before["gone_at"] is not None and before["gone_at"] < at
    if before is not None and before["canonical_sha256"] == body and not is_gone:
        before["last_captured_at"] = at
    elif (
        # A range begins earlier only within one run: what an earlier run knew, and when, stays told.
        after is not None
        and (after["canonical_sha256"], after["run_id"]) == (body, new["run_id"])
        and (before is None or before["gone_at"] is None)
    ):
        after["captured_at"] = at
        if not keeps_ids:
            after["snapshot_id"] = after["snapshot_key"] = snapshot_key(after)
    else:
        rows.append(new)
    return True


def put_aside(rows: list[Row], new: Row) -> None:
    """Put an observation of a time whose bodies were pruned among its plan's ranges, in place; no other range moves.

    One that only says what the range before it says lengthens that range.
    """
    at, body = new["captured_at"], new["canonical_sha256"]
    mine = [row for row in rows if row["kind"] == new["kind"] and row["captured_at"] <= at]
    before = max(mine, key=lambda row: row["captured_at"], default=None)
    is_gone = before is not None and before["gone_at"] is not None and before["gone_at"] < at
    if before is not None and before["canonical_sha256"] == body and not is_gone:
        before["last_captured_at"] = max(at, before["last_captured_at"])
    elif all(row["snapshot_id"] != new["snapshot_id"] for row in rows):
        rows.append(new)


def _split(rows: list[Row], around: Row) -> None:
    """Part a range in which something else was seen into its first sight and its last."""
    last = around["last_captured_at"]
    if last != around["captured_at"]:
        later = around | {"captured_at": last}
        later["snapshot_id"] = later["snapshot_key"] = snapshot_key(later)
        rows.append(later)
        around["gone_at"] = around["gone_run_id"] = None
    around["last_captured_at"] = around["captured_at"]


def snapshot_key(row: Row) -> str:
    """Return the key of a range that begins at the row's captured_at."""
    captured_ms = epoch_ms(row["captured_at"])
    return key_of(row["project_id"], row["plan_id"], row["kind"], row["canonical_sha256"], captured_ms)
