"""The scripts' own judgements, each against the domain's: spelling, signature, address."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import Browser, Page

from tests.support.service import RESOLVER, World
from tests.web.browser.conftest import ROOT, Surfer, module
from tracechain.domain.code import (
    Algorithm,
    CodeKey,
    MalformedCode,
    Profile,
    VerifyingKey,
    format_code,
    parse_code,
)
from tracechain.domain.keys import generate

GTIN = "06901234000016"
VENDORED = ROOT / "src" / "tracechain" / "web" / "static" / "vendor"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare(chromium: Browser, world: World) -> AsyncIterator[Page]:
    """A page of the site on which modules are called by hand."""
    async with Surfer(chromium, world).page() as page:
        await page.goto("/offline")
        yield page


def made(algorithm: Algorithm) -> CodeKey:
    _, secret = generate(algorithm)
    return CodeKey(7, algorithm, secret[32:], secret[:32])


def issued(key: CodeKey, profile: Profile = Profile.SIGNED) -> str:
    ((serial, token),) = key.issue(GTIN, 5, 3, 1, profile)
    return format_code(RESOLVER, GTIN, serial, token)


def jwk(key: VerifyingKey) -> dict[str, Any]:
    public = key.public_key
    if isinstance(public, ec.EllipticCurvePublicKey):
        numbers = public.public_numbers()
        x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        return {"kty": "EC", "crv": "P-256", "x": _b64(x), "y": _b64(y)}
    return {"kty": "OKP", "crv": "Ed25519", "x": _b64(public.public_bytes_raw())}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def called(page: Page, name: str, body: str, argument: object) -> Any:
    """What a function of a module answers; `body` has it as `m`, and
    `given`, and RESOLVER."""
    body = body.replace("RESOLVER", repr(RESOLVER))
    script = f"async ([url, given]) => {{ const m = await import(url); {body} }}"
    return await page.evaluate(script, [await module(page, name), argument])


def spoiled(code: str) -> list[str]:
    """A code in spellings that are none, and in some that are."""
    token = code[-90:]
    return [
        code,
        code.replace("https://", "http://"),
        code.replace("https://", "HTTPS://"),
        code.replace(RESOLVER, f"{RESOLVER}."),
        code.replace(RESOLVER, "other.example"),
        code.replace("/01/0", "/01/1"),
        code.replace("/21/", "/21/ "),
        code.replace("/21/", "/10/"),
        code[:-1] + "B",
        code[:-1],
        code + "A",
        code + "&lang=en",
        code + "#",
        code + "\n",
        code.replace(token, "=" * 90),
        code.replace(token, "A" * 16),
        code.replace(token, "/" * 16),
        code.replace(token, "I" + token[1:]),
        code.replace(token, "E0" + token[2:]),
        code.replace(token, "AA" + token[2:]),
        code.replace(GTIN, GTIN[:-1] + "7"),
        code.replace(GTIN, "6901234000016"),
        code.replace(GTIN, "٠٦٩٠١٢٣٤٠٠٠٠١٦"),
        code.replace("/21/", "/21/O")[:-1],
        "",
        "6901234567892",
        "javascript:alert(1)",
    ]


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_code_has_the_same_spelling_here_and_in_the_browser(
    bare: Page, algorithm: Algorithm
) -> None:
    texts = [*spoiled(issued(made(algorithm))), issued(made(algorithm), Profile.COMPACT)]
    expected: list[Any] = []
    for text in texts:
        try:
            code = parse_code(text, RESOLVER)
        except MalformedCode:
            expected.append(None)
        else:
            expected.append([code.gtin, code.serial, code.key_id, code.algorithm is None])
    assert sum(one is not None for one in expected) >= 3
    body = """return given.map((text) => m.readCode(text, RESOLVER)).map(
        (c) => c && [c.gtin, c.serial, c.keyId, c.algorithm === null]);"""
    assert await called(bare, "code.js", body, texts) == expected


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_signature_is_right_here_and_in_the_browser(
    bare: Page, algorithm: Algorithm
) -> None:
    key = made(algorithm)
    code = issued(key)
    raw = base64.urlsafe_b64decode(code[-90:] + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    high = (order - int.from_bytes(raw[35:])) % 2**256
    flipped = bytes((raw[66] ^ 1,))
    tokens = {
        "as issued": raw,
        "a flipped bit": raw[:66] + flipped,
        "the high s": raw[:35] + high.to_bytes(32),
        "r of zero": raw[:3] + bytes(32) + raw[35:],
        "s of zero": raw[:35] + bytes(32),
        "the other algorithm": bytes((raw[0] ^ 3,)) + raw[1:],
    }
    texts = [code[:-90] + _b64(token) for token in tokens.values()]
    other = code.replace(parse_code(code, RESOLVER).serial, "0" * 13)
    texts.append(other)
    expected = [key.verifying_key.verify(parse_code(text, RESOLVER)) for text in texts]
    assert expected == [True] + [False] * (len(texts) - 1)
    body = """const key = { algorithm: given.algorithm, jwk: given.jwk };
        return Promise.all(given.texts.map(
          (text) => m.isSignedBy(m.readCode(text, RESOLVER), key)));"""
    name = "ES256" if algorithm is Algorithm.ES256 else "Ed25519"
    given = {"texts": texts, "algorithm": name, "jwk": jwk(key.verifying_key)}
    assert await called(bare, "code.js", body, given) == expected
    # Another key of the same kind signed nothing of this.
    given["jwk"] = jwk(made(algorithm).verifying_key)
    assert await called(bare, "code.js", body, given) == [False] * len(texts)


async def test_what_is_judged_without_a_signature(bare: Page) -> None:
    key = made(Algorithm.ES256)
    code, compact = issued(key), issued(key, Profile.COMPACT)
    good = {"algorithm": "ES256", "jwk": jwk(key.verifying_key), "revoked": None}
    cases = [
        (code, good, "AUTHENTIC"),
        (code, {**good, "revoked": 1_767_571_200}, "KEY_REVOKED"),
        (code, None, "UNKNOWN_KEY"),
        (code, {**good, "jwk": {**good["jwk"], "x": "AAAA"}}, "UNSUPPORTED"),
        (code[:-3] + "AAA", {**good, "revoked": 1_767_571_200}, "FALSE"),
        (compact, good, "NOT_SIGNED"),
        ("https://other.example/", good, "MALFORMED"),
    ]
    body = """const { readCode } = await import(new URL("code.js", new URL(url, origin)));
        return Promise.all(given.map(([text, key]) =>
          m.judge(readCode(text, RESOLVER), { get: (id) => (id === 7 && key) || undefined })));"""
    found = await called(bare, "check.js", body, [case[:2] for case in cases])
    assert found == [case[2] for case in cases]


ADDRESSES = [
    (f"https://{RESOLVER}/01/x", "OURS"),
    (f"HTTPS://{RESOLVER.upper()}/01/x", "OURS"),
    (f" https://{RESOLVER}/01/x\n", "OURS"),
    (f"http://{RESOLVER}/01/x", "INSECURE"),
    (f"https://{RESOLVER}:8443/01/x", "INSECURE"),
    (f"https://{RESOLVER}@evil.example/01/x", "USERINFO"),
    (f"https://{RESOLVER}%2F01@evil.example/", "USERINFO"),
    (f"https://someone:secret@{RESOLVER}/01/x", "USERINFO"),
    (f"https://{RESOLVER}.evil.example/01/x", "SUBDOMAIN"),
    (f"https://evil.{RESOLVER}/01/x", "SUBDOMAIN"),
    ("https://id-tracechain-example.cn/", "SUBDOMAIN"),
    ("https://idtracechain.example/", "SUBDOMAIN"),
    ("https://www.tracechain.cn/", "SUBDOMAIN"),
    ("https://tracechain-check.shop/", "SUBDOMAIN"),
    ("https://id.trаcechain.example/", "HOMOGLYPH"),
    ("https://id.xn--trcechain-1yh.example/", "HOMOGLYPH"),
    ("https://id.tracecha1n.example/", "HOMOGLYPH"),
    ("https://id.tracechaln.example/", "HOMOGLYPH"),
    ("https://ïd.tracechain.example/", "HOMOGLYPH"),
    ("https://id.tracechаin.evil.cn/", "HOMOGLYPH"),
    ("https://id.tracechian.example/", "TYPO"),
    ("https://id.tracechain.exampel/", "TYPO"),
    ("https://www.tracechan.cn/", "TYPO"),
    ("https://www.shop.example/01/06901234000016", "FOREIGN"),
    (f"https://shop.example/?to={RESOLVER}", "FOREIGN"),
    ("https://127.0.0.1/01/x", "FOREIGN"),
    ("https://[::1]/01/x", "FOREIGN"),
    ("https://münchen.example/", "FOREIGN"),
    ("https://xn--999999999999999999/", "FOREIGN"),
    ("https://", "FOREIGN"),
    ("6901234567892", "NONE"),
    ("javascript:alert(1)", "NONE"),
    ("data:text/html,x", "NONE"),
    ("weixin://dl/scan", "NONE"),
    ("", "NONE"),
]


async def test_only_the_pinned_host_is_ours_and_what_resembles_it_is_told(bare: Page) -> None:
    body = "return given.map((text) => m.judgeAddress(text, RESOLVER).kind);"
    found = await called(bare, "address.js", body, [text for text, _ in ADDRESSES])
    assert list(zip([text for text, _ in ADDRESSES], found, strict=True)) == ADDRESSES


async def test_a_host_is_shown_as_the_browser_would_ask_for_it(bare: Page) -> None:
    text = "https://id.trаcechain.example:444/x"
    body = "return m.judgeAddress(given, RESOLVER).host;"
    assert await called(bare, "address.js", body, text) == "id.xn--trcechain-1yh.example:444"
    # RFC 3492 section 7.1, (B) and (L), and a label that decodes to nothing.
    hosts = ["xn--ihqwcrb4cv8a8dqg056pqjye.cn", "xn--3B-ww4c5e180e575a65lsy2b.cn", "xn--!.cn"]
    shown = await called(bare, "punycode.js", "return given.map(m.decodeHost);", hosts)
    assert shown == ["他们为什么不说中文.cn", "3年B組金八先生.cn", "xn--!.cn"]


async def test_there_are_words_for_everything_in_both_languages(bare: Page) -> None:
    body = """const at = (name) => import(new URL(name, new URL(url, origin)));
        const { STATUS } = await at("check.js");
        const { ADDRESS } = await at("address.js");
        return ["zh", "en"].flatMap((lang) => {
          const words = m.wordsIn(lang);
          return [
            ...Object.keys(STATUS).map((status) => words.checked(status)),
            ...Object.keys(ADDRESS).filter((kind) => kind !== "OURS")
              .map((kind) => words.warning(kind, "them", "us")),
            ...[0, 59, 119, 120, 2880].map((minutes) => words.age(minutes * 60000)),
          ];
        });"""
    said = await called(bare, "words.js", body, None)
    assert len(said) == len(set(said)) == 2 * (8 + 7 + 5)
    assert not any("undefined" in one or "{" in one for one in said)


def test_the_vendored_reader_is_as_it_was_published() -> None:
    lines = (VENDORED / "VENDORED.txt").read_text(encoding="utf-8").splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines if len(line.split("  ")[0]) == 64)  # type: ignore[arg-type, misc]
    files = {
        path.relative_to(VENDORED).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.rglob("*")
        if path.is_file() and path.name != "VENDORED.txt"
    }
    assert files == sums
