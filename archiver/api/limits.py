"""How long, how often and how large a request may be, and how many there were."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of every request of a run.

    `timeout_seconds` and `list_timeout_seconds` bound one try from connecting to the last byte.
    `retry_seconds` bounds all tries at one request together, the waits between them included: a single try
    is cut to what is left of it. The list call alone always has its `list_timeout_seconds`; it is only not
    tried anew once `retry_seconds` are spent. The caps count decoded bytes. `backoff_seconds` is the wait
    after the first failure, before jitter.
    """

    timeout_seconds: float = 30
    list_timeout_seconds: float = 300
    retry_seconds: float = 120
    max_body_bytes: int = 64 * MEBIBYTE
    max_list_bytes: int = 512 * MEBIBYTE
    backoff_seconds: float = 0.5


@dataclass(slots=True)
class Counts:
    """What a run asked: requests sent, token requests and retries included; and the retries among them.

    `given_up_in_a_row`: how many requests in a row had no answer in all their tries, up to now.
    """

    requests: int = 0
    retries: int = 0
    given_up_in_a_row: int = 0
