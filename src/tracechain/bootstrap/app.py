"""All parts of one process, made from one configuration, and closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from tracechain.adapters.buckets import LocalBuckets
from tracechain.adapters.cache_stack import CacheStack
from tracechain.adapters.crypto_pool import CryptoPool
from tracechain.adapters.evidence.press import ReportProcess
from tracechain.adapters.grouped import GroupedAudit, GroupedEvents, GroupedScans
from tracechain.adapters.keys import HmacDigester, ServiceSecret
from tracechain.adapters.labels.press import PooledLabels
from tracechain.adapters.load import Load
from tracechain.adapters.memory_cache import MemoryCache
from tracechain.adapters.photos import PillowPhotos
from tracechain.adapters.press import Press
from tracechain.adapters.proofs import GroupedProofs
from tracechain.app.approving import Approving
from tracechain.app.assessing import Assessing
from tracechain.app.auditing import Auditing
from tracechain.app.authenticating import Authenticating
from tracechain.app.capturing import Capturing
from tracechain.app.changing import Changes
from tracechain.app.claiming import Claiming
from tracechain.app.credentials import Credentials
from tracechain.app.dangerous import Dangerous
from tracechain.app.ending import end
from tracechain.app.evidence.exporting import Exporting
from tracechain.app.evidence.gathering import Gathering
from tracechain.app.facts import (
    CachedFacts,
    FactSource,
    IssueTimes,
    StoredFacts,
    UnitFactSource,
)
from tracechain.app.issuing import Issuing
from tracechain.app.journeys import Journeys
from tracechain.app.keyring import Keyring
from tracechain.app.known_callers import KnownCallers
from tracechain.app.labelling import Labelling
from tracechain.app.last_use import NOTE_SECONDS, LastUses
from tracechain.app.limits import Limits, MakeBuckets
from tracechain.app.linking import Linking
from tracechain.app.log.openings import Openings
from tracechain.app.log.published import PublishedLog
from tracechain.app.log.sequencing import Sequencing
from tracechain.app.log.verdict_proofs import VerdictProofs
from tracechain.app.notices import Notices
from tracechain.app.parties import Parties
from tracechain.app.platform_root import PlatformRoots
from tracechain.app.ports import Cache, Store
from tracechain.app.products import Products
from tracechain.app.proving import Prover
from tracechain.app.reading import Reading
from tracechain.app.recalling import Recalling
from tracechain.app.reporting import Reporting
from tracechain.app.resolving import Resolver
from tracechain.app.retaining import Retaining
from tracechain.app.scanning import Scanning
from tracechain.app.secrets import service_secret
from tracechain.app.stories import Stories
from tracechain.app.tracing import Tracing
from tracechain.app.visibility import Visibility
from tracechain.bootstrap.access import four_eyes, http_hosts, rates
from tracechain.bootstrap.log import Vouching, open_vouching
from tracechain.bootstrap.stores import clock, store_for, vault_for
from tracechain.domain.errors import TracechainError, Unavailable
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.retention import Retention
from tracechain.domain.scan import ScanRules
from tracechain.rpc.admin import AdminServicer
from tracechain.rpc.admission import Admission
from tracechain.rpc.audit import AuditServicer
from tracechain.rpc.capture import EventServicer
from tracechain.rpc.connect import CONNECT_PREFIX, ConnectApp
from tracechain.rpc.gate import Gate
from tracechain.rpc.issuance import IssuanceServicer
from tracechain.rpc.log import LogServicer
from tracechain.rpc.openapi import OPENAPI_PATH, OpenApiDocument
from tracechain.rpc.provenance import ProvenanceServicer
from tracechain.rpc.server import Servicer
from tracechain.rpc.supervision import SupervisionServicer
from tracechain.rpc.verification import VerificationServicer
from tracechain.settings import Settings
from tracechain.web.app import Site
from tracechain.web.site import Services, make_site

if TYPE_CHECKING:
    # Not imported at the start where the settings do not want them: see `bootstrap.shared`.
    from tracechain.adapters.evidence.stamps import HttpTimeStamps
    from tracechain.adapters.jwks import HttpFetch
    from tracechain.bootstrap.shared import Shared

_LOG = structlog.get_logger(__name__)
# How long codes wait at most for others to be proved with, in seconds.
_PROOF_LINGER = 0.004
# How often a process asks whether it is its turn to drop what is old, in seconds.
_RETENTION_EVERY = 600.0


@dataclass(slots=True)
class App:
    """The running parts of one process."""

    settings: Settings
    store: Store
    keyring: Keyring
    credentials: Credentials
    parties: Parties
    approving: Approving
    roots: PlatformRoots
    scanning: Scanning
    servicers: list[Servicer]
    gate: Gate
    site: Site
    _proofs: GroupedProofs
    _scans: GroupedScans
    _events: GroupedEvents
    auditing: Auditing
    _audit: GroupedAudit
    _changes: Changes
    _caches: CacheStack
    _shared: Shared | None
    _press: Press
    _labels: PooledLabels
    _reports: ReportProcess
    _photos: PillowPhotos
    _uses: LastUses
    _fetch: HttpFetch | None
    _sequencing: Sequencing
    _vouching: Vouching
    _polls: list[asyncio.Task[None]]

    async def close(self) -> None:
        """Finishes what was accepted, then closes everything."""
        for poll in self._polls:
            await end(poll)
        await self._sequencing.close()
        await self._vouching.close()
        await self._uses.write()
        if self._fetch is not None:
            await self._fetch.close()
        for group in (self._changes, self._proofs, self._scans, self._events):
            await group.close()
        await self.auditing.close()
        await self._audit.close()
        if self._shared is not None:
            await self._shared.close()
        await self._caches.close()
        await self._press.close()
        self._photos.close()
        await self._labels.close()
        await self._reports.close()
        await self.store.close()


async def build(settings: Settings, store: Store | None = None) -> App:
    """Makes everything that one process needs, around `store` or the one that the settings name.
    Raises Unavailable where it cannot, and DataCorrupted where the store's secrets cannot be read
    with the configured key-encryption keys."""
    vault = vault_for(settings)
    rules = ScanRules(
        settings.same_province_minutes, settings.other_province_minutes, settings.max_devices
    )
    # Before anything that has to be closed: it is here that a wrong URL or policy is refused.
    vouching = open_vouching(settings)
    shared = None
    if settings.redis_url:
        from tracechain.bootstrap.shared import Shared

        shared = Shared(settings)
    stamps = time_stamps(settings)
    store = store or await store_for(settings, rules)
    try:
        secret = ServiceSecret(await service_secret(store, vault, clock, os.urandom))
    except TracechainError:
        await store.close()
        raise
    memory = MemoryCache(
        clock, lifetime=settings.memory_lifetime_ms * 1000, capacity=settings.memory_entries
    )
    layers: list[Cache] = [memory]
    make_buckets: MakeBuckets = lambda _, rate: LocalBuckets(rate, clock)  # noqa: E731
    if shared is not None:
        shared.open(secret, clock)
        shared.cache.on_invalidate(memory.forget, memory.forget_all)
        layers.append(shared.cache)
        make_buckets = shared.make_buckets
    caches = CacheStack(layers)
    changes = Changes(caches)

    visibility = Visibility(store)
    roots = PlatformRoots(store, vault, clock, settings.resolver)
    await roots.refresh()
    await roots.certify_all()
    keyring = Keyring(
        store, vault, visibility, clock, roots.certify, JudgeEarlier(settings.judge_earlier)
    )
    await keyring.refresh()
    known = KnownCallers(clock, os.urandom)
    tokens, fetch = None, None
    if settings.oidc:
        from tracechain.bootstrap.tokens import bearer_tokens

        tokens, fetch = bearer_tokens(settings, visibility, known)
    uses = LastUses(store, clock)
    credentials = Credentials(store, visibility, clock, os.urandom, uses, known)
    parties = Parties(store, visibility, clock)
    resolver = Resolver(store, store, keyring, clock, settings.resolver)
    stories = Stories(store)
    load = Load()
    scans = GroupedScans(
        store,
        capacity=settings.scan_queue,
        width=settings.scan_group,
        linger=partial(load.linger, settings.scan_linger_ms / 1000),
    )
    events = GroupedEvents(store, capacity=settings.event_queue, width=64)
    truth = StoredFacts(store, store, visibility)
    facts: FactSource = truth
    for layer in reversed(layers):
        facts = CachedFacts(facts, layer)
    digester = HmacDigester(secret)
    audit = GroupedAudit(store, capacity=settings.audit_queue, width=1024)
    auditing = Auditing(audit.append, store, digester, clock, os.urandom)
    prover = Prover(keyring, settings.resolver)
    proofs = GroupedProofs(
        prover,
        CryptoPool(vault, 1),
        capacity=settings.scan_queue,
        linger=partial(load.linger, _PROOF_LINGER),
    )
    issue_times = IssueTimes(store)
    scanning = Scanning(
        prover,
        proofs.prove,
        facts,
        truth,
        UnitFactSource(stories),
        issue_times,
        scans,
        store,
        digester,
        clock,
        os.urandom,
    )
    claiming = Claiming(proofs.prove, facts, issue_times, store, digester, clock)
    press = Press(vault, settings.sign_processes or os.cpu_count() or 1)
    labels = PooledLabels(settings.sign_processes or os.cpu_count() or 1)
    products = Products(store, visibility, changes, clock)
    issuing = Issuing(store, keyring, visibility, changes, clock, press, settings.resolver)
    labelling = Labelling(store, keyring, visibility, press, labels, settings.resolver)
    recalling = Recalling(store, resolver, visibility, changes, clock)
    capturing = Capturing(
        resolver,
        store,
        store,
        events.append,
        stories,
        clock,
        settings.future_tolerance_s * 1_000_000,
    )
    reading = Reading(store, resolver, visibility)
    tracing = Tracing(store, store, store, resolver, stories, visibility)
    assessing = Assessing(store, store, resolver, tracing, stories, visibility)

    linking = Linking(store, store, store, visibility, clock)
    photos = PillowPhotos()
    reporting = Reporting(store, resolver, photos, clock)
    published = PublishedLog(store)
    gathering = Gathering(
        store, store, store, resolver, tracing, reading, recalling, reporting, visibility
    )
    reports = ReportProcess()
    exporting = Exporting(
        store,
        published,
        gathering,
        reports,
        visibility,
        clock,
        os.urandom,
        settings.resolver,
        stamps,
        wait=settings.evidence_wait_ms / 1000,
    )
    notices = Notices(store, store, store)
    verdict_proofs = VerdictProofs(
        store, published, prover, proofs.prove, enabled=settings.verdict_proofs
    )

    approving = Approving(
        store, clock, four_eyes(settings), settings.approval_hours * 3_600_000_000
    )
    dangerous = Dangerous(
        approving, store, keyring, credentials, products, roots, clock, settings.mass_revocation
    )

    servicers: list[Servicer] = [
        AdminServicer(parties, credentials, keyring, dangerous, approving, clock),
        IssuanceServicer(products, issuing, labelling, linking, dangerous),
        VerificationServicer(scanning, claiming, keyring, roots, verdict_proofs, clock),
        EventServicer(capturing, reading),
        ProvenanceServicer(tracing, assessing, gathering, exporting),
        AuditServicer(auditing, clock),
        SupervisionServicer(recalling, reporting),
        LogServicer(published, Openings(store, published, visibility, reading, recalling)),
    ]
    limits = Limits(rates(settings), make_buckets)
    admission = Admission(
        settings.max_calls, settings.max_streams, settings.client_calls, settings.client_streams
    )
    authenticating = Authenticating(credentials, tokens, known)
    gate = Gate(authenticating, admission, limits, auditing, settings.grpc_proxies)
    site = make_site(
        Services(
            scanning,
            claiming,
            reporting,
            linking,
            Journeys(visibility),
            notices,
            keyring,
            published,
            clock,
        ),
        resolver=settings.resolver,
        hosts=http_hosts(settings),
        proxies=settings.http_proxies,
        limits=limits,
        form_key=secret.derive("web-form/v1"),
        mounts=json_api(gate, servicers, settings),
    )
    polls = [
        asyncio.create_task(_poll("keys", keyring.refresh, settings.key_poll_ms / 1000)),
        asyncio.create_task(_poll("last uses", uses.write, NOTE_SECONDS)),
        asyncio.create_task(_poll("roots", roots.refresh, settings.key_poll_ms / 1000)),
    ]
    retaining = Retaining(
        store,
        Retention(settings.scans_keep_days, settings.reports_keep_days, settings.audit_keep_days),
        clock,
    )
    polls.append(asyncio.create_task(_poll("retention", retaining.run, _RETENTION_EVERY)))
    publishing = vouching.publishing(store)
    sequencing = Sequencing(store, publishing.publish, clock, os.urandom(16).hex())
    if settings.log:
        polls.append(
            asyncio.create_task(_poll("log", sequencing.turn, settings.log_poll_ms / 1000))
        )
    if settings.http_listen:
        every = settings.recall_poll_ms / 1000
        polls.append(asyncio.create_task(_poll("recalls", notices.refresh, every, at_once=True)))
    return App(
        settings, store, keyring, credentials, parties, approving, roots, scanning, servicers,
        gate, site, proofs, scans, events, auditing, audit, changes, caches, shared, press, labels,
        reports, photos, uses, fetch, sequencing, vouching, polls,
    )  # fmt: skip


def json_api(
    gate: Gate, servicers: Sequence[Servicer], settings: Settings
) -> dict[str, Callable[..., Awaitable[None]]]:
    """The methods of the servicers over plain HTTP, past the same gate as gRPC's, and their
    description: ASGI applications by what their paths begin with."""
    return {
        CONNECT_PREFIX: ConnectApp(
            gate,
            servicers,
            max_message_bytes=settings.max_message_bytes,
            proxies=settings.http_proxies,
        ),
        OPENAPI_PATH: OpenApiDocument(),
    }


def time_stamps(settings: Settings) -> HttpTimeStamps | None:
    """The authority that the settings name. Raises Unavailable SETTING_INVALID."""
    if not settings.tsa_url:
        return None
    from tracechain.adapters.evidence.stamps import HttpTimeStamps

    if settings.tsa_roots is None:
        raise Unavailable("SETTING_INVALID", "tsa_url needs tsa_roots: whom its stamps lead to")
    try:
        roots = settings.tsa_roots.read_bytes()
    except OSError as error:
        raise Unavailable("SETTING_INVALID", f"tsa_roots: {error.strerror}") from None
    return HttpTimeStamps(settings.tsa_url, roots)


async def _poll(
    what: str, refresh: Callable[[], Awaitable[object]], interval: float, *, at_once: bool = False
) -> None:
    if not at_once:
        await asyncio.sleep(interval)
    while True:
        try:
            await refresh()
        except TracechainError as error:
            # The next round tries again; until then what is known stays good.
            _LOG.warning("poll_failed", what=what, reason=error.reason)
        await asyncio.sleep(interval)
