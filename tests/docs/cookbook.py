"""Write the results into the cookbook anew: `python tests/docs/cookbook.py`. The questions and SQL stand in it."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from archives import COOKBOOK, ask, make_archive, markdown

# A question, its statement, and its result: all from there to the next heading.
_QUESTION = re.compile(r"^### (\d+)\. (.+?)\n(.*?)^```sql\n(.*?)^```\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def questions(content: str) -> list[tuple[int, str, str, str]]:
    """Return each question's number and text, its statement and the result that stands below it."""
    return [(int(match[1]), match[2], match[4], match[5].strip("\n")) for match in _QUESTION.finditer(content)]


def texts(content: str) -> dict[int, str]:
    """Return what is said between each question and its statement, on one line."""
    return {int(match[1]): " ".join(match[3].split()) for match in _QUESTION.finditer(content)}


def with_results(content: str, result_of: Callable[[str], str]) -> str:
    """Return the cookbook with other results."""

    def told(match: re.Match[str]) -> str:
        kept = match[0][: match.start(5) - match.start()]
        return f"{kept}\n{result_of(match[4])}\n"

    return _QUESTION.sub(told, content).rstrip("\n") + "\n"


def main() -> None:
    """Make the archive and write what it answers."""
    with tempfile.TemporaryDirectory() as scratch:
        engine = make_archive(f"sqlite:///{Path(scratch) / 'archive.db'}")
        content = COOKBOOK.read_text("utf-8")
        COOKBOOK.write_text(with_results(content, lambda statement: markdown(*ask(engine, statement))), "utf-8")
        engine.dispose()


if __name__ == "__main__":
    main()
