"""What an error says to a person who opened a page, in Chinese and English.

An error's own message is for programmers, in English; it stands below these words in small print.
"""

from __future__ import annotations

from tracechain.domain import errors
from tracechain.domain.region import Language
from tracechain.domain.text import LocalizedText

_BY_REASON = {
    "BODY_TOO_LARGE": LocalizedText(
        "提交的内容过大。照片不能超过 8 MB。",
        "What was sent is too large. A photograph may have at most 8 MB.",
    ),
    "BODY_TOO_SLOW": LocalizedText(
        "网络过慢，内容没有传完。请稍后再试，或不附照片。",
        "The connection is too slow for what was sent. Try again, or without the photograph.",
    ),
    "FOREIGN_ORIGIN": LocalizedText(
        "该表单不是从本站页面提交的，未予处理。请打开产品页面后再提交。",
        "This form was sent by another website and was not acted on. Open the product's page and "
        "send it from there.",
    ),
    "FORM_REFUSED": LocalizedText(
        "表单已失效，或浏览器没有保存本站的 Cookie。请重新打开产品页面后再提交。",
        "This form is too old, or your browser keeps no cookie of this site. Open the product's "
        "page again and send it from there.",
    ),
    "INVALID_DIGITAL_LINK": LocalizedText(
        "该网址不是正确的产品链接。请重新扫描标签，或核对输入的内容。",
        "This address is no link of a product. Scan the label again, or compare what was typed.",
    ),
    "INVALID_GLN": LocalizedText(
        "地点编码（GLN）有误，请核对。", "The location number (GLN) is wrong; compare it."
    ),
    "INVALID_GTIN": LocalizedText(
        "商品条码（GTIN）有误，请核对包装上的数字。",
        "The product number (GTIN) is wrong; compare the digits on the package.",
    ),
    "INVALID_LOT": LocalizedText("批号有误，请核对。", "The lot is wrong; compare it."),
    "INVALID_SERIAL": LocalizedText("序列号有误，请核对。", "The serial is wrong; compare it."),
    "INVALID_SSCC": LocalizedText(
        "物流单元编码（SSCC）有误，请核对。", "The container number (SSCC) is wrong; compare it."
    ),
    "LINK_NOT_FOUND": LocalizedText(
        "厂家没有为该产品登记此类链接。",
        "The manufacturer has registered no such link for this product.",
    ),
    "METHOD_NOT_ALLOWED": LocalizedText(
        "不能这样打开此页面。", "This page cannot be opened in this way."
    ),
    "MISSING_FIELD": LocalizedText(
        "有必填项没有填写。请返回后补充。",
        "Something that is needed was left empty. Go back and fill it in.",
    ),
    "NOT_REGISTERED": LocalizedText(
        "该产品、批次或企业未在本服务登记，请勿轻信。请核对包装上的号码。",
        "This product, batch or company is not registered here; be careful. Compare the numbers "
        "on the package.",
    ),
    "PAGE_NOT_FOUND": LocalizedText("没有此页面。", "There is no such page."),
    "TOO_MANY_REQUESTS": LocalizedText(
        "提交过于频繁，请稍后再试。", "Too many forms were sent. Try again later."
    ),
    "WRONG_HOST": LocalizedText(
        "该网址不是本服务的网址，请勿信任。",
        "This address does not belong to this service. Do not trust it.",
    ),
}
_BY_KIND: dict[type[errors.TracechainError], LocalizedText] = {
    errors.InvalidArgument: LocalizedText(
        "网址或填写的内容有误。", "Something in the address or in the form is wrong."
    ),
    errors.PermissionDenied: LocalizedText("不允许此操作。", "This is not allowed."),
    errors.NotFound: LocalizedText("没有找到。", "Nothing was found."),
    errors.ResourceExhausted: LocalizedText(
        "当前访问人数过多，请稍后再试。", "Too many people are asking just now. Try again later."
    ),
    errors.Unavailable: LocalizedText(
        "服务暂时不可用，请稍后再试。", "The service is not available just now. Try again later."
    ),
}
_ELSE = LocalizedText(
    "出现故障，未能处理。请稍后再试。", "Something went wrong here. Try again later."
)


def explain(error: errors.TracechainError | None, lang: Language) -> str:
    """Words for an error: by its reason, else by its kind; None is a failure of ours."""
    words = _ELSE
    if error is not None:
        by_kind = (_BY_KIND[kind] for kind in type(error).__mro__ if kind in _BY_KIND)
        # A wrong check digit is to a person a wrong number like any other.
        known = _BY_REASON.get(error.reason.removesuffix("_CHECK_DIGIT"))
        words = known or next(by_kind, _ELSE)
    return words.en if lang == "en" else words.zh
