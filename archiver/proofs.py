"""What is known of snapshots without their bodies, for whoever may read these and for whoever may not."""

from sqlalchemy import Connection, FromClause, select, text

from archiver.schema import snapshots
from archiver.views import TABLES

VIEW = TABLES["snapshot_proofs"]


def proofs(connection: Connection) -> FromClause:
    """Return what to select from, with the columns of the view: the view itself only where the table is withheld.

    So that whoever reads the table never minds an archive with older views.
    """
    is_withheld = (
        connection.dialect.name == "postgresql"
        and not connection.execute(text("SELECT has_table_privilege('snapshots', 'SELECT')")).scalar_one()
    )
    if is_withheld:
        return VIEW
    kept = [snapshots.c[column.name] for column in VIEW.columns if column.name in snapshots.c]
    return select(*kept, snapshots.c.body.is_(None).label("is_pruned")).subquery(VIEW.name)
