"""Archive of ServiceStage releases: what was released, attempt by attempt, kept for ever."""

__version__ = "0.1.0"
