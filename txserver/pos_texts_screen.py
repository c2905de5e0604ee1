"""Texts of the screen: questions, the menu, and faults in sentences. (English, 简体中文)"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["SCREEN"]

SCREEN: Mapping[str, tuple[str, str]] = MappingProxyType({
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
    "ask.status": ("Txid to ask about (Enter for the last one)", "要查询的交易编号（回车为最近一笔）"),
    "ask.hours": ("Hours to hold them (Enter for 24)", "预留小时数（回车为 24）"),
    "ask.hold": ("Number or txid of the hold", "预留的序号或交易编号"),
    "ask.taken": ("Points to take of {points} (Enter for all)", "扣取积分，最多 {points}（回车为全部）"),
    "ask.capture": ("Take them? (y/N)", "确认扣取？（y/N）"),
    "ask.release": ("Release it? (y/N)", "确认释放？（y/N）"),
    "ask.refund_of": ("Txid to refund (Enter for the last one)", "要退款的交易编号（回车为最近一笔）"),
    "ask.seller": (
        "Terminal that sold it (Enter for this one)",
        "售出该交易的终端编号（回车为本终端）",
    ),
    "ask.back": ("Points to give back (Enter for all that remain)", "退还积分数（回车为全部余下积分）"),
    "ask.refund": ("Give it back? (y/N)", "确认退款？（y/N）"),
    "ask.old_pin": ("Present PIN (Enter for a one-time code)", "当前密码（用一次性验证码则直接回车）"),
    "ask.reset_code": ("One-time code", "一次性验证码"),
    "ask.new_pin": ("New PIN, six digits", "新密码（六位数字）"),
    "ask.new_pin_again": ("New PIN once more", "再次输入新密码"),
    "ask.day_end": ("End the day on this terminal? (y/N)", "确认本终端日结？（y/N）"),
    # what is about to happen
    "spend": ("{service}: {points} points", "{service}：{points} 积分"),
    "spend_units": (
        "{service}: {price} × {quantity} = {points} points",
        "{service}：{price} × {quantity} = {points} 积分",
    ),
    "day_end": (
        "The batch is closed, and its totals are compared with the server's.",
        "本批次将关闭，并与服务器核对总额。",
    ),
    "kept": ("Nothing was changed.", "未作任何更改。"),
    # the menu
    "menu.scan": ("Scan a card", "扫卡"),
    "menu.redeem": ("Redeem points for a service", "积分消费"),
    "menu.balance": ("Balance", "查询余额"),
    "menu.history": ("History", "消费明细"),
    "menu.holds": ("Holds …", "预留 …"),
    "menu.back_page": ("Take back, refund …", "撤销与退款 …"),
    "menu.more": ("More …", "更多 …"),
    "menu.hold": ("Hold points for a job", "预留积分"),
    "menu.capture": ("Take points of a hold", "扣取预留积分"),
    "menu.release": ("Release a hold", "释放预留"),
    "menu.reverse": ("Take a purchase back (service not given)", "撤销交易（未提供服务）"),
    "menu.refund": ("Refund a purchase, or a part of it", "退款（全部或部分）"),
    "menu.catalogue": ("Services", "服务目录"),
    "menu.journal": ("This terminal's purchases", "本终端交易"),
    "menu.status": ("What the server has recorded", "查询交易状态"),
    "menu.pin": ("Change a PIN", "修改密码"),
    "menu.day_end": ("Day's end", "日结"),
    "menu.back": ("Back", "返回"),
    "menu.quit": ("Quit", "退出"),
    "online": ("online", "在线"),
    "offline": ("offline: {why}", "离线：{why}"),
    "no_reply": ("no reply", "未收到应答"),
    "connecting": ("connecting", "正在连接"),
    "card_shown": ("card …{tail}", "卡 …{tail}"),
    "no_card": ("no card", "未扫卡"),
    "unsettled": ("{count} unsettled", "{count} 笔待核对"),
    "business_date": ("Business date {day}", "营业日 {day}"),
    "new_catalogue": ("There are new services or prices.", "服务目录有更新。"),
    "clock_ahead": (
        "This clock is {minutes} min ahead of the server's.",
        "本机时钟比服务器快 {minutes} 分钟。",
    ),
    "clock_behind": (
        "This clock is {minutes} min behind the server's.",
        "本机时钟比服务器慢 {minutes} 分钟。",
    ),
    "open_holds": ("{count} open holds, the next ends in {left}", "{count} 笔预留，最近一笔剩余 {left}"),
    "open_hold": ("1 open hold, ends in {left}", "1 笔预留，剩余 {left}"),
    "hold_left": ("{points} points, {left} left", "{points} 积分，剩余 {left}"),
    "no_holds": ("This terminal holds nothing.", "本终端没有未结束的预留。"),
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
    "fault.refused": ("The server refused: {why}", "服务器拒绝：{why}"),
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
    "fault.not_reversible": (
        "{txid} is no purchase: a release or a refund cannot be taken back.",
        "{txid} 是释放或退款，不能撤销。",
    ),
    "fault.no_hold": ("This terminal has made no hold.", "本终端没有预留过积分。"),
    "fault.not_a_hold": ("{txid} is not a hold.", "{txid} 不是预留。"),
    "fault.last_hold_over": (
        "The last hold {txid} has ended. To end another one, name its txid.",
        "最近一笔预留 {txid} 已结束。若要处理其他预留，请指明其交易编号。",
    ),
    "fault.hold_over": ("The hold {txid} has ended.", "预留 {txid} 已结束。"),
    "fault.hold_time": ("Points are held for 1 minute to 7 days.", "预留时间为 1 分钟至 7 天。"),
    "fault.no_sale": ("This terminal has sold nothing that could be refunded.", "本终端没有可退款的交易。"),
    "fault.not_a_sale": (
        "{txid} is no purchase that could be refunded.",
        "{txid} 不是可退款的交易。",
    ),
    "fault.last_sale_undone": (
        "Nothing of the last purchase {txid} can be refunded. To refund another one, name its txid.",
        "最近一笔交易 {txid} 没有可退的积分。若要为其他交易退款，请指明其交易编号。",
    ),
    "fault.last_elsewhere": (
        "The last purchase of another terminal is not known here: name its txid.",
        "本终端不知道其他终端的最近一笔交易，请指明其交易编号。",
    ),
    "fault.pin_needed": ("The history needs the card's PIN.", "查询明细必须输入密码。"),
    "fault.old_pin_needed": (
        "Changing a PIN needs the present one (TESSERA_PIN), or a one-time code.",
        "修改密码需要当前密码（TESSERA_PIN）或一次性验证码。",
    ),
    "fault.new_pin_needed": (
        "A new PIN is needed: type it when asked, or set TESSERA_NEW_PIN.",
        "需要新密码：请按提示输入，或设置 TESSERA_NEW_PIN。",
    ),
    "fault.new_pins_differ": (
        "The two new PINs differ. Nothing was changed.",
        "两次输入的新密码不一致，未作更改。",
    ),
    "fault.unsettled": (
        "Transactions without an outcome: {count}. The day ends when there are none.",
        "还有 {count} 笔交易结果未知，核对后才能日结。",
    ),
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
})  # fmt: skip
