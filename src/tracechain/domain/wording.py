"""What a verdict says to a person, in Chinese and English: what is known, and what to do now."""

from __future__ import annotations

from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import VerdictReason

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
