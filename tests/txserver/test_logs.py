"""Logs: one JSON object a line, and nothing secret in it whoever passes it."""

import io
import json
import subprocess
import sys
from datetime import date, datetime
from typing import Any

import pytest

from tests.factories import PIN
from txserver.logs import make_log


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_fields() -> None:
    stream = io.StringIO()
    make_log(stream, worker=3).info("listening", port=7171, name="积分\n\x00")
    ((line),) = lines(stream)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {"event": "listening", "level": "info", "worker": 3, "port": 7171, "name": "积分\n\x00"}


@pytest.mark.parametrize(
    "name", ["pin", "pin_proof", "credential", "chip", "secret", "key", "password", "token"]
)
def test_what_is_secret_by_its_name_is_left_out(name: str) -> None:
    stream = io.StringIO()
    make_log(stream, **{name: "hunter2"}).bind(**{name: "hunter2"}).error("failed", **{name: "hunter2"})
    (line,) = lines(stream)
    assert line[name] == "…"
    assert "hunter2" not in stream.getvalue()


def test_a_traceback_has_no_variables() -> None:
    stream = io.StringIO()

    def fail(pin: str) -> None:
        credential = f"P1{pin}"
        raise ValueError(len(credential))

    try:
        fail(PIN)
    except ValueError:
        make_log(stream).exception("handler_failed")
    (line,) = lines(stream)
    assert "ValueError: 8" in line["exception"]
    assert "in fail" in line["exception"]
    assert PIN not in stream.getvalue()


def test_what_json_does_not_know_is_still_a_line() -> None:
    stream = io.StringIO()
    make_log(stream).info("odd", value=object(), more=b"\xff", nothing=None, when=date.min)
    assert lines(stream)[0]["event"] == "odd"


def test_debugging_is_left_out() -> None:
    stream = io.StringIO()
    make_log(stream).debug("detail")
    assert stream.getvalue() == ""


def test_lines_go_to_standard_error_unless_told_otherwise() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from txserver.logs import make_log; make_log().info('here')"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "here"


def test_a_line_is_written_whole_because_workers_share_the_stream() -> None:
    class Pipe(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.writes: list[str] = []

        def write(self, text: str) -> int:
            self.writes.append(text)
            return super().write(text)

    pipe = Pipe()
    make_log(pipe).info("one")
    make_log(pipe).info("two")
    assert [text.endswith("}\n") for text in pipe.writes] == [True, True]
