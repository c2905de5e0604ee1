"""Why something did not work, in the clerk's language.

The parts below the screen say it in English words and sentences, for logs and for everyone. Each of
them that a clerk can meet stands here with its Chinese; one that does not is shown as it is, in brackets.
"""

import re

from protocol.errors import REASONS
from txserver.pos_texts import Texts
from txserver.receipt import printable

__all__ = ["sentence", "why"]

_WORDS: dict[str, tuple[str, str]] = {
    # why a server ends a session
    "shutdown": ("the server is shutting down", "服务器正在停机"),
    "idle": ("the line was idle for too long", "线路空闲过久"),
    "lifetime": ("the session was renewed", "会话到期，正在重连"),
    "replaced": ("another device uses this terminal's key", "另一台设备正在使用本终端的密钥"),
    "revoked": ("the operator has revoked this terminal", "运营方已停用本终端"),
    "closed": ("the server closed the line", "服务器断开了连接"),
    # why a pasted code cannot be read
    "form": ("letters are missing or do not belong there", "内容不完整，或含有多余字符"),
    "checksum": ("a letter is mistaken", "有字符错误"),
}
"""Fixed words of the protocol."""

_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, re.DOTALL), chinese)
    for pattern, chinese in (
        (r"no (?:answer|reply) in (\d+) s", "{0} 秒内无应答"),
        (r"the server does not answer", "服务器无应答"),
        (r"another device uses this terminal's key", "另一台设备正在使用本终端的密钥"),
        (r"the operator has revoked this terminal", "运营方已停用本终端"),
        (r"the comparison of the batch does not get on", "逐笔核对无法继续"),
        (r"all attempts to connect to .+ failed", "无法建立连接"),
        (r"(?:\[Errno \d+\] )?Connection refused", "连接被拒绝"),
        (r"(?:\[Errno \d+\] )?Connection reset by peer|BrokenResourceError", "连接中断"),
        (r"(?:\[Errno \d+\] )?Permission denied.*", "权限不足"),
        (r"(?:\[Errno \d+\] )?No space left on device.*|database or disk is full", "磁盘已满"),
        (r"(?:\[Errno \d+\] )?(?:Network is unreachable|No route to host)", "网络不可达"),
        (r"\[Errno -\d+\] .+", "找不到服务器地址"),
        # enrolment
        (r"(?P<why>no answer in \d+ s); try the same code again", "{why}，请用同一登记码重试。"),
        (
            r"the server cannot be reached: (?P<why>.+); try the same code again",
            "连不上服务器：{why}，请用同一登记码重试。",
        ),
        (
            r"the server closed: the code was used or has expired; if not, try it again",
            "服务器断开了连接：登记码已用过或已过期；若非如此，请重试。",
        ),
        (r"that is not the server of this code \((\w+)\)", "该地址不是此登记码所指的服务器（{0}）。"),
        (
            r"the server ended the session before it answered; try the same code again",
            "服务器未应答便断开了连接，请用同一登记码重试。",
        ),
        (r"the server refused: (?P<why>\d+ .*)", "服务器拒绝：{why}。"),
        # the device's folder
        (r"(.+) holds no terminal; enrol it first: (.+)", "{0} 尚未登记为终端，请先登记：{1}"),
        (r"(.+) cannot be written: (?P<why>.+)", "无法写入 {0}：{why}"),
        (r"(.+) is damaged: (.+)", "{0} 已损坏（{1}）"),
        (
            r"(.+) is in use: another POS is open on this device folder",
            "{0} 正被占用：另一个 POS 已打开此设备目录",
        ),
        (r"(.+): a purchase cannot be read: (.+)", "{0}：有一笔交易无法读取（{1}）"),
        (r"(\S*purchases\.sqlite3): (?P<why>.+)", "{0}：{why}"),
        # pictures
        (r"There is no file (.+)\.", "没有文件 {0}。"),
        (r"There is no QR code in (.+)\.", "{0} 中没有二维码。"),
        (r"There are (\d+) QR codes in (.+); show one\.", "{1} 中有 {0} 个二维码，请只出示一个。"),
        (r"(.+) is too large a picture\.", "图片 {0} 过大。"),
        (r"(.+) is not a PNG or JPEG picture\.", "{0} 不是 PNG 或 JPEG 图片。"),
        (r"(.+) cannot be read: (?P<why>.+)", "无法读取 {0}：{why}"),
        # a played shop's world
        (
            r"(.+) is not a shop's world; \./scripts/run writes one\.",
            "{0} 不是商店文件；./scripts/run 会生成。",
        ),
        (r"(.+) holds no cards\.", "{0} 中没有卡。"),
        # requests that make no sense
        (
            r"this txid belongs to another purchase; a new one needs a new txid",
            "该编号属于另一笔交易，新交易须用新编号",
        ),
        (
            r"this txid belongs to another kind of transaction, not to a hold",
            "该编号属于其他类型的交易，不是预留",
        ),
        (
            r"it is not known yet whether this hold was made; wait for its outcome",
            "这笔预留的结果尚不知，请等待",
        ),
        (r"an? \w+ cannot be taken back", "此类交易不能撤销"),
    )
]
"""Sentences of the parts below, and their Chinese. {0} is the first group; "why" is a reason itself."""

_NO_REPLY = ("not_a_reply", "not_a_login_reply")
_CODE = re.compile(r"(\d{4}) (.*)", re.DOTALL)


def why(reason: str, texts: Texts) -> str:
    """A reason as part of a sentence. An unknown one stays as it is, in Chinese in brackets."""
    reason = printable(reason)
    if reason in _WORDS:
        return _WORDS[reason][texts.chinese]
    if reason in REASONS or reason in _NO_REPLY:
        return texts("why.protocol", reason=reason)
    if coded := _CODE.fullmatch(reason):
        return f"{coded[1]} {texts.code(int(coded[1]), coded[2])}"
    if not texts.chinese:
        return reason
    known = _in_chinese(reason, texts)
    return texts("why.unknown", reason=reason) if known is None else known


def sentence(text: str, texts: Texts) -> str:
    """A sentence of a part below. An unknown one stays as it is, in Chinese in brackets."""
    text = printable(text)
    if not texts.chinese:
        return text
    known = _in_chinese(text, texts)
    return texts("why.sentence", reason=text) if known is None else known


def _in_chinese(text: str, texts: Texts) -> str | None:
    for pattern, chinese in _PATTERNS:
        if found := pattern.fullmatch(text):
            inner = found.groupdict().get("why")
            return chinese.format(*found.groups(), why=None if inner is None else why(inner, texts))
    return None
