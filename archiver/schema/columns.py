"""What tables have alike: the metadata, and the columns that come again and again."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    MetaData,
    Text,
)

from archiver.instants import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, words: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def text(name: str, comment: str, *, nullable: bool = True, **options: Any) -> Column[Any]:
    return Column(name, Text, nullable=nullable, comment=comment, **options)


def instant(name: str, comment: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, UtcDateTime, nullable=nullable, comment=comment)


def key(name: str, of: str) -> Column[Any]:
    return Column(name, Text, primary_key=True, comment=f"Stable key of the row: 32 hex digits, a hash of {of}")


def count(name: str, comment: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


def project() -> Column[Any]:
    return text("project_id", "Project the release belongs to", nullable=False)


def plan() -> Column[Any]:
    return text("plan_id", "Release task (the vendor's release plan)", nullable=False)


def component() -> Column[Any]:
    return text("component_id", "Component; `missing:<name or position>` when none was sent", nullable=False)


def batch() -> Column[Any]:
    return Column("batch", BigInteger, comment="Release batch (`seq`); NULL when it was no number")


def sight(what: str) -> tuple[Column[Any], Column[Any]]:
    return (
        instant("first_seen_at", f"When the archive first saw {what}", nullable=False),
        instant("last_seen_at", f"When a body that was fetched last showed {what}", nullable=False),
    )


def proof() -> tuple[Column[Any], Column[Any]]:
    return (
        text("first_snapshot_id", "Snapshot that first showed the row", nullable=False),
        text("last_snapshot_id", "Snapshot that last showed the row", nullable=False),
    )


def of_plan() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["plan_key"], ["plans.plan_key"])


def plan_key() -> Column[Any]:
    return text("plan_key", "The plan's row in `plans`", nullable=False)
