"""The specification that device makers read agrees with the code."""

import re
from pathlib import Path

import pytest

from protocol import limits
from protocol.codes import CODES
from protocol.messages import MESSAGES, BatchResult, Reply, Request
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
        section = TEXT.split(f"\n### {message.__name__}\n")[1].split("\n### ")[0]
        assert ("No envelope." in section) == (not issubclass(message, Request | Reply))


def test_every_link_inside_the_page_has_its_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = set(re.findall(r"\]\(#([^)]*)\)", TEXT))
    assert {"holds", "the-end-of-the-day", "batchupload"} <= linked
    assert linked <= anchors


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ("Reconciliation", "totals", "list of BatchTotal, at most 6"),
        ("BatchUpload", "items", "list of BatchItem, at most 30"),
        ("BatchUpload", "after", "bin, 16 bytes, UUIDv7"),
        ("BatchUploadReply", "results", "list of BatchResult"),
        ("RedeemReply", "receipt", "list of str"),
        ("KeyChange", "key", "bin, 32 bytes"),
        ("Hold", "hold_s", "int, 60 to 604800"),
        ("ReversalAdvice", "reason", "str, one of timeout, cancelled, not_given, restart"),
        ("Redeem", "service", "str, at most 40 characters, no control characters"),
        ("Redeem", "pin", "str, 0 to 12 characters"),
        ("Notice", "business_date", "str, YYYY-MM-DD"),
    ],
)
def test_types_are_told_with_their_limits(message: str, field: str, words: str) -> None:
    (entry,) = (each for each in describe()["messages"] if each["name"] == message)
    (described,) = (each for each in entry["fields"] if each["name"] == field)
    assert docs.type_words(described) == words


def test_every_state_of_an_item_and_every_outcome_of_it_is_explained() -> None:
    end_of_day = TEXT.split("\n## The end of the day\n")[1].split("\n## ")[0]
    (state,) = (f for f in describe()["items"]["BatchItem"]["fields"] if f["name"] == "state")
    for word in state["pattern"].removeprefix("^(").removesuffix(r")\Z").split("|"):
        assert f"| {word} |" in end_of_day
    told = (BatchResult.__doc__ or "").split("`outcome`: ")[1].strip(" .\n")
    for outcome in re.split(", | or ", told):
        assert f"| {outcome} |" in end_of_day


def test_numbers_in_the_prose_are_those_of_the_code() -> None:
    before, _, after = TEXT.partition("<!-- generated: limits -->")
    prose = " ".join((before + after.partition("<!-- end of limits -->")[2]).split())
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
        f"It lasts {limits.MIN_HOLD_SECONDS} to {limits.MAX_HOLD_SECONDS:,} seconds",
        f"without it {limits.HOLD_SECONDS:,}",
        f"at most {limits.MAX_UPLOAD} on a page",
        "no more than three maps and lists",
    ):
        assert words in prose
    assert limits.MAX_DEPTH == 3
    assert prologue(preamble(1, enrolment=True)) == b"tessera/1" + b"TSR1\x01\x01\x00\x01"
