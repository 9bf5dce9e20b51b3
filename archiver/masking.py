"""What two failure messages have in common: the text with its numbers, ids, hosts, paths, times and quotes masked."""

import hashlib
import re
from functools import lru_cache

# Part of every template's id: raise it when the same message would get another template.
MASKING_VERSION = 1
# A message is told by its beginning; what stands behind is neither masked nor compared.
LONGEST = 2_000

NO_MESSAGE = "(no message)"

_WORD = r"A-Za-z0-9_.:/@%+#~\-"
# Quotes first, then the component's name, then words, each in one pass from left to right. What was masked is
# `<word>`, and nothing reaches over or looks past a < or >, so that a second time finds nothing more. Every repetition
# is possessive or of what no neighbour takes.
_QUOTED = re.compile(r"""\"(?:[^"<>\\]|\\[^<>])*+"|`[^`<>]*+`|(?<![A-Za-z0-9_>])'[^'<>]*+'(?![A-Za-z0-9_<])""")
_MASKABLE = re.compile(
    rf"""
    (?P<kept> <[a-z]++> )
  | (?P<url> (?<![{_WORD}])[A-Za-z][A-Za-z0-9+.\-]*+://[^\s"'`<>|)\]}}]++ )
  | (?P<word> (?<![{_WORD}])(?=[A-Za-z_:%+\#~]*+[0-9/.@\-])[{_WORD}]++ )
  | (?P<digits> (?:(?![0-9])\d)++ )
    """,
    re.VERBOSE,
)
_TIME_OF_DAY = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_UNITS = r"m?cores?|min|sec|[num]s|[kKMGTP]i?B?|[smhdBx%]"
# What a whole word is, the first that fits. Kept are words with digits that say what happened.
_KINDS = re.compile(
    rf"""
    (?P<kept> [A-Z][A-Z_]+\.\d{{3,}} | (?i:x509|utf-?\d+|ipv[46]|http/?[123](?:\.[01])?|h2c?|s3|i386|amd64|arm64|x86_64
        |base64|sha\d+|md5|tls1|oauth2|k8s|log4j2?|ec2|e2e) )
  | (?P<time> \d{{4}}-\d\d-\d\d(?:[T_]{_TIME_OF_DAY})? | {_TIME_OF_DAY} | \d{{4}}/\d\d/\d\d )
  | (?P<ip> \d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:/\d+)?(?::\d+)? | (?=[^:]*+:[^:]*+:)[0-9a-fA-F]*(?::[0-9a-fA-F]*){{2,8}} )
  | (?P<n> (?:\d++(?:\.\d++)*+(?:{_UNITS})?+)++ | \d+(?:\.\d+)?[eE][+\-]?\d+ | 0x[0-9a-fA-F]+ | [vV]\d+(?:\.\d+)* )
    """,
    re.VERBOSE,
)
_FRACTION = re.compile(r"\d+(?:/\d+)+")
_HOST = re.compile(r"(?:[a-z][a-z0-9_\-]*\.)+([a-z]{2,})(?::\d+)?")
_TOP_LEVEL = frozenset(
    (
        *("com", "net", "org", "io", "dev", "app", "cloud", "cn", "de", "eu", "uk", "fr", "us", "ru", "jp"),
        *("local", "internal", "localdomain", "lan", "svc", "corp", "intra", "test", "example"),
    )
)
# What Kubernetes ends the names of pods with.
_POD_SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")


def mask(message: str, component: str | None = None) -> str:
    """Return what the message has in common with others of its kind: its template.

    Masked are numbers (`<n>`), ids and hashes (`<id>`), addresses (`<ip>`), hosts, URLs, paths, times, quoted text,
    and the component's own name; white space is one space. Words that name an error stay: codes such as
    `APIGW.0308`, names of exceptions. Only the first 2,000 characters are looked at. A template is its own template.

    >>> mask('Failed to pull image "swr.example.com/web:1.2" on node-10-1-2-3, web: 3 tries in 600s', "web")
    'Failed to pull image <text> on <id>, <component>: <n> tries in <n>'
    """
    text = " ".join(message[:LONGEST].split())
    masked = _mask_once(text, component)
    if len(message) <= LONGEST and len(masked) <= LONGEST:
        return masked
    # Masking can lengthen a text, and cutting it can bare a number: until neither does.
    while (shorter := masked[:LONGEST].rstrip()) != text:
        text, masked = shorter, _mask_once(shorter, component)
    return text


def template_id(template: str) -> str:
    """Return a stable id of 16 hex digits for a template of this version of masking."""
    content = f"{MASKING_VERSION}\n{template}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:16]


def _mask_once(text: str, component: str | None) -> str:
    text = _QUOTED.sub("<text>", text)
    if component is not None and component in text and (name := _name_pattern(component)) is not None:
        text = name.sub(_name_masked, text)
    return _MASKABLE.sub(_masked, text)


@lru_cache(maxsize=10_000)
def _name_pattern(component: str) -> re.Pattern[str] | None:
    """Return where a component's name stands as a word, or begins a pod's; None for a name that could be anything."""
    if len(component) < 3 or not (component[0].isalnum() and component[-1].isalnum()) or set("<>\"'`") & set(component):
        return None
    name = re.escape(component)
    return re.compile(rf"(?<![\w.<>/\-]){name}((?:-[a-z0-9]++)*+)(?![\w<>/\-]|\.[\w<])")


def _name_masked(found: re.Match[str]) -> str:
    if not found[1]:
        return "<component>"
    return "<id>" if any(char.isdecimal() for char in found[1]) else found[0]


def _masked(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "url":
            return "<url>" + _punctuation_after(found[0], ".,:;")
        case "digits":
            return "<n>"
        case "word":
            # </name> ends a tag, and is no path.
            is_tag = found[0][0] == "/" and found.start() > 0 and found.string[found.start() - 1] == "<"
            return found[0] if is_tag else _mask_word(found[0])
        case _:
            return found[0]


def _punctuation_after(word: str, marks: str) -> str:
    return word[len(word.rstrip(marks)) :]


def _mask_word(word: str) -> str:
    """Mask a run of word characters, all but the punctuation around it."""
    core = word.lstrip(".:+#~%-@").rstrip(".:+#~%-@/_")
    if not core:
        return word
    before, after = word.split(core, 1)
    kind = _kind(core)
    return word if kind is None else f"{before}{kind}{after.lstrip('/')}"


def _kind(core: str) -> str | None:
    """Return the mask of a word, None to keep it."""
    if known := _KINDS.fullmatch(core):
        return None if known.lastgroup == "kept" else f"<{known.lastgroup}>"
    if _FRACTION.fullmatch(core):
        return "/".join("<n>" for _ in core.split("/"))
    has_digit = any("0" <= char <= "9" for char in core)
    if "://" in core:
        return "<url>"
    if "/" in core and (core[0] == "/" or "." in core or has_digit or core.count("/") > 1):
        return "<path>"
    if (host := _HOST.fullmatch(core)) and (host[1] in _TOP_LEVEL or core.count(".") > 1):
        return "<host>"
    return "<id>" if has_digit or "@" in core or _POD_SUFFIX.search(core) else None
