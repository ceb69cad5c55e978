"""The pages as a browser without scripts uses them: links, forms, one cookie."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.service import RESOLVER, World

_TAGS = re.compile(r"<(script|style|svg).*?</\1>|<[^>]+>", re.S)


def path_of(code: str) -> str:
    """Where the answer about a code is on this site."""
    return code.removeprefix(f"https://{RESOLVER}")


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    return " ".join(html.unescape(_TAGS.sub(" ", page.text)).split())


def attribute(page: httpx.Response, name: str) -> str:
    """The value of the first attribute or hidden field of this name."""
    found = re.search(rf'(?:{name}="|name="{name}" value=")([^"]*)"', page.text)
    assert found, f"no {name} in {page.text}"
    return html.unescape(found[1])


@dataclass
class Phone:
    """A browser with a cookie of its own. httpx keeps none that is Secure over plain HTTP, as
    browsers do on loopback, so that is done here."""

    client: httpx.AsyncClient
    device: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return self._kept(await self.client.get(path, headers={**self._cookie(), **headers}))

    async def post(
        self, path: str, fields: dict[str, Any], photo: bytes | None = None, **headers: str
    ) -> httpx.Response:
        """A form, sent as a browser sends it."""
        files = {"photo": ("a.jpg", photo, "image/jpeg")} if photo is not None else None
        given = {"origin": str(self.client.base_url), "sec-fetch-site": "same-origin"}
        return await self.client.post(
            path, data=fields, files=files, headers={**self._cookie(), **given, **headers}
        )

    def _cookie(self) -> dict[str, str]:
        return {"cookie": f"__Host-device={self.device}"} if self.device else {}

    def _kept(self, page: httpx.Response) -> httpx.Response:
        found = re.match(r"__Host-device=([^;]+);", page.headers.get("set-cookie", ""))
        if found:
            self.device = found[1]
        return page


def phone(world: World, lang: str = "zh-CN") -> Phone:
    """A phone that was never here before; its connections end with the loop."""
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    return Phone(
        httpx.AsyncClient(
            base_url=world.http,
            headers={"accept": accept, "accept-language": lang},
            timeout=20,
            # There is no TLS here, and loading what it would need takes longer than a page.
            verify=False,
        )
    )
