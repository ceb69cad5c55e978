"""What a bundle says to a person, in Chinese and English: what is proved, what is not, and what is
wrong with one that was altered."""

from __future__ import annotations

from tracechain.domain.log.fact import FactKind
from tracechain.domain.text import LocalizedText

_T = LocalizedText

KINDS: dict[FactKind, LocalizedText] = {
    FactKind.KEY: _T("签发密钥变更", "key of the issuer"),
    FactKind.BATCH: _T("批次登记", "batch registered"),
    FactKind.QUANTITY: _T("数量授权", "quantity authorised"),
    FactKind.EVENT: _T("追溯事件", "event"),
    FactKind.RECALL: _T("召回或封存", "recall or block"),
    FactKind.RECALL_LIFTED: _T("召回解除", "recall lifted"),
    FactKind.EVIDENCE: _T("导出本证据", "this export"),
}

PROVED: tuple[LocalizedText, ...] = (
    _T(
        "下列事实在导出时已写入存证日志，顺序如所列，此后一字未改。",
        "These facts were in the log, in this order, when the checkpoint was signed; not a letter "
        "was changed since.",
    ),
    _T(
        "所列各链截至本次导出没有任何遗漏；未公开的条目仅不公开内容，其存在与位置已证明。",
        "Nothing was left out of these chains up to this export; of sealed entries the content is "
        "not told, their being there and their place is proved.",
    ),
    _T(
        "检查点由所信任的日志签名，并由足够数量的见证人在所示时间联署。",
        "The checkpoint was signed by a log that the policy trusts, and cosigned by witnesses "
        "enough at the times shown.",
    ),
    _T(
        "本文件与导出时的文件逐字节一致。",
        "This file is, byte for byte, the one that was exported.",
    ),
)

NOT_PROVED: tuple[LocalizedText, ...] = (
    _T(
        "所申报的内容是否属实：日志证明谁在何时申报了什么，不证明其为真。",
        "That what was claimed is true: the log proves who claimed what and when, not that it was "
        "so.",
    ),
    _T(
        "货物实际由谁持有、在何处；事件时间由申报方自述，记录时间由平台记载。",
        "Who held the goods, and where; the time of an event is its recorder's claim, the time of "
        "record is the service's.",
    ),
    _T(
        "序列号属于哪个批次、各方名称与产品名称：以平台所述为准。",
        "Which batch a serial belongs to, and the names of parties and products: these are as the "
        "service says.",
    ),
    _T(
        "导出之后发生的事；日志启用之前发生的事。",
        "Anything after the export; anything older than the log.",
    ),
    _T(
        "同一货物没有第二条链：须核对整个日志（tracechain log check）。",
        "That there is no second chain about the same goods: that takes the whole log "
        "(tracechain log check).",
    ),
)

ACCEPTED = _T("验证通过：证据完整、未被改动。", "Verified: the evidence is whole and unaltered.")
REFUSED = _T("验证未通过：不得作为证据。", "Refused: this is no evidence.")
ENTRIES = _T("条目", "entries")
# Of a sealed entry nothing is told but its place; of an event without text its fact is.
SEALED = _T("未公开条目", "sealed entries")
WITHOUT_TEXT = _T("未附原文的事件", "events without text")
LATE = _T("导出时新增", "late")
NO_BODY = _T("（未附事件原文）", "(without the event's own text)")

REASONS: dict[str, LocalizedText] = {
    "MALFORMED_BUNDLE": _T(
        "文件不是证据包，或外层结构被改动。",
        "The file is no bundle, or the archive around it was altered.",
    ),
    "MALFORMED_MANIFEST": _T("清单不合格式。", "The manifest is not in its form."),
    "MALFORMED_EXPORT": _T("导出条目说明不合格式。", "The note on the export is not in its form."),
    "MALFORMED_LEAF": _T("日志条目不合格式。", "An entry of the log is not in its form."),
    "MALFORMED_LOG_PROOF": _T("证明文件不合格式。", "A proof is not in its form."),
    "MALFORMED_NOTE": _T("检查点不合格式。", "The checkpoint is not in its form."),
    "MALFORMED_CHECKPOINT": _T("检查点不合格式。", "The checkpoint is not in its form."),
    "MEMBER_ALTERED": _T("包内文件被改动。", "A file in the bundle was altered."),
    "MEMBER_MISSING": _T("包内缺少文件。", "A file is missing from the bundle."),
    "MEMBER_UNKNOWN": _T("包内多出文件。", "The bundle holds a file that does not belong there."),
    "EVENT_MISSING": _T("链中缺少条目：有事件被抽走。", "An entry of a chain was taken out."),
    "REORDERED": _T("顺序被改动。", "The order was changed."),
    "TRUNCATED": _T("链被截断：没有以本次导出结尾。", "A chain was cut off before the export."),
    "CHAIN_MISSING": _T("缺少一条链。", "A whole chain was taken out."),
    "MANIFEST_ALTERED": _T(
        "清单与日志中记载的不符。", "The manifest is not the one that the log has."
    ),
    "FALSE_OPENING": _T(
        "事实或事件与日志条目不符。", "A fact or an event is not the one in the log."
    ),
    "OTHER_SUBJECT": _T("链与所称货物不符。", "A chain is about other goods than it says."),
    "OTHER_CHECKPOINT": _T(
        "证明属于别的条目、检查点或日志。", "A proof is of another entry, checkpoint or log."
    ),
    "FALSE_LOG_PROOF": _T("条目不在日志中。", "An entry is not in the log."),
    "FALSE_SIGNATURE": _T("签名是假的。", "A signature is false."),
    "NOT_SIGNED": _T(
        "检查点没有所信任的日志的签名。", "No log that the policy trusts signed the checkpoint."
    ),
    "QUORUM_NOT_MET": _T("联署的见证人不足。", "Too few witnesses cosigned the checkpoint."),
    "UNSUPPORTED_ALGORITHM": _T(
        "此程序不支持策略要求的签名算法。",
        "This program cannot check a kind of signature that the policy asks for.",
    ),
    "SEAL_BROKEN": _T("封条破损：文件被改动。", "The seal is broken: the file was altered."),
    "FALSE_TIME_STAMP": _T(
        "时间戳不是所信任机构对该检查点签发的。",
        "The time stamp is none of this checkpoint by an authority that is trusted.",
    ),
    "MALFORMED_LOG_POLICY": _T("策略文件有误。", "The policy file is wrong."),
}
