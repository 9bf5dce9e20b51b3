"""The errors, named by what to do next: mend the settings, wait, give up this plan, give up the run."""


class ArchiverError(Exception):
    """Something with a known course; its text is one line that names the thing and the way out."""

    exit_code = 3


class SettingsError(ArchiverError):
    """The settings or the command line are wrong: nothing was tried."""

    exit_code = 2


class DatabaseError(ArchiverError):
    """The database is out of reach, or its schema is behind or ahead of this program."""


class DatabaseDamagedError(DatabaseError):
    """The database can't read its own file."""


class RowRefusedError(DatabaseError):
    """The database refuses what a row holds, such as an id too long for an index; the next plan may well be saved."""


class LeaseHeldError(ArchiverError):
    """Another process is at work on this project."""

    exit_code = 75


class NightServedError(ArchiverError):
    """Another process has done this night meanwhile."""

    exit_code = 0


class LeaseLostError(ArchiverError):
    """Another process took the lease over meanwhile; nothing of this one may be saved any more."""


class ApiError(ArchiverError):
    """The API did not give what was asked.

    `stage` is `list`, `deploy_info` or `token`; `status` the HTTP status if one came; `error_code`,
    `request_id` the vendor's; `body` the raw body where one came that proves the point.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        status: int | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
        body: bytes | None = None,
    ) -> None:
        """Keep the facts beside the sentence."""
        super().__init__(message)
        self.stage = stage
        self.status = status
        self.error_code = error_code
        self.request_id = request_id
        self.body = body


class PlanGoneError(ApiError):
    """The plan does not exist upstream any more (404)."""


class GiveUpPlanError(ApiError):
    """This plan can't be archived now (400, 403, lasting faults, a body of the wrong shape); the run goes on."""


class GiveUpRunError(ApiError):
    """Nothing can be archived now: credentials refused, list forbidden or unreadable, endpoint wrong."""
