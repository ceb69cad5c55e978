"""What a verdict says to a person, in Chinese and English: what is known, and what to do now."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.domain.claim import ClaimStatus
from tracechain.domain.party import PartyKind
from tracechain.domain.recall import RecallKind
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import Outcome, VerdictReason

_R = VerdictReason
_WORDS: dict[VerdictReason, LocalizedText] = {
    _R.FIRST_SCAN: LocalizedText(
        "该防伪追溯码由厂家签发，此前无人查询。",
        "This code was issued by the manufacturer and nobody has checked it before.",
    ),
    _R.SCANNED_BEFORE: LocalizedText(
        "该防伪追溯码由厂家签发，此前已被查询过。若并非您本人查询，请核对包装和购买渠道。",
        "This code was issued by the manufacturer and has been checked before. If that was not "
        "you, look at the package and at where you bought it.",
    ),
    _R.MALFORMED_CODE: LocalizedText(
        "这不是完整的防伪追溯码，无法判断。请重新扫描标签。",
        "This is not a complete product code, so nothing can be said. Please scan the label again.",
    ),
    _R.UNKNOWN_RESOLVER: LocalizedText(
        "该码指向的网址不是本服务的网址，请勿信任其页面。",
        "The address in this code does not belong to this service. Do not trust its pages.",
    ),
    _R.TOKEN_FALSE: LocalizedText(
        "该码系伪造：签名不正确，并非厂家签发。请勿食用或使用，并向监管部门举报（12315）。",
        "This code is forged: its signature is false and the manufacturer never issued it. Do not "
        "use the product; report it (12315).",
    ),
    _R.UNKNOWN_KEY: LocalizedText(
        "该码使用了本服务未登记的密钥，无法判断真伪。",
        "This code names a key that is not known here, so nothing can be said about it.",
    ),
    _R.KEY_REVOKED: LocalizedText(
        "签发该码的密钥已被撤销，请谨慎，并向厂家核实。",
        "The key that signed this code has been revoked. Be careful and ask the manufacturer.",
    ),
    _R.ISSUED_AFTER_REVOCATION: LocalizedText(
        "该码签发时其密钥已被撤销，不予认可。请勿食用或使用，并向监管部门举报（12315）。",
        "This code was issued with a key that had been revoked, so it is not accepted. Do not use "
        "the product; report it (12315).",
    ),
    _R.UNKNOWN_PRODUCT: LocalizedText(
        "该产品未在本服务登记，无法判断真伪。",
        "This product is not registered here, so nothing can be said about it.",
    ),
    _R.NOT_ISSUED: LocalizedText(
        "厂家从未签发过该码，系伪造。请勿食用或使用，并向监管部门举报（12315）。",
        "The manufacturer never issued this code. Do not use the product; report it (12315).",
    ),
    _R.NOT_ACTIVATED: LocalizedText(
        "该码真实，但对应产品尚未出厂启用，标签可能被盗用。请勿购买，并举报（12315）。",
        "The code is real, but its product has not been put on sale: the label may be stolen. Do "
        "not buy it; report it (12315).",
    ),
    _R.SOLD: LocalizedText(
        "该产品已记录为售出。若非您本人购买，可能是被复制的标签。",
        "This product is recorded as sold. If you did not buy it, the label may be a copy.",
    ),
    _R.CONSUMED: LocalizedText(
        "该产品已记录为使用完毕，请勿购买带有此码的产品。",
        "This product is recorded as used up. Do not buy anything that carries this code.",
    ),
    _R.EXPORTED: LocalizedText(
        "该产品已记录为出口，不应在境内销售。",
        "This product is recorded as exported and should not be on sale here.",
    ),
    _R.DESTROYED: LocalizedText(
        "该产品已被销毁，带有此码的必是假货。请勿食用或使用，并举报（12315）。",
        "This product was destroyed: whatever carries this code is false. Do not use it; report "
        "it (12315).",
    ),
    _R.STOLEN: LocalizedText(
        "该产品已被报失窃，请勿购买，并举报（12315）。",
        "This product was reported stolen. Do not buy it; report it (12315).",
    ),
    _R.RECALLED_BATCH: LocalizedText(
        "该批次产品正在召回，请停止食用或使用，并联系销售者或厂家。",
        "This batch is being recalled. Stop using it and contact the shop or the manufacturer.",
    ),
    _R.RECALLED_RANGE: LocalizedText(
        "该批次中包含此件的部分产品正在召回，请停止食用或使用，并联系销售者或厂家。",
        "A part of this batch, with this item in it, is being recalled. Stop using it and contact "
        "the shop or the manufacturer.",
    ),
    _R.RECALLED_UNIT: LocalizedText(
        "此件产品正在召回，请停止食用或使用，并联系销售者或厂家。",
        "This very item is being recalled. Stop using it and contact the shop or the manufacturer.",
    ),
    _R.BLOCKED: LocalizedText(
        "此件产品已被暂停销售，请勿购买或使用。",
        "The sale of this product has been stopped for now. Do not buy or use it.",
    ),
    _R.EXPIRED: LocalizedText(
        "该产品已超过保质期，请勿食用或使用。",
        "This product is past its last day of use. Do not use it.",
    ),
    _R.IMPOSSIBLE_TRAVEL: LocalizedText(
        "该码在短时间内于相距甚远的两地被查询，标签很可能被复制。请核对刮开层下的验证码。",
        "This code was checked in two distant places within a short time, so the label was "
        "probably copied. Check the PIN under the scratch layer.",
    ),
    _R.MANY_DEVICES: LocalizedText(
        "该码被过多不同设备查询，标签可能被复制。请核对刮开层下的验证码。",
        "This code was checked by unusually many devices, so the label may have been copied. "
        "Check the PIN under the scratch layer.",
    ),
    _R.CLAIMED: LocalizedText(
        "该产品已有人用验证码认领。若不是您本人，请谨慎。",
        "Somebody has claimed this product by its PIN. If that was not you, be careful.",
    ),
}


def words(reason: VerdictReason) -> LocalizedText:
    """The words for a reason; a verdict speaks with those of its first."""
    return _WORDS[reason]


_HEADLINES = {
    Outcome.GENUINE: LocalizedText("真品", "Genuine"),
    Outcome.CAUTION: LocalizedText("请注意", "Caution"),
    Outcome.COUNTERFEIT: LocalizedText("假冒", "Counterfeit"),
    Outcome.UNKNOWN: LocalizedText("无法判断", "Cannot tell"),
}


def headline(outcome: Outcome) -> LocalizedText:
    """The verdict in a word or two."""
    return _HEADLINES[outcome]


_REPORT = LocalizedText(
    "不要购买、食用或使用；保留包装和购货凭证，拨打 12315 或在本页举报。",
    "Do not buy or use it. Keep the package and the receipt, and call 12315 or report it below.",
)
_RETURN = LocalizedText(
    "立即停止食用或使用，保留产品，凭购货凭证向销售者或厂家退货。",
    "Stop using it now, keep it, and return it to the shop or the manufacturer with the receipt.",
)
_SCRATCH = LocalizedText(
    "刮开涂层，在下方输入验证码：首个正确输入者即为认领人。",
    "Scratch the layer and enter the PIN below: who enters it right first has claimed the item.",
)
_COMPARE = LocalizedText(
    "核对下方的产品名称、批号和日期与包装是否一致，不一致请举报。",
    "Compare name, lot and dates below with the package. Where they differ, report it.",
)
_RESCAN = LocalizedText(
    "用本页的扫码功能重新扫描标签，并核对网址是否为本服务的网址。",
    "Scan the label again with this site's own scanner, and look whether the address is ours.",
)
_ASK = LocalizedText(
    "向销售者索要进货凭证，或向厂家核实后再使用。",
    "Ask the shop where it bought the product, or ask the manufacturer, before you use it.",
)
_PROVED = (_REPORT,)
_RECALLED = (_RETURN,)
_DOUBTED = (_SCRATCH, _COMPARE)
_ADVICE: dict[VerdictReason, tuple[LocalizedText, ...]] = {
    _R.FIRST_SCAN: (_COMPARE, _SCRATCH),
    _R.SCANNED_BEFORE: (_COMPARE, _SCRATCH),
    _R.CLAIMED: (_COMPARE, _ASK),
    _R.MALFORMED_CODE: (_RESCAN,),
    _R.UNKNOWN_RESOLVER: (_RESCAN, _REPORT),
    _R.TOKEN_FALSE: _PROVED,
    _R.NOT_ISSUED: _PROVED,
    _R.DESTROYED: _PROVED,
    _R.NOT_ACTIVATED: _PROVED,
    _R.STOLEN: _PROVED,
    _R.CONSUMED: _PROVED,
    _R.UNKNOWN_KEY: (_RESCAN, _ASK),
    _R.UNKNOWN_PRODUCT: (_RESCAN, _ASK),
    _R.KEY_REVOKED: (_ASK,),
    _R.ISSUED_AFTER_REVOCATION: _PROVED,
    _R.SOLD: _DOUBTED,
    _R.EXPORTED: (_ASK,),
    _R.RECALLED_BATCH: _RECALLED,
    _R.RECALLED_RANGE: _RECALLED,
    _R.RECALLED_UNIT: _RECALLED,
    _R.BLOCKED: (_ASK,),
    _R.EXPIRED: _RECALLED,
    _R.IMPOSSIBLE_TRAVEL: _DOUBTED,
    _R.MANY_DEVICES: _DOUBTED,
}


def advice(reasons: Sequence[VerdictReason]) -> tuple[LocalizedText, ...]:
    """What to do now, by the weightiest reason."""
    return _ADVICE[reasons[0]]


_STEPS = {
    "commissioning": LocalizedText("生产赋码", "Made and labelled"),
    "creating_class_instance": LocalizedText("生产", "Made"),
    "packing": LocalizedText("装箱", "Packed"),
    "unpacking": LocalizedText("拆箱", "Unpacked"),
    "repackaging": LocalizedText("重新包装", "Packed anew"),
    "storing": LocalizedText("入库", "Stored"),
    "stocking": LocalizedText("上架", "Put on the shelf"),
    "shipping": LocalizedText("发货", "Shipped"),
    "departing": LocalizedText("启运", "Departed"),
    "transporting": LocalizedText("运输", "On the way"),
    "arriving": LocalizedText("到达", "Arrived"),
    "receiving": LocalizedText("收货", "Received"),
    "accepting": LocalizedText("验收", "Accepted"),
    "inspecting": LocalizedText("检验", "Inspected"),
    "sampling": LocalizedText("抽样", "Sampled"),
    "retail_selling": LocalizedText("零售售出", "Sold"),
    "dispensing": LocalizedText("配发", "Dispensed"),
    "exporting": LocalizedText("出口", "Exported"),
    "destroying": LocalizedText("销毁", "Destroyed"),
    "decommissioning": LocalizedText("停用", "Taken out of use"),
}
_OTHER_STEP = LocalizedText("其他环节", "Another step")
_KINDS = {
    PartyKind.ISSUER: LocalizedText("生产企业", "manufacturer"),
    PartyKind.CARRIER: LocalizedText("承运企业", "carrier"),
    PartyKind.DISTRIBUTOR: LocalizedText("经销企业", "distributor"),
    PartyKind.RETAILER: LocalizedText("零售企业", "shop"),
    PartyKind.REGULATOR: LocalizedText("监管部门", "regulator"),
}
_CLAIMS = {
    ClaimStatus.CLAIMED: LocalizedText(
        "验证码正确，此前无人认领：认领成功。",
        "The PIN is right and nobody claimed it before: yours.",
    ),
    ClaimStatus.CLAIMED_BY_YOU: LocalizedText(
        "验证码正确，本设备此前已认领。", "The PIN is right; this device claimed the item before."
    ),
    ClaimStatus.CLAIMED_BEFORE: LocalizedText(
        "验证码正确，但此前已被他人认领：若产品是新购的，标签很可能被复制，请举报。",
        "The PIN is right, but somebody else claimed it before. If you bought it new, the label "
        "was probably copied: report it.",
    ),
    ClaimStatus.WRONG_PIN: LocalizedText(
        "验证码不正确，请核对后再试。", "The PIN is wrong. Compare it with the label and try again."
    ),
    ClaimStatus.TOO_MANY_TRIES: LocalizedText(
        "错误次数过多，请一小时后再试。", "Too many wrong PINs. Please try again in an hour."
    ),
    ClaimStatus.NOT_ISSUED: LocalizedText(
        "该码并非厂家签发，无法认领。", "This code was never issued, so there is nothing to claim."
    ),
}


_RECALLS = {
    (RecallKind.RECALL, True): LocalizedText("召回", "Recall"),
    (RecallKind.RECALL, False): LocalizedText("召回（部分产品）", "Recall of some items"),
    (RecallKind.BLOCK, True): LocalizedText("暂停销售", "Sale stopped for now"),
    (RecallKind.BLOCK, False): LocalizedText(
        "暂停销售（部分产品）", "Sale of some items stopped for now"
    ),
}


def recall_words(kind: RecallKind, *, of_all: bool) -> LocalizedText:
    """What is done about a batch, or about some items of it."""
    return _RECALLS[kind, of_all]


def step_words(step: str) -> LocalizedText:
    """A business step of CBV 2.0 for a person."""
    return _STEPS.get(step, _OTHER_STEP)


def kind_words(kind: PartyKind | None) -> LocalizedText:
    """What kind of party it is; nothing for one that is not known."""
    return _KINDS.get(kind, LocalizedText()) if kind else LocalizedText()


def claim_words(status: ClaimStatus) -> LocalizedText:
    """What became of a claim."""
    return _CLAIMS[status]
