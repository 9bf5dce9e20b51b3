"""What proves a fact, without the bodies themselves: for whoever may not read these."""

from archiver.views.words import BOOLEAN, INSTANT, TEXT, Dialect, View, ViewColumn


def _snapshot_proofs(_dialect: Dialect) -> str:
    kept = [column.name for column in SNAPSHOT_PROOFS.columns if column.name != "is_pruned"]
    return f"SELECT {', '.join(f's.{name}' for name in kept)}, s.body IS NULL AS is_pruned\nFROM snapshots AS s"


SNAPSHOT_PROOFS = View(
    name="snapshot_proofs",
    grain="A row is one snapshot without its body: who saw it when, and what it hashes to.",
    columns=(
        ViewColumn("snapshot_key", TEXT, "Stable key of the row, as in `snapshots`"),
        ViewColumn("snapshot_id", TEXT, "The same as snapshot_key; facts name it as first and last"),
        ViewColumn("project_id", TEXT, "Project the release belongs to"),
        ViewColumn("plan_id", TEXT, "Release task (the vendor's release plan)"),
        ViewColumn("kind", TEXT, "list_item or deploy_info"),
        ViewColumn("captured_at", INSTANT, "When the body was first seen in this range of sight"),
        ViewColumn("last_captured_at", INSTANT, "When a run that fetched the plan last saw the same body"),
        ViewColumn("recorded_at", INSTANT, "When the archive wrote the row"),
        ViewColumn("run_id", TEXT, "Run that first saw the body"),
        ViewColumn("content_sha256", TEXT, "SHA-256 of the body as it came, byte for byte"),
        ViewColumn("canonical_sha256", TEXT, "SHA-256 of the body with sorted keys; decides whether a body is new"),
        ViewColumn("is_pruned", BOOLEAN, "Whether the body was dropped by `archiver prune`"),
    ),
    question="Which body first showed that an attempt had failed, and which run saw it?",
    example="SELECT a.plan_id, a.component_id, a.job_id, p.run_id, p.captured_at, p.content_sha256 "
    "FROM job_attempts AS a JOIN snapshot_proofs AS p ON p.snapshot_id = a.first_snapshot_id "
    "WHERE a.outcome = 'failed'",
    query=_snapshot_proofs,
)
