"""Headers that every answer carries, whatever it is: also a 400 of the parser and a 500.

The policy allows nothing but what this service serves itself. Were a template to let a script
through, the browser would still not run it.
"""

from __future__ import annotations

# The one page that is whole in one file (evidence.html), so that it verifies from a disk as well:
# exactly its script and its style run, by their hashes. scripts/evidence_page.py writes them.
EVIDENCE_SCRIPT = "'sha256-4l4hLVG8gCwR/+ZANnrLx3GCpJeGaDhLmT/7lINMYDI='"
EVIDENCE_STYLE = "'sha256-l059z/5XCKbcZSQ+I/GklNMereq4QEz2DjT6xYFY8ig='"

POLICY = "; ".join(
    (
        "default-src 'none'",
        # The QR reader of /scan is WebAssembly.
        f"script-src 'self' 'wasm-unsafe-eval' {EVIDENCE_SCRIPT}",
        f"style-src 'self' {EVIDENCE_STYLE}",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        # No text becomes markup or a script's address, but for the worker's in pwa.js.
        "require-trusted-types-for 'script'",
        "trusted-types tracechain",
    )
)

SECURITY: tuple[tuple[str, str], ...] = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    # A code is a secret of who holds the product: no other site learns it from a link. (With
    # no-referrer our own forms would come without their origin.)
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(self), geolocation=(), microphone=(), payment=(), usb=()"),
    ("x-frame-options", "DENY"),
)
# Where there is TLS: a browser that was here once comes by nothing else for a year (RFC 6797).
STRICT = ("strict-transport-security", "max-age=31536000")

# A personal answer is kept by nobody: no cache on the way, and not the browser's.
NO_STORE = (b"cache-control", b"no-store")
