"""What the fault battery shares: cases on both databases, the facts of an archive without faults, a private server."""

from datetime import UTC, datetime

import pytest
from private_postgres import PrivateCluster
from program import Case
from upstream import Upstream, story


@pytest.fixture(scope="session")
def nights():
    """Return the two nights of the story, told as of now."""
    return story(datetime.now(UTC))


@pytest.fixture(scope="session")
def flawless(nights, tmp_path_factory):
    """Return the facts of an archive that met no fault: {1: after the first night, 2: after both}."""
    folder = tmp_path_factory.mktemp("flawless")
    case = Case(f"sqlite:///{folder / 'archive.db'}", Upstream(), folder)
    known = {}
    for night, shown in ((1, nights.first_night), (2, nights.second_night)):
        case.upstream.show(shown)
        assert case.run_here().code == 0
        known[night] = case.facts()
        assert case.problems(is_recovered=True) == []
    return known


@pytest.fixture
def case(archive, tmp_path, nights):
    """Return a migrated archive with nothing in it, on each database in turn; the upstream shows the first night."""
    return Case(archive.url, Upstream().show(nights.first_night), tmp_path)


@pytest.fixture
def after_one_night(case, nights):
    """Return a case whose first night is archived; the upstream shows the second."""
    assert case.run_here().code == 0
    return case.turn_to(nights.second_night)


@pytest.fixture
def cluster(tmp_path):
    """Return a PostgreSQL cluster that this test alone uses, and may stop or fill."""
    with PrivateCluster.started() as own:
        yield own
