"""The same job as one would write it first: `merge_run.py BASE_URL DATABASE`, requests and SQLAlchemy's session.merge.

It lists, fetches one plan after the other, and merges attempts and bodies. Like the floor it keeps no history.
"""

import sys
from hashlib import sha256

import requests
from sqlalchemy import BigInteger, LargeBinary, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

PATH = "/v3/p/cas/release-plans"


class Base(DeclarativeBase):
    """The tables of the floor."""


class Plan(Base):
    """A plan in the list."""

    __tablename__ = "plans"
    plan_id: Mapped[str] = mapped_column(primary_key=True)
    modified_ms: Mapped[int] = mapped_column(BigInteger)


class Body(Base):
    """A body as it came."""

    __tablename__ = "bodies"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class Attempt(Base):
    """An attempt."""

    __tablename__ = "attempts"
    job_id: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str]
    component_id: Mapped[str]
    batch: Mapped[int | None]
    version: Mapped[str | None]
    job_status: Mapped[str | None]
    start_time: Mapped[int | None] = mapped_column(BigInteger)
    end_time: Mapped[int | None] = mapped_column(BigInteger)
    fail_message: Mapped[str | None]


def main(base_url, database):
    """Archive everything once."""
    if "dbname" in database:
        import psycopg

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database))
    else:
        engine = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    with requests.Session() as http, Session(engine) as session:
        for item in http.get(base_url + PATH, timeout=60).json()["release_plans"]:
            plan_id = item["id"]
            content = http.get(f"{base_url}{PATH}/{plan_id}/deploy-info", timeout=60)
            session.merge(Plan(plan_id=plan_id, modified_ms=item["modify_time"]))
            session.merge(Body(sha256=sha256(content.content).hexdigest(), body=content.content))
            for one in content.json()["components"]:
                names = ("version", "job_id", "job_status", "start_time", "end_time", "fail_message")
                kept = {name: one[name] for name in names}
                session.merge(Attempt(plan_id=plan_id, component_id=one["id"], batch=one["seq"], **kept))
            session.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
