"""The page says the domain's words, and the site lets exactly its script and its style run."""

from __future__ import annotations

from scripts.evidence_page import made
from tracechain.web.headers import EVIDENCE_SCRIPT, EVIDENCE_STYLE, POLICY


def test_the_page_is_as_it_is_generated() -> None:
    assert [path.name for path, text in made().items() if path.read_text() != text] == []


def test_the_site_allows_nothing_inline_but_the_page() -> None:
    assert POLICY.count("sha256-") == 2
    assert f"script-src 'self' 'wasm-unsafe-eval' {EVIDENCE_SCRIPT};" in POLICY
    assert f"style-src 'self' {EVIDENCE_STYLE};" in POLICY
