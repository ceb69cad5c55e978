"""AdminService: parties, credentials and keys."""

from __future__ import annotations

from typing import Any

from tracechain.app.credentials import Credentials
from tracechain.app.keyring import Keyring
from tracechain.app.parties import Parties
from tracechain.domain.certificate import public_key_of
from tracechain.domain.party import Principal, Role
from tracechain.rpc import convert, names, paging, scopes
from tracechain.v1 import admin_pb2, annotations_pb2, party_pb2


class AdminServicer:
    """See protos/tracechain/v1/admin.proto."""

    service = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]

    def __init__(self, parties: Parties, credentials: Credentials, keyring: Keyring) -> None:
        self._parties = parties
        self._credentials = credentials
        self._keyring = keyring

    async def CreateParty(
        self, request: admin_pb2.CreatePartyRequest, principal: Principal
    ) -> party_pb2.Party:
        return convert.party(await self._parties.register(convert.read_party(request.party)))

    async def GetParty(
        self, request: admin_pb2.GetPartyRequest, principal: Principal
    ) -> party_pb2.Party:
        gln = names.read_party(request.name, "name")
        return convert.party(await self._parties.get(principal, gln))

    async def ListParties(
        self, request: admin_pb2.ListPartiesRequest, principal: Principal
    ) -> admin_pb2.ListPartiesResponse:
        size = paging.size(request.page_size)
        after = paging.after("parties", request.page_token)
        found = await self._parties.list(principal, after, size)
        more = paging.token("parties", found[-1].gln) if len(found) == size else ""
        return admin_pb2.ListPartiesResponse(
            parties=[convert.party(party) for party in found], next_page_token=more
        )

    async def CreateCredential(
        self, request: admin_pb2.CreateCredentialRequest, principal: Principal
    ) -> admin_pb2.CreateCredentialResponse:
        role, narrowed = _wanted(request.credential)
        credential, api_key = await self._credentials.create(
            names.read_party(request.parent, "parent"),
            role,
            request.credential.region,
            request.credential.label,
            request.request_id,
            **narrowed,
        )
        return admin_pb2.CreateCredentialResponse(
            credential=convert.credential(credential), api_key=api_key
        )

    async def RegisterCertificate(
        self, request: admin_pb2.RegisterCertificateRequest, principal: Principal
    ) -> party_pb2.Credential:
        role, narrowed = _wanted(request.credential)
        return convert.credential(
            await self._credentials.register(
                names.read_party(request.parent, "parent"),
                role,
                request.credential.region,
                request.credential.label,
                public_key_of(request.certificate, "certificate"),
                **narrowed,
            )
        )

    async def RotateCredential(
        self, request: admin_pb2.RotateCredentialRequest, principal: Principal
    ) -> admin_pb2.CreateCredentialResponse:
        gln, credential_id = names.read_credential(request.name, "name")
        credential, api_key = await self._credentials.rotate(
            gln,
            credential_id,
            request.overlap_seconds,
            request.request_id,
            expire_time=_expiry(request, "expire_time"),
        )
        return admin_pb2.CreateCredentialResponse(
            credential=convert.credential(credential), api_key=api_key
        )

    async def ListCredentials(
        self, request: admin_pb2.ListCredentialsRequest, principal: Principal
    ) -> admin_pb2.ListCredentialsResponse:
        found = await self._credentials.list_of(names.read_party(request.parent, "parent"))
        return admin_pb2.ListCredentialsResponse(
            credentials=[convert.credential(credential) for credential in found]
        )

    async def RevokeCredential(
        self, request: admin_pb2.RevokeCredentialRequest, principal: Principal
    ) -> party_pb2.Credential:
        gln, credential_id = names.read_credential(request.name, "name")
        return convert.credential(await self._credentials.revoke(gln, credential_id))

    async def CreateIssuerKey(
        self, request: admin_pb2.CreateIssuerKeyRequest, principal: Principal
    ) -> party_pb2.IssuerKey:
        return convert.key(
            await self._keyring.create(
                principal,
                names.read_party(request.parent, "parent"),
                convert.read_algorithm(request.algorithm),
                request.request_id,
            )
        )

    async def ListIssuerKeys(
        self, request: admin_pb2.ListIssuerKeysRequest, principal: Principal
    ) -> admin_pb2.ListIssuerKeysResponse:
        gln = names.read_party(request.parent, "parent")
        found = await self._keyring.list_of(principal, gln)
        return admin_pb2.ListIssuerKeysResponse(keys=[convert.key(key) for key in found])

    async def RevokeIssuerKey(
        self, request: admin_pb2.RevokeIssuerKeyRequest, principal: Principal
    ) -> party_pb2.IssuerKey:
        gln, key_id = names.read_key(request.name, "name")
        time = None
        if request.HasField("revoke_time"):
            time = convert.read_timestamp(request.revoke_time, "revoke_time")
        return convert.key(await self._keyring.revoke(principal, gln, key_id, time, request.reason))


def _wanted(message: party_pb2.Credential) -> tuple[Role, dict[str, Any]]:
    """The role, and what narrows it."""
    role = convert.member(Role, annotations_pb2.Role, message.role, "credential.role")
    return role, {
        "scopes": scopes.checked(message.scopes, role, "credential.scopes"),
        "expire_time": _expiry(message, "credential.expire_time"),
    }


def _expiry(message: Any, field: str) -> int | None:
    if not message.HasField("expire_time"):
        return None
    return convert.read_timestamp(message.expire_time, field)
