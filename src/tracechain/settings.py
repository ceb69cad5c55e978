"""The typed configuration: environment over file over defaults.

`TRACECHAIN_...` variables; `TRACECHAIN_CONFIG` names a TOML file (else ./tracechain.toml where
there is one). Each setting says what it costs to get it wrong. `tracechain config` prints it all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tracechain.domain.address import is_loopback
from tracechain.domain.party import Role

TokenAlgorithm = Literal[
    "ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384",
    "RS512",
]  # fmt: skip
CONFIG_VARIABLE = "TRACECHAIN_CONFIG"
_DEFAULT_FILE = "tracechain.toml"


class OidcIssuer(BaseModel):
    """One who issues bearer tokens, and how far he is believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Annotated[str, Field(description="The claim iss of its tokens, to the letter.")]
    jwks_uri: Annotated[
        str,
        Field(
            description="Where its public keys are, by https (http on loopback). Whoever answers "
            "there can call as every party below."
        ),
    ]
    audience: Annotated[str, Field(min_length=1, description="What its tokens for us say in aud.")]
    algorithms: Annotated[
        tuple[TokenAlgorithm, ...],
        Field(min_length=1, description="Algorithms that are taken; whatever the token says."),
    ]
    roles: Annotated[
        dict[str, Role],
        Field(
            description="The roles that it may give, by its words for them. An issuer that may "
            "give `operator` can do everything."
        ),
    ] = {"issuer": Role.ISSUER, "handler": Role.HANDLER}
    parties: Annotated[
        tuple[str, ...],
        Field(description="GLNs that it may speak for; empty: every party that is registered."),
    ] = ()
    party_claim: str = "tracechain_party"
    role_claim: str = "tracechain_role"
    region_claim: str = "tracechain_region"
    skew_s: Annotated[
        int, Field(ge=0, le=600, description="How far its clock and ours may differ.")
    ] = 60

    @field_validator("jwks_uri")
    @classmethod
    def _secure(cls, uri: str) -> str:
        parts = urlsplit(uri)
        if parts.scheme == "https" and parts.hostname:
            return uri
        if parts.scheme == "http" and is_loopback(f"{parts.hostname}:0"):
            return uri
        raise ValueError("keys are fetched by https, or by http from loopback")


