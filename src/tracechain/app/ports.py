"""What the use cases need from outside, split by how consistent it must be.

Every write returns once it is durable, is atomic, and either happened whole or raised. Errors of
drivers never leak: what cannot be served now raises Unavailable (the caller may repeat the same
call; all writes are idempotent by their identity), a full queue raises ResourceExhausted before
anything was done. Absence is None, never an exception. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tracechain.domain.approval import Approval, ApprovalState
from tracechain.domain.audit import AuditQuery, AuditRecord
from tracechain.domain.claim import Claim, ClaimAttempt
from tracechain.domain.keys import IssuerKey, JudgeEarlier
from tracechain.domain.label import Label
from tracechain.domain.label_design import LabelPlan
from tracechain.domain.link_set import LinkSet
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.fact import Fact, event_fact
from tracechain.domain.log.sequencing import LogChain, LogLeaf
from tracechain.domain.log.tiles import Tile
from tracechain.domain.party import Credential, Party, Principal
from tracechain.domain.product import Allocation, Batch, Product
from tracechain.domain.recall import Recall
from tracechain.domain.report import Report
from tracechain.domain.retention import Kept
from tracechain.domain.scan import Scan, ScanHistory
from tracechain.domain.touch import Thing, Touch

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is kept. `body` is its EPCIS JSON as given; `identity` is the CBV hash URI.

    `event_id` with `declaration` (empty but for error declarations) is its identity in the store.
    """

    event_id: bytes
    declaration: bytes
    event_time: int
    record_time: int
    recorder: str
    body: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be kept, with the things that it touches."""

    event: StoredEvent
    touches: tuple[Touch, ...]

    def fact(self) -> Fact:
        """What the log says of it."""
        event = self.event
        return event_fact(
            event.event_id, event.declaration, event.event_time, event.record_time, event.recorder,
            event.body, (touch.batch_key for touch in self.touches),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A captured document: its header, and each event by reference or, where the store already
    held that event in another spelling, by its own text."""

    document_id: str
    recorder: str
    header: str
    entries: tuple[tuple[bytes, bytes] | str, ...]
    create_time: int


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret of the service as it is kept, with the public half where it has one."""

    name: str
    wrapped: bytes
    public: bytes
    create_time: int


class ScanAnswer(NamedTuple):
    """What a scan finds: the history before it, and what the store holds of the unit alone.

    `touches` are those that cover the unit; units with the same touches may share one tuple.
    """

    history: ScanHistory
    touches: tuple[Touch, ...]
    claim_time: int | None


@dataclass(frozen=True, slots=True)
class PlaceSummary:
    """Where goods of a batch were recorded: place, party, and the last time."""

    place: str
    recorder: str
    last_time: int


class Directory(Protocol):
    """Small reference data, read often and changed seldom. Each write is one transaction."""

    async def put_party(self, party: Party) -> Party:
        """Keeps a party, or gives the one that has its GLN already; never overwrites."""

    async def get_party(self, gln: str) -> Party | None: ...

    async def list_parties(self, after: str, limit: int, region: str) -> list[Party]:
        """In the order of GLN, those behind `after` whose region starts with `region`."""

    async def put_credential(self, credential: Credential) -> bool:
        """Keeps a credential; False where its id is taken."""

    async def get_credential(self, credential_id: str) -> Credential | None: ...

    async def list_credentials(self, gln: str) -> list[Credential]: ...

    async def revoke_credential(self, credential_id: str, time: int) -> Credential | None:
        """Revokes it, once: a second call keeps the first time. None where there is none."""

    async def replace_credential(self, old_id: str, until: int, new: Credential) -> bool:
        """Keeps `new` and lets the old one expire at `until`, or when it did already where that is
        sooner, both or neither; False, and nothing done, where the new one's id is taken."""

    async def note_uses(self, credential_ids: Sequence[str], time: int) -> None:
        """Keeps that these were used at `time`; a later use that is known already stays."""

    async def reserve_key_id(self) -> int:
        """A key id that was never given before, from 1. Gaps are harmless."""

    async def put_key(self, key: IssuerKey) -> IssuerKey:
        """Keeps a key, or gives the one that its issuer made under the same request id."""

    async def list_keys(self, changed_since: int) -> list[IssuerKey]:
        """All keys made or changed at or after this time, in the order of their ids."""

    async def activate_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        """Activates it from `time` on, or from when it was to be active before, whichever is
        first; a key that is revoked is left as it is. None where there is none. `now` is when
        the change is made, here and below."""

    async def retire_key(self, key_id: int, time: int, now: int) -> IssuerKey | None:
        """Retires it likewise."""

    async def revoke_key(
        self, key_id: int, time: int, earlier: JudgeEarlier, reason: str, now: int
    ) -> IssuerKey | None:
        """Revokes it from `time` on. One that is revoked keeps the earlier time and the stricter
        judgement, and its reason unless one of the two changes. None where there is none."""

    async def rewrap_key(self, key_id: int, old: bytes, new: bytes, now: int) -> bool:
        """Puts a wrapped secret in the place of another. False, and nothing is changed, where the
        key's is not `old`."""

    async def certify_key(self, key_id: int, certificate: bytes, now: int) -> None:
        """Puts a certificate in the place of the one that a key has, if any."""

    async def put_secret(self, secret: StoredSecret) -> StoredSecret:
        """Keeps a secret of the service; what is kept under its name, now or before."""

    async def list_secrets(self) -> list[StoredSecret]:
        """All secrets of the service but issuers' keys, by name."""

    async def rewrap_secret(self, name: str, old: bytes, new: bytes) -> bool:
        """As `rewrap_key`."""

    async def put_product(self, product: Product) -> Product | None:
        """Keeps a product, or gives the one that has its GTIN already; never overwrites. None
        where that one is not to be seen by whom it is done for."""

    async def get_product(self, gtin: str) -> Product | None: ...

    async def list_products(self, issuer: str, after: str, limit: int) -> list[Product]:
        """In the order of GTIN; `issuer` empty means all."""


