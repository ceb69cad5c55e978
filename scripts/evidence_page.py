"""The page that verifies bundles: its words are the domain's, and the policy of the site lets
exactly its script and its style run.

    python scripts/evidence_page.py            write what changed
    python scripts/evidence_page.py --check    fail where something would change
"""

from __future__ import annotations

import base64
import json
import re
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from tracechain.domain.evidence import wording

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "src" / "tracechain" / "web" / "evidence.html"
HEADERS = ROOT / "src" / "tracechain" / "web" / "headers.py"
_WORDS = re.compile(r'(?<=<script type="application/json" id="words">).*?(?=</script>)', re.DOTALL)
_SCRIPT = re.compile(r'<script type="module">(.*?)</script>', re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def words() -> str:
    """What the page says, as JSON that cannot end its element."""
    value = {
        "accepted": asdict(wording.ACCEPTED),
        "refused": asdict(wording.REFUSED),
        "kinds": {kind.value: asdict(text) for kind, text in wording.KINDS.items()},
        "counts": {
            "entries": asdict(wording.ENTRIES),
            "sealed": asdict(wording.SEALED),
            "without_text": asdict(wording.WITHOUT_TEXT),
            "late": asdict(wording.LATE),
        },
        "no_body": asdict(wording.NO_BODY),
        "proved": [asdict(text) for text in wording.PROVED],
        "not_proved": [asdict(text) for text in wording.NOT_PROVED],
        "reasons": {reason: asdict(text) for reason, text in wording.REASONS.items()},
    }
    return json.dumps(value, ensure_ascii=False, indent=0).replace("<", "\\u003c")


def source(pattern: re.Pattern[str], page: str) -> str:
    """How a policy names what an inline element holds (CSP 3, section 2.3.1)."""
    found = pattern.search(page)
    assert found is not None
    digest = sha256(found[1].encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def made() -> dict[Path, str]:
    """The files as they have to be."""
    page = _WORDS.sub(lambda _: words(), PAGE.read_text())
    script, style = source(_SCRIPT, page), source(_STYLE, page)
    page = re.sub(r"script-src [^;]*;", f"script-src {script};", page, count=1)
    page = re.sub(r"style-src [^;]*;", f"style-src {style};", page, count=1)
    headers = HEADERS.read_text()
    headers = re.sub(r'EVIDENCE_SCRIPT = ".*"', f'EVIDENCE_SCRIPT = "{script}"', headers)
    headers = re.sub(r'EVIDENCE_STYLE = ".*"', f'EVIDENCE_STYLE = "{style}"', headers)
    return {PAGE: page, HEADERS: headers}


def main() -> int:
    stale = {path: text for path, text in made().items() if path.read_text() != text}
    for path, text in stale.items():
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is stale: run ./dev generate", file=sys.stderr)
        else:
            path.write_text(text)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
