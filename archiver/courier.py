"""Carries one message to one service, in a process of its own: `python -m archiver.courier SECONDS`.

A process can be ended whatever it waits for, has an environment of its own for proxy and trust, and what a service
writes into its log goes no further. The job comes as JSON on standard input, since arguments are seen by everyone:
`url` and `message`. Standard output has the answer: `{"reason": null}`, or why it did not go.
"""

import json
import signal
import sys


def main() -> None:
    """Do the job, or be ended by SIGALRM after so many seconds."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    from archiver.services import deliver, open_service  # noqa: PLC0415 - the import, too, is under the limit

    job = json.load(sys.stdin)
    reason = deliver(open_service(job["url"]), job["message"])
    json.dump({"reason": reason}, sys.stdout)


if __name__ == "__main__":
    main()