class Settings(BaseSettings):
    """All settings of the service. Times in the unit that the name says."""

    model_config = SettingsConfigDict(env_prefix="TRACECHAIN_", extra="forbid", frozen=True)

    listen: Annotated[str, Field(description="host:port of gRPC; port 0 takes a free one.")] = (
        "127.0.0.1:50051"
    )
    http_listen: Annotated[
        str,
        Field(
            description="host:port of the pages and the resolver; port 0 takes a free one; empty: "
            "none are served."
        ),
    ] = "127.0.0.1:8080"
    http_hosts: Annotated[
        str,
        Field(
            description="Further names that pages are served under, with commas; those of "
            "resolver and http_listen always are. A name that is not yours lets others pose as you."
        ),
    ] = ""
    http_proxies: Annotated[
        int,
        Field(
            ge=0,
            le=8,
            description="Proxies in front, each of which adds to X-Forwarded-For. Too many: "
            "clients choose the address that limits count; too few: all share one.",
        ),
    ] = 0
    grpc_proxies: Annotated[
        int,
        Field(
            ge=0,
            le=8,
            description="The same in front of gRPC's port, where they may differ; what they add "
            "stands in the metadata x-forwarded-for.",
        ),
    ] = 0
    client_codes_per_second: Annotated[
        float,
        Field(
            ge=0,
            description="Codes that one address (of IPv6 a /64) may verify a second in the long "
            "run, and ten times as many at once; other public calls count as one. Too few shuts "
            "out those who share an address, as phones of one network do; 0, no limit, lets one "
            "client take the share of all.",
        ),
    ] = 100
    client_looks_per_minute: Annotated[
        float,
        Field(
            ge=0,
            description="Looks of one address at one code in a minute, as many at once; 0: no "
            "limit. Too many let one client keep a code's row busy; how many clients look at a "
            "code is never limited.",
        ),
    ] = 120
    party_calls_per_second: Annotated[
        float,
        Field(
            ge=0,
            description="Calls of one party with all its credentials a second in the long run, and "
            "ten times as many at once; a stream or a batch is one. 0: no limit. Too few slows a "
            "packing line that sends event by event.",
        ),
    ] = 200
    client_logins_per_minute: Annotated[
        float,
        Field(
            ge=0,
            description="Calls with a credential that is none, of one address in a minute; beyond "
            "it none of its credentials are looked at. 0: no limit, and API keys may be guessed at "
            "the cost of a look-up each.",
        ),
    ] = 60
    client_tries_per_hour: Annotated[
        float,
        Field(
            ge=0,
            description="PINs that one address may try in an hour, a third of them at once, and as "
            "many reports. Too few shuts out those who share an address; 0, no limit, leaves a PIN "
            "to its five tries a device, and a guesser makes up devices.",
        ),
    ] = 120
    code_tries_per_hour: Annotated[
        float,
        Field(
            ge=0,
            description="PINs tried at one code in an hour by all addresses together, a third at "
            "once; the first try of an address is free of it, so nobody locks out the owner. The "
            "same holds for reports. 0: no limit.",
        ),
    ] = 90
    http_connections: Annotated[
        int, Field(ge=1, description="HTTP connections of a process; one more is closed at once.")
    ] = 4096
    allow_plaintext: Annotated[
        bool,
        Field(
            description="Serve plain text beyond loopback. Only behind a proxy that does TLS: API "
            "keys travel readable."
        ),
    ] = False
    tls_cert: Annotated[
        Path | None,
        Field(
            description="PEM file of the server's certificate and those that lead to an authority; "
            "with it both ports speak TLS. Read again when it changes."
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Field(
            description="PEM file of its private key, without a passphrase. Whoever reads it can "
            "pose as this service."
        ),
    ] = None
    tls_client_ca: Annotated[
        Path | None,
        Field(
            description="PEM file of the authorities of client certificates. A certificate opens "
            "nothing until its public key is registered for a party."
        ),
    ] = None
    mtls_listen: Annotated[
        str,
        Field(
            description="host:port of gRPC for clients with a certificate, who alone get in; "
            "empty: none. On the HTTP port a certificate may be shown, and need not."
        ),
    ] = ""
    oidc: Annotated[
        tuple[OidcIssuer, ...],
        Field(
            description="Issuers whose bearer tokens (JWT) are taken besides API keys: a list of "
            "tables [[oidc]] in the file, or JSON. Each says who calls."
        ),
    ] = ()
    workers: Annotated[
        int, Field(ge=1, le=64, description="Processes that share the port; one for each core.")
    ] = 1
    data_dir: Annotated[
        Path, Field(description="Folder of the embedded store. Losing it loses everything.")
    ] = Path("tracechain-data")
    store_process: Annotated[
        bool,
        Field(
            description="Keep the store in a process of its own beside each worker. Off saves some "
            "40 MiB and takes scans a third of their speed."
        ),
    ] = True
    store_url: Annotated[
        SecretStr,
        Field(
            description="postgresql://user@host/database shared by all nodes; empty: the embedded "
            "store in data_dir. It may hold a password, and is not shown."
        ),
    ] = SecretStr("")
    store_connections: Annotated[
        int,
        Field(
            ge=2,
            le=1000,
            description="Connections of each process to PostgreSQL. Too few: calls wait for each "
            "other; too many: the server refuses the next node.",
        ),
    ] = 8
    kek: Annotated[
        SecretStr,
        Field(
            description="Key-encryption key: 32 bytes in base64, file:/path, or a key in a token "
            "as pkcs11:token=…;object=…?module-path=…&pin-source=/path (RFC 7512); empty reads "
            "kek_file. Losing it makes every issuer key unusable; leaking it with the store leaks "
            "them."
        ),
    ] = SecretStr("")
    kek_previous: Annotated[
        SecretStr,
        Field(
            description="Another key-encryption key, spelled like kek, that is read with and not "
            "written with: the old one until `tracechain keys rewrap` has ended, or the next one "
            "before that. Without it secrets under the other key cannot be read."
        ),
    ] = SecretStr("")
    kek_file: Annotated[
        Path | None,
        Field(
            description="File of the key-encryption key; by default `kek` in data_dir, made once."
        ),
    ] = None
    evidence_wait_ms: Annotated[
        int,
        Field(
            ge=100,
            description="How long an export of evidence waits for the checkpoint that covers it. "
            "Less gives up while witnesses are slow; more holds a call for so long.",
        ),
    ] = 20_000
    tsa_url: Annotated[
        str,
        Field(
            description="Address of a time stamping authority (RFC 3161) for evidence; empty: "
            "bundles have no time stamp, and when a checkpoint was made is the word of its "
            "witnesses. While the authority is away no evidence is exported."
        ),
    ] = ""
    tsa_roots: Annotated[
        Path | None,
        Field(
            description="File of certificates in PEM that its stamps have to lead to; needed with "
            "tsa_url: a stamp that nobody can check would be in the evidence for ever."
        ),
    ] = None
    log_origin: Annotated[
        str,
        Field(
            description="The name of the transparency log, given to its keys when they are made; "
            "empty: that of resolver, and /log. Another name afterwards changes nothing: it would "
            "be another log."
        ),
    ] = ""
    log_signer_dir: Annotated[
        Path | None,
        Field(
            description="Folder of the signer's keys and of what it signed last; by default "
            "`log-signer` in data_dir. Lost, the log ends; put back from an old backup together "
            "with the store, it signs a second history, which witnesses alone will notice: keep "
            "it out of the store's backups."
        ),
    ] = None
    log_signer: Annotated[
        str,
        Field(
            description="unix:/path or host:port of loopback where `tracechain log sign` runs "
            "under a user of its own; empty: the service starts a signer by itself, and whoever "
            "takes over the service has its keys. Nodes on several machines share one signer: with "
            "one each they would be two logs, and the second publishes nothing."
        ),
    ] = ""
    log_policy: Annotated[
        Path | None,
        Field(
            description="File of witnesses and of how many have to cosign each checkpoint (C2SP "
            "tlog-policy); none: nobody else has seen what is published. Where the quorum is away, "
            "nothing new is published until it is back."
        ),
    ] = None
    log_witness_ms: Annotated[
        int,
        Field(
            ge=50,
            description="How long a checkpoint waits for its quorum of witnesses. Less leaves out "
            "witnesses that are far away; more has the next attempt wait for those that are gone.",
        ),
    ] = 2000
    resolver: Annotated[
        str,
        Field(
            description="Host that printed codes point to. Changing it makes codes printed before "
            "unreadable.",
            pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$",
        ),
    ] = "id.tracechain.example"
    redis_url: Annotated[
        str,
        Field(
            description="Redis shared by all nodes: redis://host:port/db, or "
            "redis+sentinel://host:port,host:port/service/db, or redis+cluster://host:port,"
            "host:port; rediss… for TLS, user:password@ before the hosts. Empty: none."
        ),
    ] = ""
    redis_timeout_ms: Annotated[
        int, Field(ge=1, description="After this long a look-up in Redis counts as missed.")
    ] = 100
    redis_in_flight: Annotated[
        int, Field(ge=1, description="Commands that may wait for Redis; beyond it look-ups miss.")
    ] = 1024
    redis_lifetime_ms: Annotated[
        int,
        Field(ge=100, description="How old facts in Redis can be where an invalidation was lost."),
    ] = 5000
    memory_lifetime_ms: Annotated[
        int,
        Field(
            ge=10, description="How old facts in a process can be where an invalidation is lost."
        ),
    ] = 1000
    memory_entries: Annotated[
        int, Field(ge=100, description="Facts that a process remembers; about 1 KiB each.")
    ] = 100_000
    scan_queue: Annotated[
        int, Field(ge=1, description="Scans that may wait; beyond it RESOURCE_EXHAUSTED at once.")
    ] = 10_000
    scan_group: Annotated[
        int,
        Field(ge=1, description="Scans of one commit at most, but for those of one batch."),
    ] = 256
    scan_linger_ms: Annotated[
        float,
        Field(
            ge=0,
            description="How long a commit waits for company at most, where the process is busy; "
            "with time to spare it never does. Less gives fewer scans a second, more makes each "
            "wait.",
        ),
    ] = 5.0
    event_queue: Annotated[
        int,
        Field(ge=1, description="Capture requests that may wait; beyond it RESOURCE_EXHAUSTED."),
    ] = 256
    scans_keep_days: Annotated[
        int,
        Field(
            ge=31,
            description="Days that single scans and tries at PINs are kept; of each unit its first "
            "and last scan and their number stay. More tells of people what no verdict needs.",
        ),
    ] = 400
    reports_keep_days: Annotated[
        int, Field(ge=31, description="Days that consumers' reports are kept, with photographs.")
    ] = 1100
    audit_keep_days: Annotated[
        int,
        Field(
            ge=183,
            description="Days that audit records are kept; the Cybersecurity Law asks for six "
            "months at least.",
        ),
    ] = 1100
    audit_queue: Annotated[
        int,
        Field(
            ge=1,
            description="Audit records that may wait; beyond it calls are RESOURCE_EXHAUSTED: none "
            "is answered that is not on record.",
        ),
    ] = 10_000
    key_poll_ms: Annotated[
        int, Field(ge=10, description="How soon a node sees keys that another one made or revoked.")
    ] = 500
    four_eyes: Annotated[
        str,
        Field(
            description="Acts that another credential has to approve, with commas: root (a "
            "new platform root), mass_revocation "
            "(an issuer's last signing key, or many revocations within an hour), quantity (raising "
            "what a batch may issue). Empty: one stolen key is enough for all of them. quantity is "
            "left out by default, so that an issuer with one person can work."
        ),
    ] = "root,mass_revocation"
    approval_hours: Annotated[
        int, Field(ge=1, le=720, description="How long a proposal waits for its decision.")
    ] = 24
    mass_revocation: Annotated[
        int,
        Field(
            ge=0,
            description="Keys and credentials that may be revoked within an hour, by all together, "
            "before another one needs an approval. Too few: a clean-up waits for a second person.",
        ),
    ] = 10
    judge_earlier: Annotated[
        Literal["accept", "caution", "refuse"],
        Field(
            description="What is thought of codes that were issued before their key was revoked, "
            "where the revocation does not say. accept: they are as good as before, though whoever "
            "has the key can make them too; refuse: goods in the shops are called counterfeit."
        ),
    ] = "caution"
    recall_poll_ms: Annotated[
        int,
        Field(
            ge=100,
            description="How soon the public list of recalls shows a new one. Scans do not wait "
            "for it; less asks all of the store more often.",
        ),
    ] = 5000
    log: Annotated[
        bool,
        Field(
            description="Keep the transparency log. What is recorded while it is off is in no log "
            "for ever, and nobody can be shown that it was not changed since."
        ),
    ] = True
    log_poll_ms: Annotated[
        int,
        Field(
            ge=10,
            description="How soon a fact gets its place in the log. Less asks the store "
            "more often.",
        ),
    ] = 200
    verdict_proofs: Annotated[
        bool,
        Field(
            description="Prove a verdict by the log to whoever asks for it; without it a scan must "
            "be believed. Who holds a genuine code learns from the proof which marks in the public "
            "log are its batch's, and so how many events name that batch, and when they came: no "
            "quantity, and nothing of what they say. Off where even that is a secret."
        ),
    ] = True
    future_tolerance_s: Annotated[
        int, Field(ge=0, description="How far ahead of our clock an event's time may be.")
    ] = 300
    sign_processes: Annotated[
        int,
        Field(
            ge=0,
            description="Processes that make the codes of large orders, started with the first, "
            "and as many that draw labels; 0: one for each core.",
        ),
    ] = 0
    max_message_bytes: Annotated[
        int, Field(ge=65_536, description="Largest message taken; larger is RESOURCE_EXHAUSTED.")
    ] = 8 * 1024 * 1024
    max_calls: Annotated[
        int,
        Field(
            ge=1,
            description="Calls under way in a process; one more is RESOURCE_EXHAUSTED at once. "
            "More makes everybody wait longer, and no more calls are answered.",
        ),
    ] = 160
    max_streams: Annotated[
        int, Field(ge=1, description="Streams open in a process; one more is refused at once.")
    ] = 256
    max_calls_per_connection: Annotated[
        int,
        Field(ge=1, description="Calls and streams of one connection; more wait in its client."),
    ] = 16
    client_calls: Annotated[
        int,
        Field(
            ge=0,
            description="Calls of one client address under way in a process; one more is "
            "RESOURCE_EXHAUSTED. 0: as many as max_calls. Too few keep out those who share an "
            "address; and behind a proxy that grpc_proxies and http_proxies do not name all "
            "clients are one.",
        ),
    ] = 80
    client_streams: Annotated[
        int, Field(ge=0, description="The same for streams; 0: as many as max_streams.")
    ] = 64
    client_connections: Annotated[
        int,
        Field(
            ge=0,
            description="HTTP connections of one address to a process; one more is closed at once. "
            "0: as many as http_connections, and always so behind http_proxies. Connections of "
            "gRPC are not counted by address.",
        ),
    ] = 512
    drain_seconds: Annotated[
        float, Field(ge=0, description="How long a stop waits for calls that are under way.")
    ] = 10.0
    same_province_minutes: Annotated[
        int, Field(ge=0, description="Two cities of a province within this time: a copied code.")
    ] = 30
    other_province_minutes: Annotated[
        int, Field(ge=0, description="Two provinces within this time: a copied code.")
    ] = 90
    max_devices: Annotated[
        int, Field(ge=1, le=15, description="More devices than this for one unit: a copied code.")
    ] = 5
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least level that is logged."),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], Field(description="json for machines, console for people.")
    ] = "json"

    @property
    def store_path(self) -> Path:
        """The embedded store's file."""
        return self.data_dir / "store.sqlite3"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was passed, then the environment, then the file."""
        named = os.environ.get(CONFIG_VARIABLE, "")
        if named and not Path(named).is_file():
            raise FileNotFoundError(f"{CONFIG_VARIABLE} names {named}, and there is no such file")
        file = Path(named or _DEFAULT_FILE)
        toml = TomlConfigSettingsSource(settings_cls, toml_file=file)
        return (init_settings, env_settings, toml)
