"""How soon a consumer sees the answer: the scan page in a slow phone's browser.

A phone is Chromium with its processor slowed four times, and a network shaped as Lighthouse's
"slow 4G" and Chromium's "slow 3G" are. Each visit is a first one: nothing cached, a unit that
nobody scanned. There is no TLS here, which costs a visit one more round trip (two by TLS 1.2).
The network is emulated by the browser, so this says what the page costs, not what a carrier does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser, CDPSession, sync_playwright

from benchmarks.stand import stand
from scripts.chromium import find_or_install

PROCESSOR = 4
# Download and upload in bits a second, and the round trip in milliseconds.
NETWORKS = {"slow_4g": (1_638_400, 768_000, 150), "slow_3g": (400_000, 400_000, 400)}
_PHONE = {"width": 360, "height": 740}
_SEEN = """() => {
  const [first] = performance.getEntriesByName("first-contentful-paint");
  return { first_paint_ms: first.startTime, checked_ms: performance.now() };
}"""


def measure(visits: int = 7, networks: Sequence[str] = tuple(NETWORKS)) -> dict[str, object]:
    """Medians over `visits` by each network: when the answer is painted, when the browser has
    checked the signature itself, how many bytes came in how many answers."""
    with stand(http_listen="127.0.0.1:0", resolver="id.tracechain.example") as made:
        batch = made.batch("PAGE", len(networks) * visits)
        codes = iter(made.codes(batch.name, len(networks) * visits))
        origin = f"http://127.0.0.1:{made.http_port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=find_or_install(), chromium_sandbox=False
            )
            found: dict[str, object] = {"processor_slowed": PROCESSOR, "visits": visits}
            for name in networks:
                seen = [_visit(browser, _address(origin, next(codes)), NETWORKS[name])
                        for _ in range(visits)]  # fmt: skip
                found[name] = {
                    what: round(statistics.median(one[what] for one in seen)) for what in seen[0]
                }
            browser.close()
    return found


def _address(origin: str, code: str) -> str:
    return origin + code[code.index("/01/") :]


def _visit(browser: Browser, address: str, network: tuple[int, int, int]) -> dict[str, float]:
    context = browser.new_context(
        viewport=_PHONE,  # type: ignore[arg-type]
        locale="zh-CN",
        service_workers="block",
    )
    page = context.new_page()
    session = context.new_cdp_session(page)
    came: list[int] = []
    _shape(session, network)
    session.on("Network.loadingFinished", lambda answer: came.append(answer["encodedDataLength"]))
    page.goto(address)
    page.wait_for_selector("#browser-check[data-status=AUTHENTIC]")
    seen: dict[str, float] = page.evaluate(_SEEN)
    context.close()
    return {**seen, "bytes": sum(came), "answers": len(came)}


def _shape(session: CDPSession, network: tuple[int, int, int]) -> None:
    down, up, latency = network
    session.send("Emulation.setCPUThrottlingRate", {"rate": PROCESSOR})
    session.send("Network.enable")
    conditions: dict[str, Any] = {
        "offline": False,
        "latency": latency,
        "downloadThroughput": down / 8,
        "uploadThroughput": up / 8,
    }
    session.send("Network.emulateNetworkConditions", conditions)
