"""A code for every verdict that a scan can end in, made through the service as parties do."""

from __future__ import annotations

from tests.support.service import Lot, World, event, gtin_of
from tracechain.domain.code import Profile, format_code
from tracechain.domain.verdict import Outcome, VerdictReason
from tracechain.v1 import admin_pb2, supervision_pb2, verification_pb2

_R = VerdictReason
OUTCOMES = {
    _R.FIRST_SCAN: Outcome.GENUINE,
    _R.SCANNED_BEFORE: Outcome.GENUINE,
    _R.CLAIMED: Outcome.GENUINE,
    _R.MALFORMED_CODE: Outcome.UNKNOWN,
    _R.UNKNOWN_KEY: Outcome.UNKNOWN,
    _R.UNKNOWN_PRODUCT: Outcome.UNKNOWN,
    _R.TOKEN_FALSE: Outcome.COUNTERFEIT,
    _R.NOT_ISSUED: Outcome.COUNTERFEIT,
    _R.DESTROYED: Outcome.COUNTERFEIT,
}
"""What a reason means where it comes first; every other one is a caution."""
_EVENTS = {
    _R.SOLD: ("retail_selling", "retail_sold"),
    _R.CONSUMED: ("consuming", ""),
    _R.EXPORTED: ("exporting", ""),
    _R.DESTROYED: ("destroying", "destroyed"),
    _R.STOLEN: ("", "stolen"),
}


async def codes_of_every_verdict(world: World) -> dict[VerdictReason, str]:
    """A code by the reason that comes first when it is scanned next; FIRST_SCAN only once. Without
    UNKNOWN_RESOLVER: such a code leads to another host. `world.other` has a new key after it."""
    found = {}
    for reason, (step, disposition) in _EVENTS.items():
        lot, found[reason] = await _one(world)
        unit = f"https://id.gs1.org/01/{lot.gtin}/21/{_serial(found[reason])}"
        await world.issuer.accepted(event(10, step, [unit], disposition=disposition))
    for reason, fields in (
        (_R.RECALLED_BATCH, {}),
        (_R.RECALLED_RANGE, {"ranges": [(0, 2)]}),
        (_R.BLOCKED, {"kind": supervision_pb2.RECALL_KIND_BLOCK}),
    ):
        lot, found[reason] = await _one(world)
        await lot.recall(**fields)  # type: ignore[arg-type]
    lot, found[_R.RECALLED_UNIT] = await _one(world)
    await lot.recall(units=[found[_R.RECALLED_UNIT]])
    _, found[_R.EXPIRED] = await _one(world, expiration_date="2026-01-06")
    _, found[_R.NOT_ACTIVATED] = await _one(world, activation_required=True)

    _, found[_R.FIRST_SCAN] = await _one(world)
    _, found[_R.SCANNED_BEFORE] = await _one(world)
    await world.verify(found[_R.SCANNED_BEFORE], "somebody", "210102")
    _, found[_R.IMPOSSIBLE_TRAVEL] = await _one(world)
    for device, region in (("a", "210102"), ("b", "650102")):
        await world.verify(found[_R.IMPOSSIBLE_TRAVEL], device, region)
    _, found[_R.MANY_DEVICES] = await _one(world)
    for number in range(9):
        await world.verify(found[_R.MANY_DEVICES], f"device {number}")
    found[_R.CLAIMED] = await _claimed(world)

    lot, good = await _one(world)
    found[_R.MALFORMED_CODE] = good[:-1]
    found[_R.TOKEN_FALSE] = _changed(good)
    found[_R.NOT_ISSUED] = unissued(world, lot.gtin, lot.number, 1)
    found[_R.UNKNOWN_PRODUCT] = unissued(world, gtin_of(99981), 2**33 - 5, 0)
    # The key id is the two bytes after the first of the token: here 4095, which nobody has.
    found[_R.UNKNOWN_KEY] = good[:-89] + good[-89] + "__" + good[-86:]
    found[_R.KEY_REVOKED] = await _under_a_revoked_key(world)
    return found


def unissued(world: World, gtin: str, batch: int, index: int) -> str:
    """A code with a right token of the issuer's own key, for a unit that was never issued."""
    key = world.app.keyring.current(world.issuer.gln)
    ((serial, token),) = key.secret.issue(gtin, batch, index, 1, Profile.SIGNED)
    return format_code(world.app.settings.resolver, gtin, serial, token)


async def _one(world: World, **fields: object) -> tuple[Lot, str]:
    lot = await world.lot(**fields)  # type: ignore[arg-type]
    (code,) = await lot.issue(1)
    return lot, code.uri


async def _claimed(world: World) -> str:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    answer = await world.nobody.verification.ClaimUnit(
        verification_pb2.ClaimUnitRequest(
            code=code.uri,
            pin=code.pin,
            context=verification_pb2.ScanContext(device_id="its owner", region="210102"),
        )
    )
    assert answer.status == verification_pb2.CLAIM_STATUS_CLAIMED
    return code.uri


async def _under_a_revoked_key(world: World) -> str:
    lot = await world.lot(world.other)
    (code,) = await lot.issue(1)
    parent = f"parties/{world.other.gln}"
    used = world.app.keyring.current(world.other.gln).record.key_id
    await world.other.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(parent=parent, request_id="after the revoked one")
    )
    await world.operator.admin.RevokeIssuerKey(
        admin_pb2.RevokeIssuerKeyRequest(name=f"{parent}/keys/{used}", reason="leaked")
    )
    return code.uri


def _serial(code: str) -> str:
    return code.partition("/21/")[2].partition("?")[0]


def _changed(code: str) -> str:
    return code[:-10] + ("A" if code[-10] != "A" else "B") + code[-9:]