@dataclass(frozen=True, slots=True)
class AllocationAnswer:
    """An allocation, or none where `batch` has too little left; then the refusal is recorded."""

    allocation: Allocation | None
    batch: Batch


class BatchStore(Protocol):
    """Batches and what is decided about them. Writes to one batch are serialised."""

    async def put_batch(self, batch: Batch) -> Batch:
        """Keeps a batch under a new number, or gives the one of this product and lot."""

    async def get_batch(self, batch_number: int) -> Batch | None: ...

    async def find_batch(self, gtin: str, lot: str) -> Batch | None: ...

    async def list_batches(self, gtin: str, after: int, limit: int) -> list[Batch]:
        """In the order of batch number, those behind `after`."""

    async def raise_quantity(
        self, batch_number: int, quantity: int, request_id: str, decider: str, reason: str, now: int
    ) -> tuple[Batch, bool]:
        """Raises the authorised quantity and records who did it and why. True where this request
        raised it to this quantity, now or before; False where it is not above the present one,
        or the request id raised it otherwise: then nothing is stored."""

    async def allocate(self, wanted: Allocation) -> AllocationAnswer:
        """Takes `wanted.count` indices behind those issued (`first_index` is not read), or gives
        what the same request id took before. Too little left: nothing taken, refusal recorded."""

    async def list_allocations(self, batch_number: int) -> list[Allocation]: ...

    async def list_refusals(self, batch_number: int) -> list[tuple[int, str, int]]:
        """Refused orders as (time, request id, count)."""

    async def put_recall(self, recall: Recall) -> Recall:
        """Keeps a recall, or gives the one that has its id already."""

    async def list_recalls(self, batch_number: int) -> list[Recall]: ...

    async def lift_recall(
        self, batch_number: int, recall_id: str, time: int, reason: str
    ) -> Recall | None:
        """Lifts it, once. None where there is none."""


class EventStore(Protocol):
    """Events: immutable, append-only. An event and all its touches appear at one moment."""

    async def append_events(self, events: Sequence[NewEvent]) -> list[bool]:
        """Keeps the events; False for those that were there already (they change nothing)."""

    async def get_events(self, ids: Sequence[tuple[bytes, bytes]]) -> list[StoredEvent | None]: ...

    async def touches(
        self, things: Sequence[Thing], limit: int, until: int | None = None
    ) -> list[list[Touch]]:
        """For each thing the touches that overlap it, oldest event first, at most `limit` each."""

    async def places(self, batch_key: int, limit: int) -> list[PlaceSummary]:
        """Where goods under the key were recorded, latest first."""

    async def count_ended(self, batch_key: int) -> int:
        """How many units touches record as sold, used, exported or destroyed, each unit once."""

    async def put_document(self, document: StoredDocument) -> None:
        """Keeps a document; one with the same id is the same document and is left as it is."""

    async def get_document(self, document_id: str) -> StoredDocument | None: ...


class ScanStore(Protocol):
    """Scans and claims. Scans of one unit are serialised: exactly one is the first."""

    async def record_scans(self, scans: Sequence[Scan]) -> list[ScanAnswer]:
        """Keeps the scans, in order, and gives for each what it found, as of its own commit:
        what was durable before a scan began is in its answer."""

    async def claim(self, attempt: ClaimAttempt) -> Claim:
        """Counts the try and, where the PIN was right and tries are left, claims the unit if
        nobody has."""


