"""VerificationService: is it real? For anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tracechain.app.claiming import Claiming
from tracechain.app.keyring import Keyring
from tracechain.app.log.verdict_proofs import VerdictProofs
from tracechain.app.platform_root import PlatformRoots
from tracechain.app.ports import Clock
from tracechain.app.scanning import Scanning, ScanRequest
from tracechain.domain.custody import UnitState
from tracechain.domain.errors import InvalidArgument, TracechainError
from tracechain.domain.verdict import (
    BatchFacts,
    History,
    Issuance,
    Outcome,
    Verdict,
    VerdictReason,
)
from tracechain.domain.wording import words
from tracechain.rpc import convert, paging
from tracechain.v1 import party_pb2
from tracechain.v1 import verification_pb2 as pb

MAX_BATCH = 1000
# Scans of one stream that may be under way or unread at once; it is read no faster.
_STREAM_WIDTH = 256
_TEMPLATES = 4096


class VerificationServicer:
    """See protos/tracechain/v1/verification.proto."""

    service = pb.DESCRIPTOR.services_by_name["VerificationService"]

    def __init__(
        self,
        scanning: Scanning,
        claiming: Claiming,
        keyring: Keyring,
        roots: PlatformRoots,
        proofs: VerdictProofs,
        clock: Clock,
    ) -> None:
        self._scanning = scanning
        self._claiming = claiming
        self._keyring = keyring
        self._roots = roots
        self._proofs = proofs
        self._clock = clock
        self._templates = _Templates()

    async def VerifyCode(self, request: pb.VerifyCodeRequest) -> pb.Verdict:
        verdict = await self._scanning.verify(_scan(request))
        answer = self._answer(verdict, pb.Verdict())
        if request.include_proof:
            await self._prove(request.code, verdict, answer)
        return answer

    async def BatchVerifyCodes(
        self, request: pb.BatchVerifyCodesRequest
    ) -> pb.BatchVerifyCodesResponse:
        if not 1 <= len(request.requests) <= MAX_BATCH:
            raise InvalidArgument.of("requests", "LIST_TOO_LONG", f"1 to {MAX_BATCH} are taken")
        verdicts = await self._scanning.verify_all([_scan(item) for item in request.requests])
        response = pb.BatchVerifyCodesResponse()
        for item, verdict in zip(request.requests, verdicts, strict=True):
            # Made where it stays: a message that is put into another one is copied.
            answer = self._answer(verdict, response.verdicts.add())
            if item.include_proof:
                await self._prove(item.code, verdict, answer)
        return response

    async def StreamVerifyCodes(
        self, requests: AsyncIterator[pb.StreamVerifyCodesRequest]
    ) -> AsyncIterator[pb.StreamVerifyCodesResponse]:
        answers: asyncio.Queue[pb.StreamVerifyCodesResponse | Exception | None] = asyncio.Queue()
        room = asyncio.Semaphore(_STREAM_WIDTH)
        running: set[asyncio.Task[None]] = set()

        async def one(item: pb.StreamVerifyCodesRequest) -> None:
            try:
                verdict = await self._scanning.verify(_scan(item.request))
                answer = pb.StreamVerifyCodesResponse(sequence=item.sequence)
                self._answer(verdict, answer.verdict)
                if item.request.include_proof:
                    await self._prove(item.request.code, verdict, answer.verdict)
            except TracechainError as error:
                answer = pb.StreamVerifyCodesResponse(
                    sequence=item.sequence, error_reason=error.reason
                )
            except Exception as error:  # a defect of ours: it ends the stream, as it ends a call
                answers.put_nowait(error)
                return
            answers.put_nowait(answer)

        async def read() -> None:
            try:
                async for item in requests:
                    await room.acquire()
                    task = asyncio.create_task(one(item))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if running:
                    await asyncio.wait(running)
            finally:
                answers.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (answer := await answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                yield answer
                # Only now: who sends and does not read would else have us keep all the answers.
                room.release()
            await reader
        finally:
            reader.cancel()
            for task in running:
                task.cancel()

    async def ClaimUnit(self, request: pb.ClaimUnitRequest) -> pb.ClaimUnitResponse:
        context = request.context
        claim = await self._claiming.claim(
            request.code, request.pin, context.device_id, context.region
        )
        return pb.ClaimUnitResponse(
            status=convert.number(pb.ClaimStatus, claim.status),  # type: ignore[arg-type]
            claim_time=convert.timestamp(claim.claim_time),
            tries_left=claim.tries_left,
        )

    async def ListVerificationKeys(
        self, request: pb.ListVerificationKeysRequest
    ) -> pb.ListVerificationKeysResponse:
        size = paging.size(request.page_size, paging.MAX_SIZE)
        after = paging.after_number("keys", request.page_token)
        found = [key for key in self._keyring.records() if key.key_id > after]
        more = paging.token("keys", str(found[size - 1].key_id)) if len(found) > size else ""
        return pb.ListVerificationKeysResponse(
            keys=[convert.key(key, self._clock()) for key in found[:size]],
            next_page_token=more,
            roots=[convert.root(root) for root in self._roots.roots()],
        )

    async def _prove(self, code: str, verdict: Verdict, answer: pb.Verdict) -> None:
        """Adds to an answer the proof that its request asks for."""
        found = await self._proofs.of(code, verdict)
        answer.proof.absent_reason = found.absent
        if found.leaves is not None:
            batch, key = found.leaves
            answer.proof.batch.CopyFrom(convert.opened_leaf(batch))
            answer.proof.key.CopyFrom(convert.opened_leaf(key))

    def _answer(self, verdict: Verdict, answer: pb.Verdict) -> pb.Verdict:
        """Writes a verdict into `answer`, and gives it back."""
        answer.CopyFrom(self._templates.of(verdict))
        answer.serial = verdict.serial
        if verdict.previous_scans:
            answer.previous_scans = verdict.previous_scans
        if verdict.first_scan_time is not None:
            _stamp(answer.first_scan_time, verdict.first_scan_time)
        if verdict.claim_time is not None:
            _stamp(answer.claim_time, verdict.claim_time)
        if verdict.notice is not None:
            answer.notice.zh, answer.notice.en = verdict.notice.zh, verdict.notice.en
        _stamp(answer.verify_time, self._clock())
        return answer


_NO_TEXT = party_pb2.LocalizedText()
# The hot path looks numbers up in plain dicts, made once.
_OUTCOME: dict[Outcome, Any] = {v: convert.number(pb.Outcome, v) for v in Outcome}
_ISSUANCE: dict[Issuance, Any] = {v: convert.number(pb.Issuance, v) for v in Issuance}
_STATE: dict[UnitState | None, Any] = {
    v: convert.number(pb.UnitState, v) for v in (None, *UnitState)
}
_REASON: dict[VerdictReason, Any] = {v: convert.number(pb.VerdictReason, v) for v in VerdictReason}
_MESSAGE = {v: convert.text(words(v)) or _NO_TEXT for v in VerdictReason}
_HISTORY = {
    value: pb.History.Value(
        "HISTORY_UNSPECIFIED" if value is History.NONE else f"HISTORY_{value.upper()}"
    )
    for value in History
}


class _Templates:
    """The part of an answer that units of a batch have in common, made once.

    Batches are told apart by identity: facts are values that caches share, and comparing them
    costs more than making the message.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[BatchFacts, pb.Verdict]] = {}

    def of(self, verdict: Verdict) -> pb.Verdict:
        batch = verdict.batch
        if batch is None:
            return _template(verdict)
        key = (
            id(batch), verdict.outcome, verdict.issuance, verdict.state, verdict.history,
            verdict.reasons,
        )  # fmt: skip
        known = self._made.get(key)
        if known is not None:
            return known[1]
        made = _template(verdict)
        made.lot = batch.batch.lot
        made.product.CopyFrom(convert.text(batch.product.display_name) or _NO_TEXT)
        made.issuer.CopyFrom(convert.text(batch.issuer_name) or _NO_TEXT)
        made.production_date = batch.batch.production_date
        made.expiration_date = batch.batch.expiration_date
        if len(self._made) >= _TEMPLATES:
            self._made.clear()
        # The facts are kept too, so that their identity cannot be given to another object.
        self._made[key] = (batch, made)
        return made


def _template(verdict: Verdict) -> pb.Verdict:
    return pb.Verdict(
        outcome=_OUTCOME[verdict.outcome],
        issuance=_ISSUANCE[verdict.issuance],
        state=_STATE[verdict.state],
        history=_HISTORY[verdict.history],
        reasons=[_REASON[reason] for reason in verdict.reasons],
        message=_MESSAGE[verdict.reasons[0]],
        gtin=verdict.gtin,
    )


def _stamp(field: Timestamp, micros: int) -> None:
    field.seconds, rest = divmod(micros, 1_000_000)
    field.nanos = rest * 1000


def _scan(request: pb.VerifyCodeRequest) -> ScanRequest:
    context = request.context
    return ScanRequest(request.code, context.device_id, context.region, request.request_id)
