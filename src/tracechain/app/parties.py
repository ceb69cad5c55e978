"""Registering parties (主体)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracechain.app.ports import Clock, Directory
from tracechain.app.visibility import Visibility
from tracechain.domain.errors import AlreadyExists
from tracechain.domain.party import Party, Principal, Role
from tracechain.domain.region import Region


class Parties:
    """Use cases on parties."""

    def __init__(self, directory: Directory, visibility: Visibility, clock: Clock) -> None:
        self._directory = directory
        self._visibility = visibility
        self._clock = clock

    async def register(self, party: Party) -> Party:
        """Keeps a party; the same content again gives the same party.

        Raises InvalidArgument naming the field, AlreadyExists PARTY_EXISTS for other content
        under the same GLN.
        """
        wanted = replace(party.checked(), create_time=self._clock())
        kept = await self._directory.put_party(wanted)
        if replace(kept, create_time=0) != replace(wanted, create_time=0):
            raise AlreadyExists("PARTY_EXISTS", f"party {kept.gln} is registered otherwise")
        return kept

    async def get(self, principal: Principal, gln: str) -> Party:
        """One party. Raises NotFound where there is none that the caller may see."""
        return await self._visibility.party(principal, gln)

    async def list(self, principal: Principal, after: str, limit: int) -> Sequence[Party]:
        """Parties behind GLN `after` that the caller may see, in the order of their GLN."""
        if principal.role is Role.OPERATOR:
            return await self._directory.list_parties(after, limit, "")
        if principal.role is Role.INSPECTOR:
            prefix = Region(principal.region).prefix
            return await self._directory.list_parties(after, limit, prefix)
        own = await self._directory.get_party(principal.party_gln)
        return [own] if own is not None and own.gln > after else []
