"""Texts of the played shop: its board, its faults and its summary. (English, 简体中文)"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["SHOP"]

SHOP: Mapping[str, tuple[str, str]] = MappingProxyType({
    # the board
    "shop.heading": (
        "Shop of {terminals} terminals · {elapsed} of {planned} s · {steps} steps, {rate} a second",
        "{terminals} 台终端的商店 · {elapsed}/{planned} 秒 · {steps} 步，每秒 {rate} 步",
    ),
    "shop.column.number": ("#", "#"),
    "shop.column.terminal": ("term.", "终端"),
    "shop.column.state": ("state", "状态"),
    "shop.column.doing": ("doing", "操作"),
    "shop.column.approved": ("appr.", "成功"),
    "shop.column.refused": ("refused", "拒绝"),
    "shop.column.undone": ("undone", "撤销"),
    "shop.column.open": ("other", "其他"),
    "shop.column.points": ("points", "积分"),
    "shop.column.p50": ("p50ms", "p50ms"),
    "shop.column.p99": ("p99ms", "p99ms"),
    "shop.all": ("all", "合计"),
    "shop.state.starting": ("starting", "启动中"),
    "shop.state.online": ("online", "在线"),
    "shop.state.offline": ("offline", "离线"),
    "shop.state.closing": ("closing", "收尾中"),
    "shop.state.balanced": ("balanced", "相符"),
    "shop.state.differs": ("differs", "不符"),
    "shop.state.owing": ("owing", "待核对"),
    "shop.state.fault": ("fault", "故障"),
    "shop.doing.redeem": ("redeem", "消费"),
    "shop.doing.hold": ("hold", "预留"),
    "shop.doing.capture": ("capture", "扣取"),
    "shop.doing.release": ("release", "释放"),
    "shop.doing.refund": ("refund", "退款"),
    "shop.doing.reverse": ("reverse", "撤销"),
    "shop.doing.balance": ("balance", "查余额"),
    "shop.doing.wrong_pin": ("wrong PIN", "错误密码"),
    "shop.doing.too_much": ("too much", "超额"),
    # what is said meanwhile
    "shop.stopping": (
        "Closing the shop: what is open is settled. Ctrl-C again leaves at once.",
        "商店正在收尾，核对未结交易。再按一次 Ctrl-C 立即退出。",
    ),
    # faults
    "fault.shop_codes": (
        "{path} has codes for {codes} terminals, not for {terminals}.",
        "{path} 只有 {codes} 台终端的登记码，不足 {terminals} 台。",
    ),
    "fault.shop_numbers": (
        "Give at least 1 terminal and at least 1 second.",
        "终端数和秒数都须不小于 1。",
    ),
    # the summary
    "title.shop.balanced": ("THE SHOP'S DAY: BALANCED", "商店日结：账目相符"),
    "title.shop.differs": ("THE SHOP'S DAY: OUT OF BALANCE", "商店日结：账目不符"),
    "title.shop.unsettled": ("THE SHOP'S DAY: NOT SETTLED", "商店日结：未核对完毕"),
    "shop.terminals": ("Terminals", "终端数"),
    "shop.seconds": ("Seconds", "秒数"),
    "shop.steps": ("Steps", "步数"),
    "shop.rate": ("Steps a second", "每秒步数"),
    "shop.seed": ("Seed", "随机种子"),
    "shop.net": ("Points spent, net", "净消费积分"),
    "shop.latency": ("Reply, half / 99 of 100", "应答时间 p50 / p99"),
    "shop.latency_value": ("{p50} / {p99} ms", "{p50} / {p99} 毫秒"),
    "shop.unsettled": ("Still unsettled", "仍待核对"),
    "shop.days": ("Terminals in balance", "账目相符的终端"),
    "shop.days_value": ("{balanced} of {terminals}", "{balanced}/{terminals}"),
    "shop.terminal": ("Terminal {terminal}", "终端 {terminal}"),
    "shop.left": ("The day was not ended.", "未日结。"),
    "shop.no_day": ("no day's end: {why}", "未日结：{why}"),
})  # fmt: skip
