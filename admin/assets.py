"""Stylesheets, scripts and pictures: named by their content, so browsers keep them; sent compressed.

Pages themselves are not compressed here: they carry secrets beside what others may choose, and the
length of the two compressed together would tell (BREACH).
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

__all__ = ["init_assets"]

ENDPOINTS = frozenset({"static", "bootstrap.static"})
COMPRESSED = frozenset({"text/css", "text/javascript", "image/svg+xml"})
LONG_S = 365 * 86_400


def init_assets(app: Flask) -> None:
    """Add the content's mark to the addresses of files, and compress those of text."""

    def folder(endpoint: str) -> Path:
        blueprint = endpoint.rpartition(".")[0]
        return Path(str((app.blueprints[blueprint] if blueprint else app).static_folder))

    @app.url_defaults
    def mark(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint in ENDPOINTS and "v" not in values:
            values["v"] = _mark(folder(endpoint) / values["filename"])

    @app.after_request
    def deliver(answer: Response) -> Response:
        if request.endpoint not in ENDPOINTS or answer.status_code != 200:
            return answer
        if "v" in request.args:
            answer.headers["Cache-Control"] = f"public, max-age={LONG_S}, immutable"
        if answer.mimetype in COMPRESSED:
            answer.vary.add("Accept-Encoding")
            if request.accept_encodings["gzip"] and request.view_args is not None:
                answer.close()  # the opened file: its compressed bytes are sent instead
                answer.direct_passthrough = False
                answer.set_data(_compressed(folder(request.endpoint) / request.view_args["filename"]))
                answer.headers["Content-Encoding"] = "gzip"
                answer.set_etag(answer.get_etag()[0] or "", weak=True)  # same content, other bytes
        return answer


@cache
def _mark(file: Path) -> str:
    return hashlib.blake2b(file.read_bytes(), digest_size=6).hexdigest()


@cache
def _compressed(file: Path) -> bytes:
    # Only files that were found and sent come here, so the cache stays as small as the folder.
    return gzip.compress(file.read_bytes(), mtime=0)
