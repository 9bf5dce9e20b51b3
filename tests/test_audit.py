"""The audit of dependencies: what could not be looked at is never taken for sound."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

SOUND = {"name": "httpx", "version": "0.28.1", "vulns": []}
UNSOUND = {"name": "old", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
UNKNOWN = {"name": "mine", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("dependencies", "reason", "code", "strict_code", "says"),
    [
        ([SOUND], None, 0, 0, "1 dependencies audited, 0 known"),
        ([SOUND, UNSOUND], None, 1, 1, "old 1: PYSEC-1, mended in 2"),
        ([SOUND, UNKNOWN], None, 0, 1, "NOT AUDITED: the index knows nothing of 1 of 2: mine"),
        ([UNSOUND, UNKNOWN], None, 1, 1, "NOT AUDITED"),
        ([], "pip-audit is not installed", 0, 1, "NOT AUDITED: pip-audit is not installed"),
    ],
)
def test_a_vulnerability_fails_and_what_is_unknown_is_said(dependencies, reason, code, strict_code, says):
    lines, found = audit.report(dependencies, reason, is_strict=False)

    assert found == code
    assert audit.report(dependencies, reason, is_strict=True)[1] == strict_code
    assert says in "\n".join(lines)
