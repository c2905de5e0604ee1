"""The programs that scripts/run starts: started, waited for, ended; and what is said when that fails."""

import os
import socket
from pathlib import Path

import pytest

from scripts.children import Child, HouseFailed, await_page, free_ports, require_different, require_free


def create_child(port: int) -> Child:
    return Child("the page server", "http.server", str(port), "--bind", "127.0.0.1")


def test_a_child_answers_until_it_is_stopped(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    child = create_child(port)
    child.start(os.environ, tmp_path / "log")
    try:
        assert await_page("127.0.0.1", port, "/pyproject.toml", child.require_running) == 200
        assert await_page("127.0.0.1", port, "/missing", child.require_running) == 404
    finally:
        child.stop()
    require_free("127.0.0.1", port, "nobody", "NOTHING")
    assert "GET /missing" in (tmp_path / "log").read_text()
    child.stop()


def test_a_child_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    child = Child("the reader", "json.tool", str(tmp_path / "missing"))
    child.start(os.environ, tmp_path / "log")
    with pytest.raises(HouseFailed, match=r"the reader ended \(exit status \d\): .*No such file"):
        await_page("127.0.0.1", port, "/", child.require_running)
    child.stop()


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            HouseFailed, match=f"the site cannot listen on 127.0.0.1:{port} .*set TESSERA_SITE_PORT"
        ):
            require_free("127.0.0.1", port, "the site", "TESSERA_SITE_PORT")


@pytest.mark.parametrize("host", ["host.invalid", "a..b", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_not_a_port_in_use(host: str) -> None:
    with pytest.raises(
        HouseFailed, match=f"the site cannot listen on {host}:1 .*set TESSERA_SITE_HOST"
    ) as told:
        require_free(host, 1, "the site", "TESSERA_SITE_PORT")
    assert "stop what uses it" not in str(told.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen on any port")
def test_a_privileged_port_is_told_from_one_in_use() -> None:
    with pytest.raises(HouseFailed, match=r"Permission denied.*set TESSERA_SITE_PORT to a port from 1024 on"):
        require_free("127.0.0.1", 1, "the site", "TESSERA_SITE_PORT")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_one_port_for_two_programs_is_told(host: str) -> None:
    with pytest.raises(HouseFailed, match="TESSERA_PORT and TESSERA_SITE_PORT are both 7170"):
        require_different([("127.0.0.1", 7170, "TESSERA_PORT"), (host, 7170, "TESSERA_SITE_PORT")])
    require_different([("127.0.0.1", 7170, "TESSERA_PORT"), ("127.0.0.2", 7170, "TESSERA_SITE_PORT")])


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HouseFailed, match=r"cannot write the log .*Is a directory"):
        create_child(1).start(os.environ, tmp_path)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(5))) == 5
