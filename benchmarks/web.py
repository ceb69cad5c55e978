"""The page of a code, with its durable scan, against a handler that returns the same bytes.

Both are answered by the same process, through the same server, the same headers and the same way
in (`tracechain.web.app.Site`); the other one's bytes come from memory. Round after round, in one
run: the handler, codes that were never scanned, and the same codes by the same phones again.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

from benchmarks.http_load import Answers, drive
from benchmarks.load import quantile
from benchmarks.server import KEEP, KEPT
from benchmarks.stand import Stand, stand

CALLS = 4000
ROUNDS = 7
FLOOR = 0.5
_HEAD = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "User-Agent: Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: zh-CN,zh;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n{cookie}\r\n"
)


def measure(calls: int = CALLS, rounds: int = ROUNDS) -> dict[str, object]:
    """Ratios of pages a second, medians of the rounds, with what they rest on."""
    results: dict[str, list[Answers]] = defaultdict(list)
    with stand(http_listen="127.0.0.1:0") as made:
        paths = _paths(made, calls * (rounds + 1) + 1)
        # A page is kept before its twin is asked for.
        drive(made.http_port, [_request(KEEP + paths.pop())], server=made.pids, connections=1)
        for number in range(rounds + 1):
            part = paths[number * calls : (number + 1) * calls]
            phones = [f"Cookie: __Host-device={n:022}\r\n" for n in range(len(part))]
            asked = {
                "nothing": [_request(KEPT)] * calls,
                "first": [_request(path) for path in part],
                "again": [_request(*pair) for pair in zip(part, phones, strict=True)],
            }
            for name, requests in asked.items():
                taken = drive(made.http_port, requests, server=made.pids)
                _check(taken, name)
                if number:
                    results[name].append(taken)
    rates = {name: [one.rate for one in some] for name, some in results.items()}
    ratios = {
        name: [a / b for a, b in zip(rates[name], rates["nothing"], strict=True)]
        for name in ("first", "again")
    }
    return {
        "first_page_to_same_bytes": _median(ratios["first"]),
        "repeat_page_to_same_bytes": _median(ratios["again"]),
        "first_page_rounds": [round(value, 3) for value in ratios["first"]],
        "repeat_page_rounds": [round(value, 3) for value in ratios["again"]],
        "pages_per_second": {name: round(statistics.median(some)) for name, some in rates.items()},
        "page_bytes": len(results["first"][0].answers[0]),
        "p99_ms": {
            name: _median([quantile(one.latencies, 0.99) * 1000 for one in some], 2)
            for name, some in results.items()
        },
        "server_cpu_us_per_page": {
            name: round(statistics.median(one.server_cpu / len(one.answers) for one in some) * 1e6)
            for name, some in results.items()
        },
        "serving_process_cpu_us_per_page": {
            name: round(statistics.median(one.own_cpu / len(one.answers) for one in some) * 1e6)
            for name, some in results.items()
        },
        "generator_cpu_share": {
            name: _median([one.generator_cpu / one.seconds for one in some], 2)
            for name, some in results.items()
        },
        "client_saturated": any(one.client_saturated for some in results.values() for one in some),
        "floor": {"first_page_to_same_bytes": FLOOR, "repeat_page_to_same_bytes": FLOOR},
    }


def _paths(made: Stand, count: int) -> list[str]:
    codes = made.codes(made.batch("WEB", count).name, count)
    return [code[code.index("/01/") :] for code in codes]


def _request(path: str, cookie: str = "") -> bytes:
    return _HEAD.format(path=path, cookie=cookie).encode()


def _median(values: list[float], digits: int = 3) -> float:
    return round(statistics.median(values), digits)


def _check(taken: Answers, name: str) -> None:
    """A rate of wrong answers is no rate."""
    reason = b"SCANNED_BEFORE" if name == "again" else b"FIRST_SCAN"
    for answer in taken.answers:
        right = answer.startswith(b"HTTP/1.1 200 ") and b'data-outcome="genuine"' in answer
        if not right or b'data-reasons="' + reason not in answer:
            raise RuntimeError(f"{name}: a wrong answer: {answer[:2000]!r}")
