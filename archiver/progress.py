"""How far a run is, as it is told to whoever shows it; by itself it shows nothing."""


class Progress:
    """Is told how far a run is."""

    def begin(self, project_id: str, total: int) -> None:
        """Begin a project, of which so many plans are to be fetched."""

    def advance(self) -> None:
        """Count a plan."""
