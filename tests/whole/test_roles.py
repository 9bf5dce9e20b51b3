"""Three roles on PostgreSQL with no right in `public`: an owner makes tables, a writer archives, analysts read."""

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from archiver import cli as archiver_cli
from archiver import granting, migrate, schema, viewing
from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.errors import ArchiverError
from archiver.granting import Grantee
from archiver.simulator import Simulator, build_history, running
from archiver.views import VIEWS
from reports import cli as reports_cli

SCHEMA = "release_archive"
ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=8)
PROJECT = HISTORY.project_ids[0]
BODIES = {"snapshots": "body", "fetch_failures": "body", "plan_states": "state"}
# Several commands in one process, since starting one takes longer than most of them.
_ALL_OF_THEM = """
import json, sys
from archiver import cli as archiver
from reports import cli as reports
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        {"archiver": archiver, "reports": reports}[name].main()
    except SystemExit as left:
        if left.code:
            sys.exit(f"{name} {arguments} exits {left.code}")
"""
# A name such as people make to see what breaks; without its own rights it must be no less safe.
HOSTILE = 'o\'Hara "%s" \\ ; DROP'


@pytest.fixture(scope="module")
def place(_postgres_server):
    """Return a database of which the public may do nothing, its roles, and who may connect to it how."""
    tag = secrets.token_hex(4)
    name = f"archiver_roles_{tag}"
    roles = {who: f"{who}_{tag}" for who in ("owner", "writer", "analyst", "other")} | {"hostile": f"{HOSTILE} {tag}"}
    url = make_url(_postgres_server.url.render_as_string(hide_password=False)).set(database=name)
    with _postgres_server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        for role in roles.values():
            quoted = role.replace('"', '""')
            connection.exec_driver_sql(
                f"CREATE ROLE \"{quoted}\" LOGIN PASSWORD 'x'", execution_options={"no_parameters": True}
            )
            connection.exec_driver_sql(
                f'GRANT CONNECT ON DATABASE {name} TO "{quoted}"', execution_options={"no_parameters": True}
            )
        connection.execute(text(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"))
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
        connection.execute(text(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {roles['owner']}"))
    urls = {who: url.set(username=role, password="x").render_as_string(False) for who, role in roles.items()}
    yield SimpleNamespace(name=name, roles=roles, urls=urls, admin=admin, url=url.render_as_string(False))
    with _postgres_server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        for role in roles.values():
            quoted = role.replace('"', '""')
            connection.exec_driver_sql(f'DROP ROLE "{quoted}"', execution_options={"no_parameters": True})


@pytest.fixture(scope="module")
def printed(place):
    """Return what `upgrade --sql` prints for a DBA, applied by the owner, who may make no schema."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        migrate.upgrade_sql(SCHEMA)
    psql(place.urls["owner"], out.getvalue())
    return out.getvalue()


@pytest.fixture
def three(place, printed, command):
    """Return the place with the rights of writer and analyst given by the owner."""
    for grant, who in (("grant-writer", "writer"), ("grant-analyst", "analyst")):
        assert command("owner", "database", grant, place.roles[who])[0] == 0
    return place


@pytest.fixture
def command(place, monkeypatch, capfd):
    """Return a function that runs `archiver` as one of the roles, and gives exit code, output and errors."""

    def call(who, *arguments, **settings):
        monkeypatch.setenv("ARCHIVER_DATABASE_URL", place.urls.get(who, who))
        for name, value in settings.items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)
        monkeypatch.setattr("sys.argv", ["archiver", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            archiver_cli.main()
        captured = capfd.readouterr()
        return left.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def report(place, monkeypatch, capfdbinary):
    """Return a function that runs `reports` as one of the roles."""

    def call(who, *arguments):
        monkeypatch.setenv("ARCHIVER_DATABASE_URL", place.urls[who])
        code = reports_cli.run(arguments, clock=ManualClock(ENDS_AT))
        captured = capfdbinary.readouterr()
        return code, captured.out.decode(), captured.err.decode()

    return call


@pytest.fixture(scope="module")
def filled(place, printed, tmp_path_factory):
    """Fill the archive as the writer, by the program alone: two runs, an import, and an issued report."""
    with connected_as(place, "owner") as connection:
        granting.grant_writer(connection, Grantee(place.roles["writer"], SCHEMA))
        granting.grant_analyst(connection, Grantee(place.roles["analyst"], SCHEMA))
    simulator = Simulator(HISTORY, now=lambda: ENDS_AT)
    with running(simulator) as endpoint:
        surroundings = os.environ | {
            "ARCHIVER_DATABASE_URL": place.urls["writer"],
            "ARCHIVER_ENDPOINT": endpoint,
            "ARCHIVER_PROJECT_ID": PROJECT,
            "ARCHIVER_TOKEN": "any",
        }
        body = tmp_path_factory.mktemp("saved") / "body.json"
        body.write_text(json.dumps({"id": "imported", "components": []}))
        commands = [
            ["archiver", "run"],
            ["archiver", "run", "--full"],
            ["archiver", "import", str(body), "--captured-at", "2026-11-20T00:00:00Z"],
            ["reports", "weekly", "--week", "2026-W47", "--issue"],
            ["archiver", "replay"],
            ["archiver", "prune", "--older-than", "0"],
            ["archiver", "status"],
            ["archiver", "check"],
        ]
        done = subprocess.run(
            [sys.executable, "-c", _ALL_OF_THEM, json.dumps(commands)],
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    return place


def psql(url, statements):
    """Let psql apply statements, as a DBA would; any error ends it."""
    program = shutil.which("psql")
    if program is None:
        pytest.skip("there is no psql")
    plain = make_url(url).set(drivername="postgresql").render_as_string(False)
    done = subprocess.run(
        [program, "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", plain],
        input=statements,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@contextlib.contextmanager
def connected_as(place, who):
    """Give a transaction as one of the roles."""
    engine = open_writer(place.urls[who], SCHEMA)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def ask(place, who, query):
    with connected_as(place, who) as connection:
        result = connection.execute(text(query))
        return result.all() if result.returns_rows else []


def rights(place):
    """Return every right in the schema and on what comes later, and every role's settings, as PostgreSQL keeps them."""
    with place.admin.connect() as connection:
        return [
            connection.exec_driver_sql(query, execution_options={"no_parameters": True}).all()
            for query in (
                "SELECT relname, relacl::text FROM pg_class WHERE relkind IN ('r', 'v') ORDER BY relname",
                "SELECT attrelid, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL ORDER BY 1, 2",
                "SELECT nspname, nspacl::text FROM pg_namespace ORDER BY 1",
                "SELECT defaclrole::regrole::text, defaclacl::text FROM pg_default_acl ORDER BY 1",
                "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting WHERE setdatabase <> 0 ORDER BY 1",
            )
        ]


def test_what_is_printed_for_a_dba_makes_an_archive_that_the_check_finds_clean(three, command):
    code, out, err = command("owner", "database", "check")

    assert (code, out, err) == (0, "the database equals the models\n", "")


def test_a_writer_archives_and_makes_no_table(filled):
    assert ask(filled, "writer", "SELECT outcome FROM runs ORDER BY started_at") == [("complete",)] * 3
    for statement in ("CREATE TABLE mine (x int)", "ALTER TABLE plans ADD x int", "DROP VIEW coverage"):
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            ask(filled, "writer", statement)


def test_an_analyst_reads_every_view_and_every_table_but_the_bodies(filled):
    for view in VIEWS:
        assert isinstance(ask(filled, "analyst", view.example), list)
        ask(filled, "analyst", f"SELECT * FROM {view.name} LIMIT 1")
    for table in schema.metadata.sorted_tables:
        columns = [column.name for column in table.columns if column.name != BODIES.get(table.name)]
        question = f"SELECT {', '.join(columns)} FROM {table.name} LIMIT 1"
        if table.name != "snapshots":
            ask(filled, "analyst", question)
    assert ask(filled, "analyst", "SELECT count(*) > 0 FROM component_releases") == [(True,)]
    for question in (
        "SELECT snapshot_id FROM snapshots",
        "SELECT * FROM fetch_failures",
        "SELECT body FROM fetch_failures",
        "SELECT state FROM plan_states",
        "DELETE FROM label_rules",
        "CREATE TABLE mine (x int)",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            ask(filled, "analyst", question)


def test_all_that_holds_bodies_is_withheld():
    """A new column of bytes is withheld by itself; its migration must revoke it, since later tables are readable."""
    assert granting.withheld_columns() == {table: [column] for table, column in BODIES.items()}


def test_an_analyst_makes_tables_and_the_weekly_report_and_is_told_what_needs_bodies(filled, report, tmp_path):
    window = ("--since", "2026-11-16", "--until", "2026-11-23", "--format", "json")
    for asked in (
        *(
            (table, *window)
            for table in ("failure-rates", "rollbacks", "batch-timing", "delivery", "failures", "quality")
        ),
        ("explain", "failure-rates", "--week", "2026-W47", "--format", "json"),
    ):
        answer = report("analyst", *asked)
        assert answer == report("writer", *asked)
        assert answer[0] == 0
        assert json.loads(answer[1])
    for who in ("analyst", "writer"):
        assert report(who, "weekly", "--week", "2026-W47", "--out", str(tmp_path / who))[0] == 0
    csv = "weekly-2026-W47-failure-rates.csv"
    assert (tmp_path / "analyst" / csv).read_bytes() == (tmp_path / "writer" / csv).read_bytes()

    for arguments, says in (
        (("failure-rates", "--as-of", "2026-11-22T00:00:00Z"), "told by the bodies in `snapshots`"),
        (("weekly", "--week", "2026-W47", "--issue"), "may not read them"),
    ):
        code, out, err = report("analyst", *arguments)
        assert (code, out, len(err.splitlines())) == (3, "", 1), err
        assert says in err
        assert "role" in err


def test_an_analyst_can_watch(filled, command):
    code, out, err = command("analyst", "status", "--json", PROJECT_ID=PROJECT)

    assert (code, err) == (0, "")
    (project,) = json.loads(out)["projects"]
    assert min(project["snapshots"], project["attempts"]) > 0


def test_jit_is_off_for_analysts_from_their_next_connection_on(three, command):
    code, out, err = command(three.url, "database", "grant-analyst", three.roles["analyst"])

    assert (code, err) == (0, "")
    assert "jit is off for it" in out
    assert ask(three, "analyst", "SHOW jit") == [("off",)]
    assert ask(three, "writer", "SHOW jit") == [("on",)]


def test_who_may_not_turn_jit_off_says_so_and_gives_the_rights_all_the_same(place, printed, command):
    code, out, err = command("owner", "database", "grant-analyst", place.roles["other"])

    assert (code, err) == (0, "")
    assert f'ALTER ROLE "{place.roles["other"]}" IN DATABASE "{place.name}" SET jit = off' in out
    assert ask(place, "other", "SELECT count(*) FROM coverage")


def test_granting_twice_changes_nothing(three, command):
    before = rights(three)

    assert command("owner", "database", "grant-analyst", three.roles["analyst"])[0] == 0
    assert command("owner", "database", "grant-writer", three.roles["writer"])[0] == 0

    assert rights(three) == before


def test_the_printed_grants_do_the_same_though_another_applies_them(three, command):
    assert command(three.url, "database", "grant-analyst", three.roles["analyst"])[0] == 0
    before = rights(three)
    for who, grant in (("analyst", "grant-analyst"), ("writer", "grant-writer"), ("hostile", "grant-analyst")):
        code, out, err = command("owner", "database", grant, three.roles[who], "--sql")
        assert (code, err) == (0, "")
        psql(three.url, out)
        if who != "hostile":
            assert rights(three) == before
    assert ask(three, "hostile", "SELECT count(*) FROM coverage")
    assert ask(three, "hostile", "SHOW jit") == [("off",)]
    with pytest.raises(ProgrammingError, match="permission denied"):
        ask(three, "hostile", "SELECT body FROM snapshots")


def test_a_wider_right_that_a_role_had_is_taken_away(three, command):
    other = three.roles["other"]
    with connected_as(three, "owner") as connection:
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {other}"))
        connection.execute(text(f"GRANT SELECT (body) ON snapshots TO {other}"))

    assert command("owner", "database", "grant-analyst", other)[0] == 0

    for table, column in BODIES.items():
        with pytest.raises(ProgrammingError, match="permission denied"):
            ask(three, "other", f"SELECT {column} FROM {table}")


@pytest.mark.parametrize("to", ["PUBLIC", "{writer}"])
def test_a_role_that_reads_bodies_by_other_rights_is_named_and_nothing_changes(three, command, to):
    other = three.roles["other"]
    grant = to.format(**three.roles)
    statement = f"GRANT {grant} TO {other}" if grant != "PUBLIC" else f"GRANT SELECT ON {SCHEMA}.snapshots TO PUBLIC"
    undo = statement.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
    with three.admin.connect() as connection:
        connection.execute(text(statement))
        before = rights(three)
        try:
            code, out, err = command("owner", "database", "grant-analyst", other)
            assert (code, out, len(err.splitlines())) == (3, "", 1)
            assert other in err
            assert rights(three) == before
        finally:
            connection.execute(text(undo))


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_a_role_that_writes_is_never_made_an_analyst(three, command, who):
    code, out, err = command("owner", "database", "grant-analyst", three.roles[who])

    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "writes the archive" in err
    assert ask(three, who, "SELECT count(*) FROM snapshots")


@pytest.mark.parametrize("grant", ["grant-analyst", "grant-writer"])
@pytest.mark.parametrize(
    ("role", "code", "says"),
    [
        ("nobody_of_that_name", 3, 'there is no role "nobody_of_that_name"'),
        ("no\"bo'dy\\", 3, "there is no role"),
        ("public", 2, "'public' is no role of its own"),
        ("PUBLIC", 3, 'there is no role "PUBLIC"'),
        ("current_user", 3, 'there is no role "current_user"'),
        ("x" * 64, 2, "1 to 63 bytes"),
        ("", 2, "1 to 63 bytes"),
    ],
)
def test_what_is_no_role_is_named_in_one_line_and_nothing_changes(three, command, grant, role, code, says):
    before = rights(three)

    left, out, err = command("owner", "database", grant, role)

    assert (left, out, len(err.splitlines())) == (code, "", 1)
    assert says in err
    assert rights(three) == before


def test_one_who_may_not_give_rights_is_told_so(three, command):
    code, out, err = command("writer", "database", "grant-analyst", three.roles["other"])

    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "must be member of role" in err


def test_sqlite_has_no_roles(command, tmp_path):
    for grant in ("grant-analyst", "grant-writer"):
        code, out, err = command("sqlite:///archive.db", "database", grant, "ana")
        assert (code, out, err) == (
            2,
            "",
            "error: SQLite has no roles: who may read the archive's file may read it all (chmod)\n",
        )
    assert list(tmp_path.iterdir()) == []


def test_later_views_and_tables_are_readable_and_dropped_views_keep_their_rights(three):
    with connected_as(three, "owner") as connection:
        kept = viewing.drop_postgresql_views(connection, SCHEMA)
        viewing.refresh_views(connection, SCHEMA)
        viewing.run_statements(connection, kept)
        connection.execute(text("CREATE TABLE later (x int)"))
        connection.execute(text("CREATE VIEW later_view AS SELECT x FROM later"))
    try:
        for view in VIEWS:
            ask(three, "analyst", f"SELECT * FROM {view.name} LIMIT 1")
        assert ask(three, "analyst", "SELECT * FROM later_view") == ask(three, "analyst", "SELECT * FROM later") == []
        with pytest.raises(ProgrammingError, match="permission denied"):
            ask(three, "analyst", "INSERT INTO later VALUES (1)")
        ask(three, "writer", "INSERT INTO later VALUES (1)")
    finally:
        ask(three, "owner", "DROP TABLE later CASCADE")


def test_what_is_printed_from_a_revision_brings_an_older_archive_up_and_keeps_its_rights(three, command):
    """As the owner, who may make no temporary table; the views of then give way and come back with their grants."""
    engine = open_writer(three.urls["owner"], SCHEMA)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW coverage"))
        connection.execute(text("CREATE VIEW coverage AS SELECT week, time_zone FROM weeks"))
        connection.execute(text("ALTER VIEW coverage SET (security_barrier = true)"))
        connection.execute(text(f"GRANT SELECT (week) ON coverage TO {three.roles['other']} WITH GRANT OPTION"))
    head = migrate.head_revision()
    with engine.connect() as connection:
        assert viewing.stale_views(connection, SCHEMA) == ["coverage"]

    code, out, err = command("owner", "database", "upgrade", "--sql", "--from", head)
    assert (code, err) == (0, "")
    psql(three.urls["owner"], out)

    assert command("owner", "database", "check")[0] == 0
    granted = f"SELECT has_column_privilege('{three.roles['other']}', 'coverage', 'week', 'SELECT WITH GRANT OPTION')"
    assert ask(three, "owner", granted) == [(True,)]
    assert ask(three, "owner", "SELECT reloptions FROM pg_class WHERE relname = 'coverage'") == [
        (["security_barrier=true"],)
    ]
    ask(three, "analyst", "SELECT * FROM coverage")
    with engine.begin() as connection:
        connection.execute(text("ALTER VIEW coverage RESET (security_barrier)"))
    engine.dispose()


def test_sql_from_what_is_no_revision_is_refused(command):
    for arguments in (("--sql", "--from", "nonsense"), ("--from", "0001")):
        code, out, err = command("sqlite:///archive.db", "database", "upgrade", *arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "--from" in err


def test_a_role_name_is_one_value_in_every_statement():
    """No name ends its quotes: what is left after every quoted piece is taken out is the same for all names."""

    def skeleton(role):
        to = Grantee(role, SCHEMA)
        statements = [*granting.analyst_statements(to), granting.no_jit_statement(to), *granting.writer_statements(to)]
        quoted = re.compile(r"""(?: E)?'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*\"""")
        return [quoted.sub("?", statement) for statement in statements]

    plain = skeleton("ana")
    for role in (
        "a'; DROP TABLE runs; --",
        'a"; DROP TABLE runs; --',
        "\\'; SELECT 1; --",
        "$$; SELECT 1; $$",
        "%I%s%%",
    ):
        assert skeleton(role) == plain


def test_check_role_refuses_what_no_role_can_be():
    with pytest.raises(ArchiverError, match="no role"):
        granting.check_role("a\0b")
