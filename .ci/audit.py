"""Ask the package index for known vulnerabilities of what the lock names: exit 1 on one.

What could not be asked is said loudly, and is no pass: with `strict` it fails. An index without that service answers
"not found", which pip-audit alone would take for nothing to say.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.txt"


def audited(lock):
    """Return what pip-audit found of each dependency, and why it could not look at all, if so."""
    if find_spec("pip_audit") is None:
        return [], "pip-audit is not installed: pip install pip-audit"
    options = ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "-r", str(lock), *options], capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout)["dependencies"], None
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return [], f"pip-audit could not look: {lines[-1][:300]}"


def report(dependencies, reason, *, is_strict):
    """Return the lines to print and the exit code."""
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    looked_at = [one for one in dependencies if "skip_reason" not in one]
    lines = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for one in looked_at
        for fault in one["vulns"]
    ]
    code = 1 if lines else 0
    lines.append(f"{len(looked_at)} dependencies audited, {len(lines)} known vulnerabilities")
    if skipped and reason is None:
        some = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        reason = f"the index knows nothing of {len(skipped)} of {len(dependencies)}: {some}"
    if reason is not None:
        lines += ["!" * 78, f"NOT AUDITED: {reason}", "!" * 78]
        code = 1 if is_strict else code
    return lines, code


def main():
    """Print what was found."""
    lines, code = report(*audited(LOCK), is_strict="strict" in sys.argv[1:])
    print("\n".join(lines))
    sys.exit(code)


if __name__ == "__main__":
    main()
