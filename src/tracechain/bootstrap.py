"""The composition root: everything is made here, from one configuration, and closed here."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import grpc
import structlog

from tracechain.adapters.buckets import LocalBuckets
from tracechain.adapters.cache_stack import CacheStack
from tracechain.adapters.crypto_pool import CryptoPool
from tracechain.adapters.fact_codec import FactCodec
from tracechain.adapters.grouped import GroupedAudit, GroupedEvents, GroupedScans
from tracechain.adapters.jwks import HttpFetch, IssuerSignatures
from tracechain.adapters.kek import Kek, kek_from_file, kek_from_text
from tracechain.adapters.keys import HmacDigester, ServiceSecret, Vault
from tracechain.adapters.labels.press import PooledLabels
from tracechain.adapters.load import Load
from tracechain.adapters.memory_cache import MemoryCache
from tracechain.adapters.photos import PillowPhotos
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.postgres.archive import PostgresArchive
from tracechain.adapters.postgres.citus import distribute
from tracechain.adapters.press import Press
from tracechain.adapters.proofs import GroupedProofs
from tracechain.adapters.redis_buckets import SharedBuckets
from tracechain.adapters.redis_cache import RedisCache
from tracechain.adapters.redis_lanes import Lanes
from tracechain.adapters.redis_url import connect
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.sqlite.archive import SqliteArchive
from tracechain.adapters.store_process import open_in_process
from tracechain.adapters.tls import TlsFiles
from tracechain.app.approving import Approving
from tracechain.app.archive import Archive, StoreRefused
from tracechain.app.assessing import Assessing
from tracechain.app.auditing import Auditing
from tracechain.app.authenticating import Authenticating
from tracechain.app.capturing import Capturing
from tracechain.app.changing import Changes
from tracechain.app.claiming import Claiming
from tracechain.app.credentials import Credentials
from tracechain.app.dangerous import Dangerous
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
from tracechain.app.labelling import Labelling
from tracechain.app.last_use import NOTE_SECONDS, LastUses
from tracechain.app.limits import Limits, MakeBuckets, Rates
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
from tracechain.app.secrets import Rewrapped, Rewrapping, service_secret
from tracechain.app.stories import Stories
from tracechain.app.tokens import BearerTokens
from tracechain.app.tracing import Tracing
from tracechain.app.visibility import Visibility
from tracechain.bootstrap_log import Vouching, open_vouching
from tracechain.domain.address import is_loopback
from tracechain.domain.approval import Act
from tracechain.domain.errors import TracechainError, Unavailable
from tracechain.domain.keys import JudgeEarlier
from tracechain.domain.rate import Rate
from tracechain.domain.retention import Retention
from tracechain.domain.scan import ScanRules
from tracechain.domain.token import TokenIssuer
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
from tracechain.rpc.server import RpcServer, Servicer
from tracechain.rpc.supervision import SupervisionServicer
from tracechain.rpc.verification import VerificationServicer
from tracechain.settings import Settings
from tracechain.web.app import Site
from tracechain.web.server import HttpServer
from tracechain.web.site import Services, make_site

_LOG = structlog.get_logger(__name__)
# How long codes wait at most for others to be proved with, in seconds.
_PROOF_LINGER = 0.004
# How often a process asks whether it is its turn to drop what is old, in seconds.
_RETENTION_EVERY = 600.0


def clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def vault_for(settings: Settings) -> Vault:
    """The vault of the key-encryption keys that the settings name. Raises Unavailable."""
    previous = settings.kek_previous.get_secret_value()
    return Vault(_kek(settings), [kek_from_text(previous)] if previous else [])


def _kek(settings: Settings) -> Kek:
    if text := settings.kek.get_secret_value():
        return kek_from_text(text)
    if settings.kek_file is not None:
        return kek_from_file(settings.kek_file, create=False)
    return kek_from_file(settings.data_dir / "kek", create=True)


def four_eyes(settings: Settings) -> list[Act]:
    """The acts that need an approval. Raises Unavailable SETTING_INVALID for what is no act."""
    names = [name.strip() for name in settings.four_eyes.split(",")]
    try:
        return [Act(name) for name in names if name]
    except ValueError:
        known = ", ".join(Act)
        raise Unavailable("SETTING_INVALID", f"four_eyes takes {known}, with commas") from None


async def rewrap(settings: Settings, *, dry: bool) -> Rewrapped:
    """See tracechain.app.secrets.Rewrapping; on the store that the settings name."""
    vault = vault_for(settings)
    store = await store_for(settings, ScanRules())
    try:
        return await Rewrapping(store, vault, clock).run(dry=dry)
    finally:
        await store.close()


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
    _shared: list[SharedBuckets]
    _press: Press
    _labels: PooledLabels
    _photos: PillowPhotos
    _uses: LastUses
    _fetch: HttpFetch
    _sequencing: Sequencing
    _vouching: Vouching
    _polls: list[asyncio.Task[None]]

    async def close(self) -> None:
        """Finishes what was accepted, then closes everything."""
        for poll in self._polls:
            poll.cancel()
            with suppress(asyncio.CancelledError):
                await poll
        await self._sequencing.close()
        await self._vouching.close()
        await self._uses.write()
        await self._fetch.close()
        for group in (self._changes, self._proofs, self._scans, self._events):
            await group.close()
        await self.auditing.close()
        await self._audit.close()
        for buckets in self._shared:
            await buckets.close()
        await self._caches.close()
        await self._press.close()
        self._photos.close()
        await self._labels.close()
        await self.store.close()


async def store_for(settings: Settings, rules: ScanRules) -> Store:
    """The store that the settings name. Raises Unavailable and DataCorrupted."""
    open_it: Callable[[], Awaitable[Store]] = partial(
        open_store, settings.store_path, rules, logs=settings.log
    )
    if url := settings.store_url.get_secret_value():
        open_it = partial(
            open_postgres,
            url,
            rules,
            connections=settings.store_connections,
            logs=settings.log,
        )
    return await (open_in_process(open_it) if settings.store_process else open_it())


def open_archive(settings: Settings) -> Archive:
    """The store that the settings name, as a whole; it is opened with each of its calls."""
    url = settings.store_url.get_secret_value()
    return PostgresArchive(url) if url else SqliteArchive(settings.store_path)


async def distribute_store(settings: Settings, shards: int) -> tuple[list[str], list[str]]:
    """See tracechain.adapters.postgres.citus. Raises StoreRefused STORE_EMBEDDED as well."""
    return await distribute(server_of(settings), shards)


def server_of(settings: Settings) -> str:
    """The URL of PostgreSQL. Raises StoreRefused STORE_EMBEDDED where there is none."""
    url = settings.store_url.get_secret_value()
    if not url:
        raise StoreRefused("STORE_EMBEDDED", "the embedded store lies on one machine, in one file")
    return url


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
    servers = connect(settings.redis_url) if settings.redis_url else None
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
    shared: list[SharedBuckets] = []
    make_buckets: MakeBuckets = lambda _, rate: LocalBuckets(rate, clock)  # noqa: E731
    if servers is not None:
        lanes = Lanes(
            servers,
            clock,
            in_flight=settings.redis_in_flight,
            timeout=settings.redis_timeout_ms / 1000,
        )
        redis = RedisCache(
            lanes,
            FactCodec(),
            secret.derive("cache-mac/v1"),
            clock,
            lifetime=settings.redis_lifetime_ms * 1000,
        )
        name_key = secret.derive("limit-names/v1")

        def make_shared(rule: str, rate: Rate) -> SharedBuckets:
            shared.append(SharedBuckets(rule, rate, lanes, name_key, clock))
            return shared[-1]

        make_buckets = make_shared
        redis.on_invalidate(memory.forget, memory.forget_all)
        layers.append(redis)
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
    fetch = HttpFetch()
    uses = LastUses(store, clock)
    credentials = Credentials(store, visibility, clock, os.urandom, uses)
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
    notices = Notices(store, store, store)
    published = PublishedLog(store)
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
        ProvenanceServicer(tracing, assessing),
        AuditServicer(auditing, clock),
        SupervisionServicer(recalling, reporting),
        LogServicer(published, Openings(store, published, visibility, reading, recalling)),
    ]
    limits = Limits(rates(settings), make_buckets)
    admission = Admission(
        settings.max_calls, settings.max_streams, settings.client_calls, settings.client_streams
    )
    authenticating = Authenticating(credentials, bearer_tokens(settings, fetch, visibility))
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
        photos, uses, fetch, sequencing, vouching, polls,
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


def rates(settings: Settings) -> Rates:
    """The limits that the settings name: what is 0 is none."""

    def rate(count: float, seconds: float, burst: float) -> Rate | None:
        return Rate(count / seconds, max(1, int(burst))) if count else None

    s = settings
    return Rates(
        client=rate(s.client_codes_per_second, 1, 10 * s.client_codes_per_second),
        looks=rate(s.client_looks_per_minute, 60, s.client_looks_per_minute),
        party=rate(s.party_calls_per_second, 1, 10 * s.party_calls_per_second),
        logins=rate(s.client_logins_per_minute, 60, s.client_logins_per_minute),
        tries=rate(s.client_tries_per_hour, 3600, s.client_tries_per_hour / 3),
        tries_at_code=rate(s.code_tries_per_hour, 3600, s.code_tries_per_hour / 3),
    )


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


def http_hosts(settings: Settings) -> list[str]:
    """The names that pages are served under: of codes, of this port, and what is set besides."""
    own = settings.http_listen.rpartition(":")[0]
    given = [name.strip() for name in settings.http_hosts.split(",")]
    local = ["localhost", "127.0.0.1", "[::1]"] if is_loopback(settings.http_listen) else []
    resolver = settings.resolver.partition(":")[0]
    return [name for name in (resolver, own, *local, *given) if name]


def bearer_tokens(
    settings: Settings, fetch: HttpFetch, visibility: Visibility
) -> BearerTokens | None:
    """The tokens that the settings allow; None where they name no issuer."""
    issuers = [
        (
            TokenIssuer(
                one.issuer, one.audience, one.roles, frozenset(one.parties), one.party_claim,
                one.role_claim, one.region_claim, one.skew_s * 1_000_000,
            ),
            IssuerSignatures(one.jwks_uri, one.algorithms, fetch),
        )
        for one in settings.oidc
    ]  # fmt: skip
    return BearerTokens(issuers, visibility, clock) if issuers else None


def tls_files(settings: Settings) -> TlsFiles | None:
    """The files of TLS that the settings name. Raises Unavailable TLS_INVALID."""
    s = settings
    if s.tls_cert is None and s.tls_key is None and not (s.tls_client_ca or s.mtls_listen):
        return None
    if s.tls_cert is None or s.tls_key is None:
        raise Unavailable("TLS_INVALID", "TLS needs both tls_cert and tls_key")
    if s.mtls_listen and s.tls_client_ca is None:
        raise Unavailable("TLS_INVALID", "mtls_listen needs tls_client_ca: who signs the clients")
    return TlsFiles(s.tls_cert, s.tls_key, s.tls_client_ca)


@dataclass(frozen=True, slots=True)
class Ports:
    """The open ports of one process; 0 for one that is not."""

    rpc: RpcServer
    http: HttpServer | None

    @property
    def port(self) -> int:
        """Where gRPC is."""
        return self.rpc.port

    @property
    def http_port(self) -> int:
        """Where HTTP is."""
        return self.http.port if self.http else 0

    @property
    def mtls_port(self) -> int:
        """Where gRPC is for clients with a certificate."""
        return self.rpc.mtls_port

    async def stop(self, grace: float) -> None:
        """Takes nothing new, and gives what is under way `grace` seconds."""
        ends = [self.rpc.stop(grace)]
        if self.http is not None:
            ends.append(self.http.stop(grace))
        await asyncio.gather(*ends)


async def serve(
    app: App,
    before_start: grpc.GenericRpcHandler | None = None,
    *,
    shared_port: bool = False,
) -> Ports:
    """Opens the ports of one process and serves. Raises Unavailable where one is taken, and for
    TLS that cannot be.

    `before_start` is a further handler: a benchmark measures beside the service's own methods.
    With `shared_port` other processes may listen on the same ports.
    """
    s = app.settings
    tls = tls_files(s)
    server = RpcServer(
        app.gate,
        app.servicers,
        s.listen,
        max_message_bytes=s.max_message_bytes,
        max_calls_per_connection=s.max_calls_per_connection,
        allow_plaintext=s.allow_plaintext,
        identity=tls,
        mtls_listen=s.mtls_listen,
        shared_port=shared_port,
    )
    if before_start is not None:
        server.add(before_start)
    http = None
    if s.http_listen:
        http = HttpServer(
            app.site,
            s.http_listen,
            max_connections=s.http_connections,
            # All come from the proxy where there is one: it has to see to that.
            max_client_connections=0 if s.http_proxies else s.client_connections,
            allow_plaintext=s.allow_plaintext,
            tls=tls.context() if tls else None,
            shared_port=shared_port,
        )
    await server.start()
    if http is not None:
        try:
            await http.start()
        except Unavailable:
            await server.stop(0)
            raise
    return Ports(server, http)
