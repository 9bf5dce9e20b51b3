"""Which bodies prove a row: what the archive holds of the snapshots that a report names."""

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import select

from archiver.proofs import proofs
from reports.columns import BODIES, empty
from reports.reading import Reading, read

_IDS_AT_ONCE = 5_000


def load_bodies(archive: Reading, snapshot_ids: Sequence[str]) -> pd.DataFrame:
    """Return a row of BODIES for each of the snapshots that the archive has."""
    snapshots = proofs(archive.stored)
    query = select(*(snapshots.c[name] for name in BODIES))
    parts = [
        read(
            archive.stored, query.where(snapshots.c.snapshot_id.in_(snapshot_ids[start : start + _IDS_AT_ONCE])), BODIES
        )
        for start in range(0, len(snapshot_ids), _IDS_AT_ONCE)
    ]
    return pd.concat(parts, ignore_index=True) if parts else empty(BODIES)
