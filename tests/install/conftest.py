"""The program as a user has it: its wheel in an environment of its own, used from outside the checkout.

By default that environment borrows the dependencies of the one that runs the tests. With ARCHIVER_TEST_INSTALL=whole
they are downloaded by the lock, with hashes, and installed from there without a network: slower, and the real thing.
"""

import sys
import sysconfig

import pytest
from installed import IS_WHOLE, NO_NETWORK, ROOT, Program, done, surroundings


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Return a folder of all wheels that the lock names, downloaded from the index that pip uses."""
    if not IS_WHOLE:
        pytest.skip("ARCHIVER_TEST_INSTALL=whole downloads every wheel that the lock names")
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    done([*pip, "--require-hashes", "-r", ROOT / "requirements.txt", "-d", folder])
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return the program's wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    done([*pip, "--no-build-isolation", "--no-index", "-w", folder, ROOT])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def program(wheel, tmp_path_factory, request):
    """Return the program, installed from its wheel into an empty environment."""
    environment = tmp_path_factory.mktemp("installed") / "env"
    done([sys.executable, "-m", "venv", "--without-pip", environment])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment / "bin" / "python"]
    if IS_WHOLE:
        folder = request.getfixturevalue("wheels")
        done([*pip, "install", "--quiet", "--no-index", "--find-links", folder, wheel], env=surroundings(**NO_NETWORK))
    else:
        done([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], env=surroundings())
        (packages,) = environment.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Program(environment)
