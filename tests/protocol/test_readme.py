"""The specification that device makers read agrees with the code."""

import re
from pathlib import Path

import pytest

from protocol import limits
from protocol.codes import CODES
from protocol.messages import MESSAGES
from protocol.schema import describe
from protocol.session import preamble, prologue
from scripts import generate_protocol_docs as docs
from scripts.protocol_fields import MEANINGS
from txserver.conversation import IDLE_GRACE
from txserver.terminal_rules import FIRST_BACKOFF_S, GIVE_UP_S, LAST_BACKOFF_S, REPLY_S, UNKNOWN_S

TEXT = docs.README.read_text()


def test_the_generated_parts_are_up_to_date() -> None:
    assert docs.rewrite(TEXT) == TEXT, "run scripts/generate_protocol_docs.py"


def test_check_finds_a_difference_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "README.md"
    monkeypatch.setattr(docs, "README", copy)
    copy.write_text(TEXT)
    assert docs.main(["--check"]) == 0
    changed = TEXT.replace("Not enough points", "Too few points")
    copy.write_text(changed)
    assert docs.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert copy.read_text() == changed
    assert docs.main([]) == 0
    assert copy.read_text() == TEXT


def test_a_part_that_lost_its_place_is_named() -> None:
    with pytest.raises(SystemExit, match="codes"):
        docs.rewrite(TEXT.replace("<!-- end of codes -->", ""))


def test_a_field_that_nobody_explained_is_named() -> None:
    with pytest.raises(SystemExit, match=r"Redeem\.colour"):
        docs.meaning("Redeem", "colour")


def test_every_explained_field_exists() -> None:
    described = describe()
    owners = {entry["name"]: entry["fields"] for entry in described["messages"]}
    owners |= {name: item["fields"] for name, item in described["items"].items()}
    fields = {field["name"] for each in owners.values() for field in each}
    for key in MEANINGS:
        owner, _, name = key.rpartition(".")
        assert name in fields
        assert owner in {"", "Request", "Reply", *owners}


def test_codes_stand_in_order_of_precedence() -> None:
    table = TEXT.split("<!-- generated: codes -->")[1]
    places = [table.index(f"| {info.code:04} |") for info in CODES]
    assert places == sorted(places)


def test_every_code_in_the_rules_and_the_fields_exists() -> None:
    rules = TEXT.split("## What the server does")[1].split("## Cards")[0]
    after = TEXT.split("<!-- end of codes -->")[1].split("## The vectors")[0]
    named = {
        int(digits) for digits in re.findall(r"\b[0-9]{4}\b", " ".join((rules, after, *MEANINGS.values())))
    }
    named -= {1970, 9999}
    assert {0, 1006, 1011, 1811, 3008, 3009, 3010} <= named <= {info.code for info in CODES}


def test_times_in_the_prose_are_those_of_the_server_and_the_reference_terminal() -> None:
    prose = " ".join(TEXT.split())
    for words in (
        f"No reply within {REPLY_S:.0f} s",
        f"after {FIRST_BACKOFF_S} s, doubling to {LAST_BACKOFF_S:.0f} s",
        f"Still unknown after {UNKNOWN_S:.0f} s",
        f"gives up {GIVE_UP_S:.0f} s after the first attempt",
        f"the {REPLY_S:.0f} s of rule 2 of the terminal, and does not stop the {UNKNOWN_S:.0f} s of rule 3",
        f"a random share of {LAST_BACKOFF_S:.0f} s",
    ):
        assert words in prose
    assert "for one and a half times as long sends Closing" in prose
    assert IDLE_GRACE == 1.5


def test_every_message_has_its_section() -> None:
    for message in MESSAGES:
        assert f"\n### {message.__name__}\n\n`0x{message.type:02X}`" in TEXT


def test_numbers_in_the_prose_are_those_of_the_code() -> None:
    prose = " ".join(TEXT.split("<!-- generated: limits -->")[0].split())
    for words in (
        f"1 to {limits.MAX_FRAME_UNAUTHENTICATED} bytes until the handshake is over",
        f"1 to {limits.MAX_FRAME:,} afterwards",
        f"multiple of {limits.PADDING_BLOCK}",
        f"64 to {limits.MAX_PLAINTEXT:,} bytes",
        f"at most {limits.MAX_HELLO_PLAINTEXT} bytes after padding",
        f"After every {limits.REKEY_INTERVAL:,} frames",
        f"up to {limits.MAX_IN_FLIGHT} requests",
        f"within {limits.HANDSHAKE_SECONDS} seconds",
        f"LoginReply; {limits.IDLE_SECONDS} unless configured",
        f"at most {limits.SESSION_SECONDS // 3600} hours",
        "no more than three maps and lists",
    ):
        assert words in prose
    assert limits.MAX_DEPTH == 3
    assert prologue(preamble(1, enrolment=True)) == b"tessera/1" + b"TSR1\x01\x01\x00\x01"
