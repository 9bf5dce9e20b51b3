"""The nights that fell due, each with the run that served it."""

import pandas as pd
from sqlalchemy import and_, select

from archiver import schema
from reports.columns import NIGHT_RUNS
from reports.reading import Reading


def load_night_runs(archive: Reading) -> pd.DataFrame:
    """Read NIGHT_RUNS: all nights that the archive knows of."""
    nights, runs = schema.nights, schema.runs
    served = and_(runs.c.run_id == nights.c.run_id, runs.c.project_id == nights.c.project_id)
    columns = [nights.c[name] if name in nights.c else runs.c[name] for name in NIGHT_RUNS]
    query = select(*columns).join(runs, served, isouter=True).where(archive.of_projects(nights))
    return archive.books(query, NIGHT_RUNS)
