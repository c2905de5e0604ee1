"""Reasons in the clerk's language: those that this program gives, and others."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.credentials import CredentialError, parse_enrolment_code
from protocol.errors import REASONS
from txserver.pos_reasons import sentence, why
from txserver.pos_texts import Texts
from txserver.receipt import printable
from txserver.scan import ScanError, read_picture
from txserver.terminal_identity import IdentityError, TerminalIdentity
from txserver.terminal_store import PurchaseStore, StoreError

ENGLISH, CHINESE = Texts("en"), Texts("zh")
BRACKETED = re.compile(r"出错（.*）|原因（.*）", re.DOTALL)


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        ("shutdown", "the server is shutting down", "服务器正在停机"),
        ("form", "letters are missing or do not belong there", "内容不完整，或含有多余字符"),
        ("no answer in 10 s", "no answer in 10 s", "10 秒内无应答"),
        (
            "all attempts to connect to 127.0.0.1:7171 failed",
            "all attempts to connect to 127.0.0.1:7171 failed",
            "无法建立连接",
        ),
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused", "连接被拒绝"),
        ("1016 Not enough points", "1016 Not enough points", "1016 积分不足"),
        ("1999 From the future", "1999 From the future", "1999 From the future"),
        ("decrypt", "unreadable data: decrypt", "收到无法识别的数据：decrypt"),
        ("something new", "something new", "原因（something new）"),
    ],
)
def test_reasons(reason: str, english: str, chinese: str) -> None:
    assert why(reason, ENGLISH) == english
    assert why(reason, CHINESE) == chinese


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_of_the_protocol_is_translated(reason: str) -> None:
    assert not BRACKETED.fullmatch(why(reason, CHINESE))


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("no answer in 10 s; try the same code again", "10 秒内无应答，请用同一登记码重试。"),
        (
            "the server cannot be reached: all attempts to connect to h:1 failed; try the same code again",
            "连不上服务器：无法建立连接，请用同一登记码重试。",
        ),
        ("the server refused: 1016 Not enough points", "服务器拒绝：1016 积分不足。"),
        ("/pos/identity.json cannot be written: Permission denied", "无法写入 /pos/identity.json：权限不足"),
        ("purchases.sqlite3: database or disk is full", "purchases.sqlite3：磁盘已满"),
        ("something new", "出错（something new）"),
    ],
)
def test_sentences(english: str, chinese: str) -> None:
    assert sentence(english, ENGLISH) == english
    assert sentence(english, CHINESE) == chinese


def test_what_the_parts_really_say_is_translated(tmp_path: Path) -> None:
    """The table follows the sentences of other files: a sentence that is reworded there is missed here."""
    said: list[Exception] = []
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "identity.json").write_text("{")
    for folder in (tmp_path, tmp_path / "damaged"):
        with pytest.raises(IdentityError) as no_identity:
            TerminalIdentity.load(folder)
        said.append(no_identity.value)
    store = PurchaseStore(tmp_path)
    with pytest.raises(StoreError) as in_use:
        PurchaseStore(tmp_path)
    store.close()
    said.append(in_use.value)
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("missing.png", "empty.png"):
        with pytest.raises(ScanError) as no_picture:
            read_picture(tmp_path / name)
        said.append(no_picture.value)
    for error in said:
        assert not BRACKETED.fullmatch(sentence(str(error), CHINESE)), error
    with pytest.raises(CredentialError) as no_code:
        parse_enrolment_code("TSRE1ABC")
    assert not BRACKETED.fullmatch(why(no_code.value.reason, CHINESE))


@given(st.text())
def test_any_text_has_a_reason_and_a_sentence(text: str) -> None:
    for texts in (ENGLISH, CHINESE):
        for told in (why(text, texts), sentence(text, texts)):
            assert printable(told) == told
