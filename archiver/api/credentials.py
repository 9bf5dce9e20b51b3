"""Which texts can be sent as credentials."""

from archiver.errors import SettingsError


def header_word(value: str, name: str) -> str:
    """Strip a credential and make sure that a header can carry it: a line break or a smart quote in it is a
    slip.

    Checked here, because the error of a client that meets it later would print the value.
    """
    word = value.strip()
    if not word or not word.isascii() or not word.isprintable() or " " in word:
        raise SettingsError(f"{name} is empty or holds characters that no header can carry; copy it again, on one line")
    return word
