"""The views that analysts read: which there are, and the SQL that makes them on each database."""

from functools import lru_cache

from sqlalchemy import Column, MetaData, Table

from archiver.views.batches import BATCH_RUNS
from archiver.views.failures import FAILURE_TEMPLATES
from archiver.views.proofs import SNAPSHOT_PROOFS
from archiver.views.releases import COMPONENT_RELEASES
from archiver.views.rollbacks import ROLLBACK_RELEASES
from archiver.views.tables import COVERAGE_VIEW, WEEKLY_BATCH_TIMING, WEEKLY_FAILURE_RATES, WEEKLY_ROLLBACKS
from archiver.views.words import POSTGRESQL, SQLITE, View, ViewColumn

# In the order in which they are made: a view stands after those it reads.
VIEWS = (
    SNAPSHOT_PROOFS,
    ROLLBACK_RELEASES,
    COMPONENT_RELEASES,
    BATCH_RUNS,
    WEEKLY_FAILURE_RATES,
    WEEKLY_ROLLBACKS,
    WEEKLY_BATCH_TIMING,
    FAILURE_TEMPLATES,
    COVERAGE_VIEW,
)

# Of its own, so that comparing the tables with the models never takes a view for a missing table.
metadata = MetaData()
TABLES = {
    view.name: Table(
        view.name,
        metadata,
        *(Column(column.name, column.type, comment=column.comment) for column in view.columns),
        comment=view.grain,
    )
    for view in VIEWS
}

__all__ = ["TABLES", "VIEWS", "View", "ViewColumn", "create_statement", "metadata"]


@lru_cache
def create_statement(view: View, dialect_name: str) -> str:
    """Return the statement that makes a view on `sqlite` or `postgresql`."""
    dialect = SQLITE if dialect_name == "sqlite" else POSTGRESQL
    return f"CREATE VIEW {view.name} AS\n{view.query(dialect)}"
