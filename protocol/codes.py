"""Every outcome code of a reply, declared once, in order of precedence.

Codes follow jPOS's result codes (1000 + the ISO 8583:1993 action code - 100) where the field has one;
3000 and above are rules of this protocol alone. When several refusals apply, the first in this
table is the answer.
"""

from dataclasses import dataclass

__all__ = ["CODES", "CodeInfo", "code_info"]


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """One code: its number, a stable name, the text of a reply, the same in Chinese, what a terminal does."""

    code: int
    name: str
    text: str
    text_zh: str
    terminal: str


CODES: tuple[CodeInfo, ...] = (
    CodeInfo(0, "approved", "Approved", "已批准", "Print the receipt."),
    CodeInfo(
        1811,
        "not_recorded",
        "Not recorded: repeat with the same id",
        "未记录：请用同一编号重发",
        "Repeat the same request, with the same id and `repeat` set.",
    ),
    CodeInfo(
        3008,
        "txid_reused",
        "This id was used for something else",
        "该编号已用于其他交易",
        "A fault of the terminal. Make a new txid for a new purchase.",
    ),
    CodeInfo(
        3009,
        "undone_before",
        "Undone before it arrived",
        "到达之前已被撤销",
        "Final. Nothing was spent under this txid, and nothing will be.",
    ),
    CodeInfo(3010, "not_found", "No such transaction", "没有该交易", "Nothing is recorded under this txid."),
    CodeInfo(
        1020,
        "terminal_not_permitted",
        "This terminal may not do this",
        "该终端无权进行此操作",
        "Ask the operator.",
    ),
    CodeInfo(1009, "merchant_closed", "Merchant or store is closed", "商户或门店已停用", "Ask the operator."),
    CodeInfo(
        1011, "card_unknown", "Card not recognised", "无法识别该卡", "Scan again, or ask for another card."
    ),
    CodeInfo(1032, "card_lost", "Card reported lost", "该卡已挂失", "Refuse the card."),
    CodeInfo(
        1025,
        "card_replaced",
        "Card was replaced by a newer one",
        "该卡已被新卡取代",
        "Ask for the new card.",
    ),
    CodeInfo(1004, "card_blocked", "Card is blocked", "该卡已冻结", "The member asks the card's issuer."),
    CodeInfo(1001, "card_expired", "Card has expired", "该卡已过期", "The member asks the card's issuer."),
    CodeInfo(1014, "account_closed", "Account is closed", "账户已关闭", "The member asks the card's issuer."),
    CodeInfo(
        1006,
        "pin_blocked",
        "PIN is blocked after three wrong tries",
        "密码连续三次错误，已锁定",
        "The member asks the card's issuer.",
    ),
    CodeInfo(1012, "pin_required", "PIN required", "需要密码", "Ask for the PIN; send as a new purchase."),
    CodeInfo(1017, "pin_wrong", "Wrong PIN", "密码错误", "Ask again; send as a new purchase."),
    CodeInfo(
        1030,
        "service_unknown",
        "Service not offered here today",
        "本店今日不提供该服务",
        "Fetch the Catalogue.",
    ),
    CodeInfo(
        1010, "amount_invalid", "Quantity or amount is not valid", "数量或金额无效", "Correct the amount."
    ),
    CodeInfo(
        1021, "limit_exceeded", "Above the card's limit", "超过该卡限额", "Spend less, or use another card."
    ),
    CodeInfo(
        1036,
        "points_expired",
        "Not enough points: some have expired",
        "积分不足：部分积分已过期",
        "Tell the member the balance in the reply.",
    ),
    CodeInfo(
        1016,
        "points_insufficient",
        "Not enough points",
        "积分不足",
        "Tell the member the balance in the reply.",
    ),
    CodeInfo(3011, "cursor_invalid", "That page does not exist", "该页不存在", "Ask again without a cursor."),
)

_BY_CODE = {info.code: info for info in CODES}


def code_info(code: int) -> CodeInfo:
    """The row of one code. KeyError for a code that the table does not have: a bug of ours."""
    return _BY_CODE[code]
