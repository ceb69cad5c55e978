"""The keys of all issuers, in memory: what arithmetic on a code needs, without any look-up.

A code that names an unknown key is answered from here alone; nobody can make the service read
its store by guessing. Keys made by other nodes arrive by polling, so a key is good everywhere
within the polling interval of being made or revoked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from tracechain.app.ports import Clock, Directory, KeyVault
from tracechain.app.visibility import Visibility
from tracechain.app.working_key import WorkingKey, sealed, working
from tracechain.domain.code import Algorithm
from tracechain.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tracechain.domain.keys import (
    MAX_KEY_ID,
    IssuerKey,
    JudgeEarlier,
    KeyStanding,
    KeyState,
    generate,
)
from tracechain.domain.party import PartyKind, Principal, Role
from tracechain.domain.product import Allocation
from tracechain.domain.text import bounded

# Times that are so little in the past are meant as now, in microseconds.
_CLOCK_SKEW = 5_000_000


class Keyring:
    """Makes and holds issuer keys, and leads them through their life. `certify` gives a key its
    certificate; `judge_earlier` is what a revocation says that does not say it itself."""

    def __init__(
        self,
        directory: Directory,
        vault: KeyVault,
        visibility: Visibility,
        clock: Clock,
        certify: Callable[[IssuerKey], bytes],
        judge_earlier: JudgeEarlier = JudgeEarlier.CAUTION,
    ) -> None:
        self._directory = directory
        self._vault = vault
        self._visibility = visibility
        self._clock = clock
        self._certify = certify
        self._judge_earlier = judge_earlier
        self._records: dict[int, IssuerKey] = {}
        self._working: dict[int, WorkingKey] = {}
        self._by_issuer: dict[str, list[int]] = {}
        self._seen = 0

    async def refresh(self) -> None:
        """Takes in what changed since the last time. A minute of overlap forgives clocks."""
        for record in await self._directory.list_keys(max(0, self._seen - 60_000_000)):
            self._take(record)

    def _take(self, record: IssuerKey) -> None:
        known = self._records.get(record.key_id)
        if known == record:
            return
        self._records[record.key_id] = record
        self._working.pop(record.key_id, None)
        if known is None:
            self._by_issuer.setdefault(record.issuer_gln, []).append(record.key_id)
        self._seen = max(self._seen, record.create_time, self._clock())

    def get(self, key_id: int) -> WorkingKey | None:
        """The key with this id, unwrapped at its first use; None where there is none."""
        found = self._working.get(key_id)
        if found is None:
            record = self._records.get(key_id)
            if record is None:
                return None
            found = working(record, self._vault)
            self._working[key_id] = found
        return found

    def of_issuer(self, gln: str) -> list[WorkingKey]:
        """All keys of an issuer, revoked ones too, oldest first."""
        found = (self.get(key_id) for key_id in sorted(self._by_issuer.get(gln, ())))
        return [key for key in found if key is not None]

    def current(self, gln: str) -> WorkingKey:
        """The key that signs: of an issuer's active keys the one that was activated last. Raises
        FailedPrecondition NO_SIGNING_KEY."""
        now = self._clock()
        active = [
            (record.activate_time or 0, key_id)
            for key_id in self._by_issuer.get(gln, ())
            if (record := self._records[key_id]).state(now) is KeyState.ACTIVE
        ]
        key = self.get(max(active)[1]) if active else None
        if key is None:
            raise FailedPrecondition(
                "NO_SIGNING_KEY",
                "the issuer has no key to sign with; make one with CreateIssuerKey, or activate it",
            )
        return key

    def of_order(self, order: Allocation) -> WorkingKey:
        """The key of an order that goes on. Raises FailedPrecondition KEY_REVOKED where its codes
        would not be believed: then nobody should print them."""
        key = self.get(order.key_id)
        assert key is not None
        if key.record.standing(order.create_time) is not KeyStanding.GOOD:
            raise FailedPrecondition(
                "KEY_REVOKED", "the key of this order was revoked; order anew under another id"
            )
        return key

    def records(self) -> list[IssuerKey]:
        """All keys in the order of their ids."""
        return [self._records[key_id] for key_id in sorted(self._records)]

    async def create(
        self,
        principal: Principal,
        gln: str,
        algorithm: Algorithm | None,
        request_id: str,
        *,
        pending: bool = False,
        activate_time: int | None = None,
    ) -> IssuerKey:
        """Makes a key for an issuer that signs from `activate_time` on (None: now), or once it is
        activated where it is `pending`; the same request id gives the same key. None as the
        algorithm: that of its newest key, ES256 for the first.

        Raises NotFound for a party that the caller may not see, InvalidArgument for one that is
        no issuer or for a time in the past, FailedPrecondition KEY_IDS_EXHAUSTED, AlreadyExists
        REQUEST_ID_USED where the request id made a key of another algorithm.
        """
        party = await self._visibility.party(principal, gln)
        if principal.role is Role.ISSUER and principal.party_gln != gln:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")
        if party.kind is not PartyKind.ISSUER:
            raise InvalidArgument.of("parent", "NOT_AN_ISSUER", "only an issuer has signing keys")
        request_id = bounded(request_id, "request_id", 64, required=True)
        for known in self._records.values():
            if (known.issuer_gln, known.request_id) == (gln, request_id):
                return _asked_for(known, algorithm)
        now = self._clock()
        active = None if pending else _not_past(activate_time, now, "activate_time")
        key_id = await self._directory.reserve_key_id()
        if key_id > MAX_KEY_ID:
            raise FailedPrecondition("KEY_IDS_EXHAUSTED", "all 65535 key ids have been given out")
        if algorithm is None:
            own = [key.algorithm for key in self.records() if key.issuer_gln == gln]
            algorithm = own[-1] if own else Algorithm.ES256
        public, secret = generate(algorithm)
        made = IssuerKey(
            key_id,
            gln,
            algorithm,
            public,
            sealed(key_id, gln, secret, self._vault),
            request_id,
            now,
            activate_time=active,
        )
        made = replace(made, certificate=self._certify(made))
        record = await self._directory.put_key(made)
        self._take(record)
        return _asked_for(record, algorithm)

    async def rotate(
        self,
        principal: Principal,
        gln: str,
        algorithm: Algorithm | None,
        activate_time: int | None,
        request_id: str,
    ) -> IssuerKey:
        """Makes a key that signs from `activate_time` on (None: now), and retires at that moment
        those that sign until then. They go on verifying.

        Where it is cut off between the two, the newer key signs, and a repetition retires the
        others. Raises what `create` does.
        """
        new = await self.create(principal, gln, algorithm, request_id, activate_time=activate_time)
        now = self._clock()
        for key in self.records():
            if (
                key.issuer_gln == gln
                and key.key_id < new.key_id
                and key.state(now) is KeyState.ACTIVE
            ):
                await self._change(
                    self._directory.retire_key(key.key_id, new.activate_time or now, now)
                )
        return self._records[new.key_id]

    async def activate(
        self, principal: Principal, gln: str, key_id: int, time: int | None
    ) -> IssuerKey:
        """Lets a key sign from `time` on (None: now); one that does, or will sooner, is left as it
        is. Raises NotFound, InvalidArgument, FailedPrecondition KEY_RETIRED and KEY_REVOKED."""
        known = await self._named(principal, gln, key_id)
        now = self._clock()
        if known.state(now) is KeyState.RETIRED:
            raise FailedPrecondition("KEY_RETIRED", f"key {key_id} is retired; make a new one")
        _not_revoked(known)
        at = _not_past(time, now, "activate_time")
        return await self._change(self._directory.activate_key(key_id, at, now))

    async def retire(
        self, principal: Principal, gln: str, key_id: int, time: int | None
    ) -> IssuerKey:
        """Lets a key sign no more from `time` on (None: now); it goes on verifying. Raises
        NotFound, InvalidArgument, FailedPrecondition KEY_REVOKED."""
        known = await self._named(principal, gln, key_id)
        _not_revoked(known)
        now = self._clock()
        at = _not_past(time, now, "retire_time")
        return await self._change(self._directory.retire_key(key_id, at, now))

    async def revoke(
        self,
        principal: Principal,
        gln: str,
        key_id: int,
        time: int | None,
        reason: str,
        earlier: JudgeEarlier | None = None,
    ) -> IssuerKey:
        """Revokes a key from `time` on (None: now), with a judgement of the codes before (None: as
        configured). What is revoked can only be revoked further: from an earlier time on, or with
        a stricter judgement. Raises NotFound, InvalidArgument."""
        now = self._clock()
        known = await self.revocable(principal, gln, key_id, time, reason)
        if earlier is None:
            # Said before, it holds; a repetition that says nothing changes nothing.
            said = known.revoke_time is not None
            earlier = known.judge_earlier if said else self._judge_earlier
        at = now if time is None else time
        return await self._change(self._directory.revoke_key(key_id, at, earlier, reason, now))

    async def revocable(
        self, principal: Principal, gln: str, key_id: int, time: int | None, reason: str
    ) -> IssuerKey:
        """The key that `revoke` would revoke. Raises what it would."""
        if time is not None and time > self._clock():
            raise InvalidArgument.of("revoke_time", "TIME_IN_FUTURE", "is in the future")
        bounded(reason, "reason", 500)
        return await self._named(principal, gln, key_id)

    async def signs_alone(self, key: IssuerKey) -> bool:
        """Whether a key signs for its issuer, and no other one does."""
        await self.refresh()
        now = self._clock()
        active = [
            known.key_id
            for known in self._records.values()
            if known.issuer_gln == key.issuer_gln and known.state(now) is KeyState.ACTIVE
        ]
        return active == [key.key_id]

    async def list_of(self, principal: Principal, gln: str) -> list[IssuerKey]:
        """The keys of one issuer. Raises NotFound where the caller may not see it."""
        await self._owned(principal, gln)
        await self.refresh()
        return [key.record for key in self.of_issuer(gln)]

    async def _named(self, principal: Principal, gln: str, key_id: int) -> IssuerKey:
        await self._owned(principal, gln)
        known = self._records.get(key_id)
        if known is None or known.issuer_gln != gln:
            raise NotFound("KEY_NOT_FOUND", f"there is no key {key_id} of this issuer")
        return known

    async def _change(self, change: Awaitable[IssuerKey | None]) -> IssuerKey:
        record = await change
        assert record is not None
        self._take(record)
        return record

    async def _owned(self, principal: Principal, gln: str) -> None:
        await self._visibility.party(principal, gln)
        if principal.role is Role.ISSUER and principal.party_gln != gln:
            raise NotFound("PARTY_NOT_FOUND", f"there is no party {gln}")


def _asked_for(record: IssuerKey, algorithm: Algorithm | None) -> IssuerKey:
    if algorithm not in (None, record.algorithm):
        raise AlreadyExists(
            "REQUEST_ID_USED", f"this request id made a key of algorithm {record.algorithm}"
        )
    return record


def _not_revoked(key: IssuerKey) -> None:
    if key.revoke_time is not None:
        raise FailedPrecondition("KEY_REVOKED", f"key {key.key_id} is revoked; make a new one")


def _not_past(time: int | None, now: int, field: str) -> int:
    """The moment meant, None being now. What was signed meanwhile would not fit one before it."""
    if time is None:
        return now
    # The clock of who asks may be behind ours.
    if time < now - _CLOCK_SKEW:
        raise InvalidArgument.of(field, "TIME_IN_PAST", "is in the past")
    return max(time, now)
