"""Every text that the emulated POS shows, in English and 简体中文, in one table."""

from protocol.codes import CODES

__all__ = ["LANGUAGES", "Texts"]

LANGUAGES = ("en", "zh")

_TEXTS: dict[str, tuple[str, str]] = {
    # titles and labels of receipts
    "title.approved": ("APPROVED", "交易成功"),
    "title.refused": ("REFUSED", "交易被拒绝"),
    "title.never": ("NOT DONE", "交易未发生"),
    "title.reversed": ("REVERSED", "已撤销"),
    "title.reversal_stored": ("REVERSAL STORED", "撤销已保存"),
    "title.disputed": ("ASK THE OPERATOR", "请联系运营方"),
    "title.offline": ("OFFLINE", "离线"),
    "title.unanswered": ("NO ANSWER", "无应答"),
    "title.balance": ("BALANCE", "余额"),
    "title.history": ("HISTORY", "消费明细"),
    "title.status": ("STATUS", "交易状态"),
    "title.catalogue": ("SERVICES", "服务目录"),
    "title.journal": ("THIS TERMINAL'S PURCHASES", "本终端交易"),
    "title.undo": ("TAKE THIS BACK?", "撤销这笔交易？"),
    "title.enrolled": ("ENROLLED", "登记成功"),
    "merchant": ("Merchant", "商户"),
    "store": ("Store", "门店"),
    "terminal": ("Terminal", "终端"),
    "time": ("Time", "时间"),
    "day": ("Business date", "营业日"),
    "txid": ("Txid", "交易编号"),
    "service": ("Service", "服务"),
    "card": ("Card", "卡"),
    "state": ("State", "状态"),
    "approval": ("Approval", "授权号"),
    "points": ("Points", "积分"),
    "balance": ("Balance", "余额"),
    "held": ("Held", "冻结"),
    "expires": ("Expire after {day}", "{day} 后失效"),
    "code": ("Code", "代码"),
    "recorded": ("Repeat of a recorded answer", "重复应答（已有记录）"),
    "was_reversed": ("Reversed", "已撤销"),
    "nothing": ("Nothing yet", "暂无记录"),
    "more": ("More: --cursor {cursor}", "下一页：--cursor {cursor}"),
    "open_price": ("{low} to {high} points, open amount", "{low} 至 {high} 积分，自定金额"),
    "open_price_free": ("open amount", "自定金额"),
    "fixed_price": ("{points} points / {unit}", "{points} 积分 / {unit}"),
    # what an outcome means for the clerk
    "means.never": (
        "Nothing was spent, and nothing will be. The service may be sold again.",
        "未消费积分，以后也不会。可以重新交易。",
    ),
    "means.reversal_stored": (
        "The outcome is unknown. Give no service: the purchase is taken back as soon as the server answers.",
        "结果未知，请勿提供服务：服务器恢复应答后，本交易将自动撤销。",
    ),
    "means.reversed": ("The points are back on the card, if any were spent.", "若已扣积分，现已退回卡中。"),
    "means.disputed": (
        "The server did not accept the reversal. Keep this receipt and ask the operator.",
        "服务器未接受撤销。请保留此凭证并联系运营方。",
    ),
    "means.offline": ("Nothing was stored and nothing was spent.", "未保存交易，也未消费积分。"),
    "means.owed": (
        "Nothing was spent: earlier purchases ({count}) must be settled with the server first.",
        "未消费积分：须先与服务器核对之前的 {count} 笔交易。",
    ),
    "means.unanswered": (
        "The repeat was not answered; what is recorded stays as it was.",
        "重发未获应答；已有记录不变。",
    ),
    "settled": ("Earlier purchase {txid}: {title}", "之前的交易 {txid}：{title}"),
    # questions
    "ask.code": ("Enrolment code, or path of its picture", "登记码或其图片路径"),
    "ask.card": (
        "Scan a card: paste its QR text, or the path of its picture",
        "扫卡：粘贴二维码内容或图片路径",
    ),
    "ask.service": ("Number or code of the service", "服务序号或代码"),
    "ask.quantity": ("Quantity (Enter for 1)", "数量（回车为 1）"),
    "ask.amount": ("Points", "积分数"),
    "ask.pin": ("PIN (Enter for none)", "密码（无则直接回车）"),
    "ask.pin_needed": ("PIN (history needs one; Enter to go back)", "密码（查询明细必须输入，回车返回）"),
    "ask.undo": ("Take it back? (y/N)", "确认撤销？（y/N）"),
    "ask.choice": ("Choose", "请选择"),
    "ask.reverse": ("Txid to take back (Enter for the last one)", "要撤销的交易编号（回车为最近一笔）"),
    # what is about to be spent
    "spend": ("{service}: {points} points", "{service}：{points} 积分"),
    "spend_units": (
        "{service}: {price} × {quantity} = {points} points",
        "{service}：{price} × {quantity} = {points} 积分",
    ),
    "kept": ("Nothing was changed.", "未作任何更改。"),
    # the menu
    "menu.scan": ("Scan a card", "扫卡"),
    "menu.redeem": ("Redeem points for a service", "积分消费"),
    "menu.balance": ("Balance", "查询余额"),
    "menu.history": ("History", "消费明细"),
    "menu.reverse": ("Take a purchase back", "撤销交易"),
    "menu.catalogue": ("Services", "服务目录"),
    "menu.journal": ("This terminal's purchases", "本终端交易"),
    "menu.quit": ("Quit", "退出"),
    "online": ("online", "在线"),
    "offline": ("offline: {why}", "离线：{why}"),
    "no_reply": ("no reply", "未收到应答"),
    "connecting": ("connecting", "正在连接"),
    "card_shown": ("card …{tail}", "卡 …{tail}"),
    "no_card": ("no card", "未扫卡"),
    "unsettled": ("{count} unsettled", "{count} 笔待核对"),
    "welcome": ("This device is not a terminal yet.", "本设备尚未登记为终端。"),
    "goodbye": ("Goodbye.", "再见。"),
    "not_a_choice": ("Please choose one of the numbers.", "请输入所列序号。"),
    # reasons
    "why.protocol": ("unreadable data: {reason}", "收到无法识别的数据：{reason}"),
    "why.unknown": ("{reason}", "原因（{reason}）"),
    "why.sentence": ("{reason}", "出错（{reason}）"),
    # faults
    "fault.unreachable": (
        "The server at {host}:{port} does not answer ({why}).",
        "服务器 {host}:{port} 无应答（{why}）。",
    ),
    "fault.unreachable_handshake": (
        "The server at {host}:{port} closes without a word: this terminal may have been revoked.",
        "服务器 {host}:{port} 直接断开连接：本终端可能已被停用。",
    ),
    "fault.unknown": (
        "This terminal has no purchase {txid}. It remembers two days.",
        "本终端没有交易 {txid}（只保留两天）。",
    ),
    "fault.no_purchase": ("This terminal has no such purchase.", "本终端没有这样的交易。"),
    "fault.last_reversed": (
        "The last purchase {txid} is already taken back. To take back another one, name its txid.",
        "最近一笔交易 {txid} 已撤销。若要撤销其他交易，请指明其交易编号。",
    ),
    "fault.last_not_done": (
        "The last purchase {txid} spent nothing. To take back another one, name its txid.",
        "最近一笔交易 {txid} 未消费积分，无需撤销。若要撤销其他交易，请指明其交易编号。",
    ),
    "fault.reversed": ("The purchase {txid} is already taken back.", "交易 {txid} 已撤销。"),
    "fault.not_done": (
        "The purchase {txid} spent nothing: there is nothing to take back.",
        "交易 {txid} 未消费积分，无需撤销。",
    ),
    "fault.pin_needed": ("The history needs the card's PIN.", "查询明细必须输入密码。"),
    "fault.txid": (
        "{txid} is not a txid: it looks like {example}.",
        "{txid} 不是交易编号，其格式为 {example}。",
    ),
    "fault.card": ("This is not a Tessera card.", "这不是本平台的卡。"),
    "fault.chip": ("A chip's UID is 4 to 10 bytes in hex.", "芯片编号为 4 至 10 字节的十六进制数。"),
    "fault.code": ("This is not an enrolment code ({why}).", "这不是登记码（{why}）。"),
    "fault.enrolled": (
        "{folder} is already terminal {terminal}. With --replace it becomes another one.",
        "{folder} 已登记为终端 {terminal}。使用 --replace 可重新登记。",
    ),
    "fault.enrolled_owing": (
        "{folder} still has purchases to settle as terminal {terminal}; go online with it first.",
        "{folder}（终端 {terminal}）还有待核对的交易，请先联网核对。",
    ),
    "fault.request": ("The request cannot be sent: {why}", "请求无法发送：{why}"),
    "fault.number": ("A whole number, please, and at least 1.", "请输入不小于 1 的整数。"),
    # kinds of history and states of the journal
    "kind.redeem": ("Redeemed", "消费"),
    "kind.reversal": ("Reversed", "撤销"),
    "kind.grant": ("Granted", "发放"),
    "kind.top_up": ("Topped up", "充值"),
    "kind.refund": ("Refunded", "退款"),
    "state.open": ("outcome unknown", "结果未知"),
    "state.asking": ("outcome unknown", "结果未知"),
    "state.undecided": ("outcome unknown", "结果未知"),
    "state.reversing": ("reversal stored", "撤销已保存"),
    "state.approved": ("approved", "已批准"),
    "state.refused": ("refused", "已拒绝"),
    "state.never": ("not done", "未发生"),
    "state.reversed": ("reversed", "已撤销"),
    "state.disputed": ("ask the operator", "请联系运营方"),
}

_CODES = {info.code: (info.text, info.text_zh) for info in CODES}


class Texts:
    """The table in one language, "en" or "zh"."""

    def __init__(self, language: str = "en") -> None:
        self._column = LANGUAGES.index(language)

    @property
    def chinese(self) -> bool:
        """Whether names that have a Chinese form are shown in it."""
        return self._column == 1

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its values put in. KeyError for a key that the table does not have."""
        return _TEXTS[key][self._column].format(**values)

    def code(self, code: int, text: str) -> str:
        """What an outcome code means; the server's own text for a code that is newer than this program."""
        return _CODES[code][self._column] if code in _CODES else text

    def kind(self, kind: str) -> str:
        """The word for a kind of transaction; the server's own for one that is newer than this program."""
        entry = _TEXTS.get(f"kind.{kind}")
        return kind if entry is None else entry[self._column]