class PublicStore(Protocol):
    """What the pages for everybody show and take. Each write is one transaction."""

    async def put_links(self, batch_key: int, links: LinkSet) -> LinkSet:
        """Puts the links of a product or batch in the place of those before, and gives what is
        kept then: of two writers the one with the later time wins, whichever comes last."""

    async def get_links(self, batch_key: int) -> LinkSet | None: ...

    async def put_report(self, batch_key: int, report: Report, photo: bytes | None) -> Report:
        """Keeps a report, or gives the one that has its id already; never overwrites."""

    async def get_report(
        self, batch_key: int, report_id: str
    ) -> tuple[Report, bytes | None] | None:
        """A report with its photograph."""

    async def list_reports(
        self, batch_key: int, region: str, before: str, limit: int
    ) -> list[Report]:
        """Those under the key whose region starts with `region`, latest id first, with ids below
        `before` (empty: all)."""

    async def erase_report(self, batch_key: int, report: Report) -> Report:
        """Puts this in the place of the report with its id, and takes its photograph away."""

    async def list_latest_recalls(self, limit: int) -> list[Recall]:
        """The latest recalls of all batches, lifted ones too, latest first. It asks every part
        of a store that is spread out: no call waits for it."""


class ApprovalStore(Protocol):
    """Proposals and their decisions. A decision is taken once, whoever else decides."""

    async def put_approval(self, approval: Approval) -> Approval:
        """Keeps a proposal, or gives the one that has its id already."""

    async def get_approval(self, approval_id: str) -> Approval | None: ...

    async def list_approvals(self, issuer: str, after: str, limit: int) -> list[Approval]:
        """In the order of ids, those behind `after` of one issuer; of all where it is empty."""

    async def decide_approval(
        self, approval_id: str, decision: ApprovalState, gln: str, credential_id: str, time: int
    ) -> Approval | None:
        """Decides what is pending; the proposal as it is then. None where there is none."""

    async def finish_approval(self, approval_id: str) -> None:
        """Marks an approved one as done."""

    async def count_revocations(self, since: int) -> int:
        """How many keys and credentials were revoked at or after this time, by when it was done."""


class AuditStore(Protocol):
    """Audit records: append-only."""

    async def append_audit(self, records: Sequence[AuditRecord]) -> None:
        """Keeps the records, in one transaction; one that was there already is left as it is."""

    async def list_audit(self, query: AuditQuery, limit: int) -> list[AuditRecord]:
        """Records that fit, in the order of their time and id, at most `limit`."""


class LogStore(Protocol):
    """The transparency log. Every fact that the other ports keep waits here from the same commit
    on (unless the store was opened without a log); `sequence` gives them their places. Leaves,
    links and full tiles never change once they are there."""

    async def append_fact(self, fact: Fact) -> None:
        """A fact that nothing else keeps. It is there once for each call."""

    async def pending_facts(self) -> tuple[int, int | None]:
        """How many facts wait for their place (of a great many only that), and the time of the
        oldest one."""

    async def take_log_lease(self, holder: str, now: int, until: int) -> int | None:
        """Makes `holder` the one who continues the log until a moment, where nobody else is now;
        its fencing number, the same as long as nobody else came between, larger than all before
        else. None where somebody else is."""

    async def sequence(self, fence: int, limit: int) -> Head | None:
        """Puts at most so many of the waiting facts into the tree, oldest first, in one
        transaction; the tree then. None, and nothing done, where the lease with this fencing
        number was taken over."""

    async def log_head(self) -> Head:
        """The tree as far as facts have places in it; it may be ahead of the checkpoint."""

    async def read_tiles(self, tiles: Sequence[Tile]) -> list[bytes | None]:
        """What each of these tiles holds, to its width; None for one that is not there."""

    async def read_leaves(self, first: int, end: int) -> list[LogLeaf]:
        """The leaves with these indices, `end` exclusive, as far as there are some."""

    async def read_links(self, batch_key: int, first: int, limit: int) -> list[int]:
        """The indices of a chain's leaves, from the number `first` on, in its order."""

    async def read_chains(self, batch_keys: Sequence[int]) -> list[LogChain | None]:
        """Each key's chain; None where there is none yet."""

    async def put_checkpoint(self, fence: int, size: int, note: bytes) -> bool:
        """Publishes a checkpoint of this size in place of the one before. False, and nothing
        done, where the lease was taken over or the one before is of a larger tree."""

    async def get_checkpoint(self) -> bytes | None:
        """The note that was published last."""


class DropStep(NamedTuple):
    """What one step dropped, and the place that the next goes on behind; None at the end."""

    dropped: int
    after: tuple[object, ...] | None


