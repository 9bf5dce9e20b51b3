"""The scripts of a page, put together from their parts, and the policy that lets its own alone count."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

# What a list of releases needs that figures open.
OPENING = ("start.js", "packed.js", "filter.js")


@cache
def script_of(*parts: str) -> str:
    """Return the parts, files of templates/, as one script; they share their names with each other alone."""
    texts = [files("reports").joinpath("templates", part).read_text("utf-8") for part in parts]
    return '"use strict";\n(() => {\n' + "\n".join(texts) + "})();\n"


def policy_of(scripts: Sequence[str], style: str) -> str:
    """Return a page's policy: nothing may be fetched, and nothing runs or shapes it but what it names by hash."""
    named = f"script-src {' '.join(map(hash_of, scripts))}; " if scripts else ""
    return (
        f"default-src 'none'; {named}style-src {hash_of(style)}; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def hash_of(element: str) -> str:
    """Return what a policy calls a script or a style; a RuntimeError for text that would end or alter its element."""
    if re.search(r"</script|</style|<!--|<script|\r", element, re.IGNORECASE):
        raise RuntimeError("a script or style can't stand in the page: it holds a tag or a carriage return")
    return f"'sha256-{base64.b64encode(hashlib.sha256(element.encode()).digest()).decode()}'"
