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
        3012,
        "hold_unknown",
        "No such hold of this terminal",
        "本终端没有该预留",
        "A hold is captured or released by the terminal that made it.",
    ),
    CodeInfo(3013, "hold_ended", "The hold has ended before", "该预留已结束", "Ask its TransactionStatus."),
    CodeInfo(
        3014,
        "hold_expired",
        "The hold has expired",
        "该预留已过期",
        "Nothing is reserved any more. Redeem instead.",
    ),
    CodeInfo(
        3016,
        "original_unknown",
        "No such purchase to refund",
        "没有可退款的该交易",
        "Check the txid and the terminal on the receipt.",
    ),
    CodeInfo(
        3018,
        "original_elsewhere",
        "Sold by another merchant",
        "该交易属于其他商户",
        "The shop that sold it refunds it.",
    ),
    CodeInfo(
        3017, "original_undone", "The purchase was reversed", "该交易已撤销", "Nothing is left to refund."
    ),
    CodeInfo(
        1006,
        "pin_blocked",
        "PIN is blocked after three wrong tries",
        "密码连续三次错误，已锁定",
        "The member asks the card's issuer.",
    ),
    CodeInfo(
        3022,
        "reset_code_wrong",
        "One-time code is wrong, used or expired",
        "一次性验证码错误、已使用或已过期",
        "Ask again; send as a new request.",
    ),
    CodeInfo(1012, "pin_required", "PIN required", "需要密码", "Ask for the PIN; send as a new purchase."),
    CodeInfo(1017, "pin_wrong", "Wrong PIN", "密码错误", "Ask again; send as a new purchase."),
    CodeInfo(
        3021,
        "pin_unfit",
        "The new PIN must be six digits, not all alike and not in a row",
        "新密码须为六位数字，不得全部相同或连续",
        "Ask for another new PIN.",
    ),
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
        3015, "amount_above_hold", "More than was held", "超过预留积分", "Capture at most what was held."
    ),
    CodeInfo(
        3019,
        "amount_above_rest",
        "More than remains to refund",
        "超过可退积分",
        "Refund at most what remains.",
    ),
    CodeInfo(
        1021, "limit_exceeded", "Above the card's limit", "超过该卡限额", "Spend less, or use another card."
    ),
    CodeInfo(
        3024,
        "day_limit_exceeded",
        "Above the card's limit for one day",
        "超过该卡单日限额",
        "Spend less today, or use another card.",
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
    CodeInfo(
        3020, "key_unusable", "This key cannot be used", "该密钥不可用", "Make a new key pair and try again."
    ),
    CodeInfo(
        1401,
        "out_of_balance",
        "Reconciled, out of balance",
        "对账不平",
        "The batch is closed. Send BatchUpload, page by page, and begin the next batch.",
    ),
    CodeInfo(
        3023,
        "batch_backwards",
        "That batch is closed",
        "该批次已关闭",
        "Go on with the batch after `last_batch`.",
    ),
)

_BY_CODE = {info.code: info for info in CODES}


def code_info(code: int) -> CodeInfo:
    """The row of one code. KeyError for a code that the table does not have: a bug of ours."""
    return _BY_CODE[code]