class RetentionStore(Protocol):
    """Dropping what is old, and whose turn it is to do so."""

    async def take_turn(self, now: int, until: int) -> bool:
        """Takes the turn until a moment, where nobody has it now."""

    async def pass_turn(self, held: int, until: int) -> bool:
        """Moves the end of the turn that ends at `held`; False where another has taken it."""

    async def drop_old(self, what: Kept, before: int, after: tuple[object, ...]) -> DropStep:
        """One small step: of the next rows behind a place, () for the first, drops those from
        before a moment."""


class Tenants(Protocol):
    """The store for whoever asks it as a principal: what he may not see is not there, and what is
    not his cannot be written, whatever the use case asked before. Where the deployment cannot see
    to that (SQLite), it is the use case alone that does."""

    def within(self, principal: Principal) -> Store:
        """The store as it acts for a principal. Writing what is not his is a fault of the program
        and raises what is no TracechainError."""


class Store(
    Tenants,
    Directory,
    BatchStore,
    EventStore,
    ScanStore,
    PublicStore,
    ApprovalStore,
    AuditStore,
    LogStore,
    RetentionStore,
    Protocol,
):
    """All of it, as one deployment provides it; for the service itself, which is every tenant's,
    unless it is narrowed. One conformance suite runs over each."""

    async def check(self) -> None:
        """Raises Unavailable where the store cannot be written."""

    async def close(self) -> None: ...


class TlsMaterial(NamedTuple):
    """What a server needs for TLS, in PEM: its private key, its certificate with those that lead to
    an authority, and the authorities of client certificates (empty: none are asked for)."""

    key: bytes
    certificates: bytes
    client_ca: bytes


class ServerIdentity(Protocol):
    """Who a server is. It changes while the server runs: certificates are renewed."""

    def material(self) -> TlsMaterial:
        """What is in force now; the same object while nothing changed. Called from any thread."""


class KeyVault(Protocol):
    """Wraps secrets under a key-encryption key; the plain secret never reaches a store."""

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """Authenticated ciphertext of `plain`, bound to `context`."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The plain bytes. Raises DataCorrupted where key, context or bytes are not the same."""

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes | None:
        """The same secret under the present key-encryption key; None where it is under it. Raises
        as `unwrap` does."""

    @property
    def kek_id(self) -> str:
        """Names the present key-encryption key."""


class CacheHit(NamedTuple):
    """What a look-up found. `value` is None for a miss; `token` is what a later put needs, None
    where nothing can be put."""

    value: object | None
    token: object


class Invalidation(Protocol):
    """Tells whoever remembers facts that they changed."""

    async def invalidate(self, batch_keys: Sequence[int]) -> None:
        """Forgets everything under these keys, and tells the other nodes. Called after the
        change is durable; when it returns, this node answers with the change."""


class Cache(Invalidation, Protocol):
    """Remembers facts for a short time. Never holds truth: it may forget at any moment, and it
    gives nothing that was put before the latest `invalidate` of its batch key was seen.

    Operations never raise for a cache that is away: a look-up misses, a put is dropped.
    """

    async def lookup(self, batch_key: int, field: str) -> CacheHit: ...

    async def put(self, batch_key: int, field: str, value: object, token: object) -> None:
        """Keeps `value`, unless the batch key was invalidated since `token` was given."""

    def on_invalidate(self, listener: Callable[[int], None], on_gap: Callable[[], None]) -> None:
        """Calls `listener` with each batch key that another node invalidated, and `on_gap` where
        that may have been missed for any key: also once at the start."""

    async def close(self) -> None: ...


class Digester(Protocol):
    """Turns what must not be stored into marks: salted, one-way."""

    def device_mark(self, device_id: str, time: int) -> bytes:
        """Eight bytes, the same for the same device within a month; empty for an empty id."""

    def claim_mark(self, device_id: str, gtin: str, serial: str) -> bytes:
        """Eight bytes, the same for the same device and unit for ever."""

    def origin_mark(self, network: str, time: int) -> bytes:
        """Eight bytes, the same for the same network within a month; empty for an empty text."""


class FilePart(NamedTuple):
    """Bytes that go to the end of the file of this name."""

    name: str
    data: bytes


class DrawnLabels(NamedTuple):
    """What the next `labels` labels add to the files."""

    labels: int
    parts: list[FilePart]


class LabelPress(Protocol):
    """Draws labels beside the event loop."""

    async def draw(self, plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
        """Labels of one plan, from the beginning of a page on, to be bound in their order."""

    def bind(
        self, plan: LabelPlan, drawn: AsyncGenerator[DrawnLabels, None]
    ) -> AsyncGenerator[DrawnLabels, None]:
        """Files of what was drawn; in memory there is never more of them than a part."""
