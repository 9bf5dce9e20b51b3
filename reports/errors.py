"""The one error of this package: what was asked for can't be answered as asked."""


class UsageError(ValueError):
    """An option names what does not exist; its text is one line with the thing and the valid choices."""
