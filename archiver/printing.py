"""How text that comes from elsewhere is shown on a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Write control and format characters out, as `\\x1b`: a terminal would obey them."""
    return "".join(ascii(char)[1:-1] if unicodedata.category(char)[0] == "C" else char for char in text)
