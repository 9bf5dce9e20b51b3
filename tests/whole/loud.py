"""Runs commands of both programs in one process with every log at its loudest, and tells every command line it starts.

The job comes as JSON on standard input: a list of `{"command", "settings"}`; the answer is on standard output, after
what the commands print: a JSON list of exit codes. `settings` may hold `BREAK`, which makes the next run fall over.
"""

import json
import logging
import os
import sys

import structlog


def tell(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
        print("starts", event, *(one for one in arguments[:2] if one is not None), file=sys.stderr)


def fall_over(*_args, **_kwargs):
    raise RuntimeError("it broke")


def configure_loudly(_log_format, _level=logging.DEBUG):
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))


def main():
    jobs = json.load(sys.stdin)
    sys.addaudithook(tell)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    import archiver.api.client
    import archiver.logs
    from archiver import cli as archiver_cli
    from reports import cli as reports_cli

    archiver.logs.configure = configure_loudly
    whole = archiver.api.client.decode
    surroundings = dict(os.environ)
    codes = []
    for job in jobs:
        os.environ.clear()
        os.environ.update(surroundings | job["settings"])
        archiver.api.client.decode = fall_over if "BREAK" in job["settings"] else whole
        name, *sys.argv[1:] = job["command"]
        for noisy in ("httpx", "httpcore", "aiohttp", "sqlalchemy", "asyncio", "apprise", "urllib3", "psycopg"):
            logging.getLogger(noisy).setLevel(logging.DEBUG)
        try:
            {"archiver": archiver_cli, "reports": reports_cli}[name].main()
        except SystemExit as left:
            codes.append(left.code or 0)
        except RuntimeError:  # what an interpreter would print of an error that ends it
            sys.excepthook(*sys.exc_info())
            codes.append(1)
    print(json.dumps(codes))


if __name__ == "__main__":
    main()
