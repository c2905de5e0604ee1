#!/usr/bin/env python3
"""A database server for development, in a folder, until Ctrl-C: prints the URLs of its roles as JSON.

.venv/bin/python scripts/dev_database.py FOLDER [--fast]
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres, EmbeddedPostgresError


def main() -> int:
    parser = argparse.ArgumentParser(description="Start a PostgreSQL in FOLDER and print its URLs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fast", action="store_true", help="fsync off: data may be lost in a crash")
    options = parser.parse_args()
    stops = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        with EmbeddedPostgres(options.folder, durable=not options.fast) as server:
            urls = {role: server.url(role) for role in (OWNER, SERVER, SITE)}
            print(json.dumps(urls, indent=1), flush=True)
            signal.sigwait(stops)
    except EmbeddedPostgresError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
