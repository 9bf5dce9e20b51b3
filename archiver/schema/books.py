"""The books: runs and what they failed at, nights, weeks, issued reports, and who may write."""

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKeyConstraint, Index, Integer, LargeBinary, Table

from archiver.schema import columns as col
from archiver.schema.columns import metadata

RUN_KINDS = ("scheduled", "manual", "watch", "import")
RUN_OUTCOMES = ("running", "complete", "partial", "failed", "interrupted")
TROUBLE_KINDS = ("failed", "incomplete", "plan", "gap")
NIGHT_STATES = ("due", "done", "partial", "missed")

runs = Table(
    "runs",
    metadata,
    col.text("run_id", "Start time and six random hex digits", nullable=False, primary_key=True),
    col.text("run_key", "The same as run_id", nullable=False),
    col.project(),
    col.text("kind", "scheduled, manual, watch or import", nullable=False),
    Column(
        "night_date", Date, comment="Night that the run serves, a date in ARCHIVER_TIMEZONE; NULL for watch and import"
    ),
    col.instant("started_at", "When the run started", nullable=False),
    col.instant("ended_at", "When it ended; for an interrupted run when that was noticed"),
    col.text("outcome", "running, complete, partial, failed or interrupted", nullable=False),
    col.count("plans_listed", "Distinct plans in the list"),
    col.count("plans_fetched", "Plans whose deployment information came: changed + unchanged"),
    col.count("plans_changed", "Fetched plans with a new list item or body"),
    col.count("plans_unchanged", "Fetched plans with nothing new"),
    col.count("plans_skipped", "Listed plans not due"),
    col.count("plans_gone", "Plans newly found gone"),
    col.count("plans_failed", "Listed plans that could not be archived"),
    col.count("requests", "Requests sent, retries included"),
    col.count("retries", "Requests sent again"),
    col.text("error", "Why the run is not complete, in one line"),
    col.text("archiver_version", "Version of the program", nullable=False),
    col.text("schema_revision", "Migration the database was at", nullable=False),
    Column("mapping_version", Integer, nullable=False, comment="Version of the rules that made rows of bodies"),
    col.one_of("kind", RUN_KINDS),
    col.one_of("outcome", RUN_OUTCOMES),
    Index(None, "project_id", "started_at"),
    comment="A row is one run of one project.",
)

fetch_failures = Table(
    "fetch_failures",
    metadata,
    col.key("fetch_failure_key", "run and plan"),
    col.text("run_id", "Run that failed to archive it", nullable=False),
    col.project(),
    col.text("plan_id", "Plan; NULL when the list itself failed"),
    col.text("stage", "Last stage tried: list, token, deploy_info, mapping, not_tried", nullable=False),
    col.text("error_code", "The vendor's error code, else the HTTP status"),
    col.text("message", "What happened, in one line", nullable=False),
    Column("body", LargeBinary, comment="The body that proves it, as it came; its first 64 MiB"),
    col.instant("failed_at", "When the run gave it up", nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "run_id"),
    Index(None, "project_id", "plan_id"),
    comment="A row is one plan that a run could not archive, at the last stage tried.",
)

nights = Table(
    "nights",
    metadata,
    col.key("night_key", "project and night"),
    col.project(),
    Column("night_date", Date, nullable=False, comment="The night, a date in ARCHIVER_TIMEZONE"),
    col.instant("planned_at", "When it fell due", nullable=False),
    col.text("state", "due, done, partial or missed", nullable=False),
    col.text("run_id", "Run that served it best; NULL if none did"),
    col.one_of("state", NIGHT_STATES),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "night_date", unique=True),
    comment="A row is one night that fell due for one project, written then and never recomputed.",
)

troubles = Table(
    "troubles",
    metadata,
    col.key("trouble_key", "project, kind, subject and run"),
    col.project(),
    col.text(
        "kind",
        "failed (nothing was archived), incomplete (in part), plan (one was not archived) or gap",
        nullable=False,
    ),
    col.text("subject", "The plan, or a gap's first night; else empty", nullable=False),
    col.text("message", "Why, in one line, as it was first seen", nullable=False),
    col.text("run_id", "Run that first showed it", nullable=False),
    col.instant("began_at", "When that run ended", nullable=False),
    col.instant("ended_at", "When a run no longer showed it; NULL while it lasts"),
    col.instant("told_at", "When someone was told; NULL if nobody was"),
    col.instant("end_told_at", "When someone was told that it is over"),
    col.one_of("kind", TROUBLE_KINDS),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
    Index(None, "project_id", "ended_at"),
    comment="A row is one trouble of a project, from the run that first showed it to the one that no longer did.",
)

weeks = Table(
    "weeks",
    metadata,
    col.key("week_key", "zone and week"),
    col.text("time_zone", "IANA zone the week is counted in", nullable=False),
    col.text("week", "ISO week, such as 2026-W47", nullable=False),
    Column("week_start_date", Date, nullable=False, comment="Its Monday"),
    col.instant("starts_at", "Its first instant", nullable=False),
    col.instant("ends_at", "The first instant after it", nullable=False),
    Index(None, "time_zone", "week", unique=True),
    Index(None, "time_zone", "starts_at"),
    comment="A row is one ISO week of one zone.",
)

leases = Table(
    "leases",
    metadata,
    col.text("lease_name", "project:<id>, or archive for the whole", nullable=False, primary_key=True),
    col.text("holder", "Random name of the process that holds it", nullable=False),
    col.text("host", "Its host", nullable=False),
    Column("pid", Integer, nullable=False, comment="Its process"),
    col.text("process_started", "When that process started, in the host's own measure", nullable=False),
    Column("fence", BigInteger, nullable=False, comment="Rises with each holder; every commit checks it"),
    Column("is_released", Boolean, nullable=False, comment="Whether the holder gave it back"),
    col.instant("acquired_at", "When it was taken", nullable=False),
    col.instant("heartbeat_at", "When the holder was last known alive, by the database's clock", nullable=False),
    col.instant("expires_at", "When it may be taken over, by the database's clock", nullable=False),
    comment="A row is the right of one process to write one project (or the whole archive).",
)

issued_reports = Table(
    "issued_reports",
    metadata,
    col.key("issued_report_key", "zone, week, projects and as_of"),
    col.text("time_zone", "IANA zone the week is counted in", nullable=False),
    col.text("week", "ISO week, such as 2026-W47", nullable=False),
    col.text("projects", "Project IDs it is on, as a JSON list; NULL for all"),
    col.instant("as_of", "What runs and imports that had ended by then knew", nullable=False),
    col.instant("issued_at", "When it was issued", nullable=False),
    col.text("archiver_version", "Version of the program", nullable=False),
    col.text("definition_versions", "Version of each definition its figures follow, as a JSON object", nullable=False),
    col.text("report", "The report, as its JSON file", nullable=False),
    col.text("report_sha256", "SHA-256 of that file", nullable=False),
    Index(None, "time_zone", "week"),
    comment="A row is one weekly report that was issued.",
)
