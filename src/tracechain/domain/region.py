"""Administrative divisions of China by their six-digit code (GB/T 2260).

Promises that a `Region` has a well-formed code under one of the 34 province-level divisions, and
that `covers` follows the nesting of the digits: province NN0000, prefecture NNNN00, county
NNNNNN. An inspector's reach is decided by `covers`; were it wide by one digit, a city would read
its neighbour's cases. County codes change every year, so they are checked by form, not by list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tracechain.domain.errors import InvalidArgument

_PROVINCES: Mapping[str, tuple[str, str]] = {
    "11": ("北京市", "Beijing"),
    "12": ("天津市", "Tianjin"),
    "13": ("河北省", "Hebei"),
    "14": ("山西省", "Shanxi"),
    "15": ("内蒙古自治区", "Inner Mongolia"),
    "21": ("辽宁省", "Liaoning"),
    "22": ("吉林省", "Jilin"),
    "23": ("黑龙江省", "Heilongjiang"),
    "31": ("上海市", "Shanghai"),
    "32": ("江苏省", "Jiangsu"),
    "33": ("浙江省", "Zhejiang"),
    "34": ("安徽省", "Anhui"),
    "35": ("福建省", "Fujian"),
    "36": ("江西省", "Jiangxi"),
    "37": ("山东省", "Shandong"),
    "41": ("河南省", "Henan"),
    "42": ("湖北省", "Hubei"),
    "43": ("湖南省", "Hunan"),
    "44": ("广东省", "Guangdong"),
    "45": ("广西壮族自治区", "Guangxi"),
    "46": ("海南省", "Hainan"),
    "50": ("重庆市", "Chongqing"),
    "51": ("四川省", "Sichuan"),
    "52": ("贵州省", "Guizhou"),
    "53": ("云南省", "Yunnan"),
    "54": ("西藏自治区", "Xizang"),
    "61": ("陕西省", "Shaanxi"),
    "62": ("甘肃省", "Gansu"),
    "63": ("青海省", "Qinghai"),
    "64": ("宁夏回族自治区", "Ningxia"),
    "65": ("新疆维吾尔自治区", "Xinjiang"),
    "71": ("台湾省", "Taiwan"),
    "81": ("香港特别行政区", "Hong Kong"),
    "82": ("澳门特别行政区", "Macao"),
}

_LIAONING: Mapping[str, tuple[str, str]] = {
    "2101": ("沈阳市", "Shenyang"),
    "2102": ("大连市", "Dalian"),
    "2103": ("鞍山市", "Anshan"),
    "2104": ("抚顺市", "Fushun"),
    "2105": ("本溪市", "Benxi"),
    "2106": ("丹东市", "Dandong"),
    "2107": ("锦州市", "Jinzhou"),
    "2108": ("营口市", "Yingkou"),
    "2109": ("阜新市", "Fuxin"),
    "2110": ("辽阳市", "Liaoyang"),
    "2111": ("盘锦市", "Panjin"),
    "2112": ("铁岭市", "Tieling"),
    "2113": ("朝阳市", "Chaoyang"),
    "2114": ("葫芦岛市", "Huludao"),
}

Language = Literal["zh", "en"]


class RegionLevel(StrEnum):
    """The three levels that six digits can name (GB/T 2260 section 4)."""

    PROVINCE = "PROVINCE"
    PREFECTURE = "PREFECTURE"
    COUNTY = "COUNTY"


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """One division. `Region("210102")` is Heping district, in 210100 Shenyang, in 210000."""

    code: str

    def __post_init__(self) -> None:
        code = self.code
        if len(code) != 6 or not code.isdigit() or not code.isascii():
            raise InvalidArgument.of("region", "INVALID_REGION", "a region has six digits")
        if code[:2] not in _PROVINCES:
            raise InvalidArgument.of(
                "region", "INVALID_REGION", f"{code[:2]} is no province-level division"
            )
        if code[2:4] == "00" and code[4:] != "00":
            raise InvalidArgument.of(
                "region", "INVALID_REGION", f"{code} names a county without its prefecture"
            )

    @classmethod
    def parse(cls, text: str, field: str = "region") -> Region:
        """The same check with the violation at `field`."""
        try:
            return cls(text)
        except InvalidArgument as error:
            violation = error.violations[0]
            raise InvalidArgument.of(field, violation.reason, violation.description) from None

    @property
    def level(self) -> RegionLevel:
        if self.code.endswith("0000"):
            return RegionLevel.PROVINCE
        return RegionLevel.PREFECTURE if self.code.endswith("00") else RegionLevel.COUNTY

    @property
    def province(self) -> Region:
        return Region(f"{self.code[:2]}0000")

    @property
    def prefecture(self) -> Region | None:
        """The prefecture this is or lies in; None for a province."""
        return None if self.level is RegionLevel.PROVINCE else Region(f"{self.code[:4]}00")

    @property
    def prefix(self) -> str:
        """The digits that this division and all below it begin with, for a range query."""
        return self.code[: {"PROVINCE": 2, "PREFECTURE": 4, "COUNTY": 6}[self.level]]

    def covers(self, other: Region) -> bool:
        """Whether `other` is this division or lies in it."""
        return other.code.startswith(self.prefix)

    def name(self, lang: Language = "zh") -> str | None:
        """The name of this very division, where the table has it."""
        at = 0 if lang == "zh" else 1
        if self.level is RegionLevel.PROVINCE:
            return _PROVINCES[self.code[:2]][at]
        if self.level is RegionLevel.PREFECTURE and self.code[:4] in _LIAONING:
            return _LIAONING[self.code[:4]][at]
        return None

    def display(self, lang: Language = "zh") -> str:
        """For a person: 辽宁省沈阳市, `Shenyang, Liaoning`; a code stands for an unknown name."""
        parts = [self.province.name(lang) or ""]
        if (prefecture := self.prefecture) is not None:
            known = prefecture.name(lang)
            if known is not None:
                parts.append(known)
            if known is None or self.level is RegionLevel.COUNTY:
                parts.append(self.code)
        return "".join(parts) if lang == "zh" else ", ".join(reversed(parts))

    def __str__(self) -> str:
        return self.code


def divisions(lang: Language = "zh") -> list[tuple[str, str]]:
    """The divisions whose names are known, as (code, name): provinces, each before its own."""
    codes = [f"{code}0000" for code in _PROVINCES] + [f"{code}00" for code in _LIAONING]
    return [(code, Region(code).display(lang)) for code in sorted(codes)]
