"""The wheel is all that is needed: both commands, the migrations, the templates, and every dependency named."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from installed import IS_WHOLE, NO_NETWORK, ROOT, done, surroundings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from archiver.simulator import Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=6)


def test_the_installed_program_archives_and_reports_outside_the_checkout(program, tmp_path):
    where = program.python("import archiver, reports; print(archiver.__file__, reports.__file__)", tmp_path)
    assert all(Path(place).is_relative_to(program.environment) for place in where.split())

    with running(Simulator(HISTORY, now=lambda: ENDS_AT)) as endpoint:
        cloud = {"ENDPOINT": endpoint, "PROJECT_ID": HISTORY.project_ids[0], "TOKEN": "any"}
        code, out, err = program.run("archiver", "run", cwd=tmp_path, **cloud)
    assert (code, "complete" in out) == (0, True), err
    assert program.run("archiver", "check", cwd=tmp_path)[:2] == (0, "the archive is sound\n")
    assert program.run("archiver", "database", "check", cwd=tmp_path)[:2] == (0, "the database equals the models\n")

    code, _, err = program.run("reports", "weekly", "--week", "2026-W47", "--out", "report", cwd=tmp_path)
    assert code == 0, err
    assert "</html>" in (tmp_path / "report" / "weekly-2026-W47.html").read_text("utf-8")
    for name in ("archiver", "reports"):
        assert "Usage" in program.python(
            f"import runpy, sys; sys.argv = ['x', '--help']\nrunpy.run_module({name!r}, run_name='__main__')", tmp_path
        )


def test_the_wheel_holds_every_migration_and_nothing_of_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    scripts = {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert {Path(name).name for name in names if name.startswith("archiver/migrations/versions/")} == scripts
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"archiver", "reports"}


def required(distribution):
    """Return the names of what a distribution requires, its extras included, in one spelling."""
    return {canonicalize_name(Requirement(line).name) for line in requires(distribution) or ()}


def imported(path):
    """Return the names of the packages that a module imports from outside the standard library."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"archiver", "reports"}


def test_every_import_is_of_a_dependency_that_the_wheel_names():
    """Environments lend each other what they have: what is imported must be asked for, by us or by what we ask for."""
    ours = required("release-archiver")
    there = {canonicalize_name(name) for owners in packages_distributions().values() for name in owners}
    named = ours.union(*(required(name) for name in ours & there))
    owners = packages_distributions()

    missing = {
        f"{path.relative_to(ROOT)} imports {name}"
        for package in ("archiver", "reports")
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if named.isdisjoint(map(canonicalize_name, owners.get(name, [])))
    }

    assert missing == set()


def is_open(program, user):
    """Tell whether another user can start a program."""
    try:
        return subprocess.run([program, "-c", ""], user=user, extra_groups=[], check=False, cwd="/").returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become any user")
def test_it_runs_as_a_user_without_a_name_or_a_home():
    """As a cluster that chooses the user runs it: nothing is looked up, and nothing written but in its folder."""
    nobody = 54_321
    same = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # The tests' own interpreter may lie where root alone can look.
    python = next((found for found in (sys.executable, f"/usr/bin/{same}") if is_open(found, nobody)), None)
    if python is None:
        pytest.skip("no interpreter of this version can be read by another user")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, running(Simulator(HISTORY, now=lambda: ENDS_AT)) as url:
        os.chown(folder, nobody, nobody)
        settings = {"ARCHIVER_ENDPOINT": url, "ARCHIVER_PROJECT_ID": HISTORY.project_ids[0], "ARCHIVER_TOKEN": "any"}
        for command in (["archiver", "run"], ["reports", "weekly", "--week", "2026-W47", "--out", "report"]):
            ended = subprocess.run(
                [python, "-m", *command],
                cwd=folder,
                env=surroundings(
                    HOME="/nonexistent",
                    PYTHONPATH=f"{ROOT}:{sysconfig.get_path('purelib')}",
                    PYTHONDONTWRITEBYTECODE="1",
                    **settings,
                ),
                user=nobody,
                group=nobody,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
        assert {path.stat().st_uid for path in Path(folder).rglob("*")} == {nobody}


@pytest.mark.skipif(not IS_WHOLE, reason="ARCHIVER_TEST_INSTALL=whole installs from a folder of wheels")
def test_make_setup_needs_no_network_with_a_folder_of_wheels(wheels, tmp_path):
    clone = tmp_path / "clone"
    files = done(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).splitlines()
    for name in files:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)

    made = subprocess.run(
        ["make", "setup", f"WHEELS={wheels}", f"PYTHON={sys.executable}"],
        cwd=clone,
        env=surroundings(**NO_NETWORK),
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    # What sends reports and troubles, and what draws: both are extras, and the lock brings them along.
    done([clone / ".venv" / "bin" / "python", "-c", "import altair, apprise, vl_convert"], cwd=tmp_path)
    for name in ("archiver", "reports"):
        assert "Usage" in done([clone / ".venv" / "bin" / name, "--help"], cwd=tmp_path, env=surroundings())
