"""The documents' blocks of code: where each stands, in what language, and what it says."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block of code of a document, with the line above it that says something."""

    document: str
    line: int
    language: str
    text: str
    introduced_by: str

    @property
    def name(self) -> str:
        """Where it stands, as an editor opens it."""
        return f"{self.document}:{self.line}"


def blocks(language: str, document: Path | None = None) -> list[Block]:
    """Return the blocks of a language, of one document or of all, in their order."""
    return [
        block for path in ([document] if document else DOCUMENTS) for block in _of(path) if block.language == language
    ]


def _of(path: Path) -> list[Block]:
    content = path.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(content):
        before = content[: match.start()]
        said = [line for line in before.splitlines() if line.strip()]
        place = str(path.relative_to(ROOT))
        found.append(Block(place, before.count("\n") + 1, match[1], match[2], said[-1] if said else ""))
    return found
