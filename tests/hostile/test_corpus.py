"""Every parser, fed with a saved corpus and with what hypothesis makes of it.

What once broke a parser, or looks as if it could, is a file in tests/data/corpus; a new find is
added there. A parser reads, or refuses in the way that it says; it never does anything else, and
never takes long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracechain.adapters.fact_codec import FactCodec
from tracechain.adapters.kek import kek_from_text
from tracechain.adapters.photos import clean
from tracechain.adapters.redis_url import parse as parse_redis_url
from tracechain.app.limits import client_of
from tracechain.domain.address import behind_proxies, network_of
from tracechain.domain.code import parse_code
from tracechain.domain.digital_link import parse_link
from tracechain.domain.epcis.jsonld import event_from_json, parse_document
from tracechain.domain.epcis.reader import read_json
from tracechain.domain.epcis.validate import checked
from tracechain.domain.errors import TracechainError
from tracechain.domain.identifiers import gln, gtin14, lot, parse_epc, serial, sscc, uscc
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.signing import SignCheckpoint
from tracechain.domain.log.witness import AddCheckpoint
from tracechain.domain.region import Region
from tracechain.rpc import names, paging
from tracechain.rpc.connect_form import Form
from tracechain.v1 import capture_pb2, issuance_pb2, verification_pb2
from tracechain.web.device import mark_in
from tracechain.web.guard import FormTokens
from tracechain.web.negotiation import language, media_type, weights

CORPUS = Path(__file__).parents[1] / "data" / "corpus"
SEEDS = {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir())}
RESOLVER = "id.tracechain.example"
TOKENS = FormTokens(bytes(32), lambda: 0)


def on_text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """A parser of texts, as bytes reach it from HTTP."""
    return lambda data: read(data.decode("latin-1"))


def document(data: bytes) -> None:
    for event in parse_document(data).events:
        checked(event)


def field(name: str) -> Callable[[bytes], Any]:
    return lambda data: FactCodec().decode(name, data)


def message(form: str, kind: Any) -> Callable[[bytes], Any]:
    return lambda data: Form(form, 1 << 20).read(data, kind)


# Each with what it may raise.
PARSERS: dict[str, tuple[Callable[[bytes], Any], tuple[type[Exception], ...]]] = {
    "code": (on_text(lambda text: parse_code(text, RESOLVER)), (TracechainError,)),
    "link path": (on_text(parse_link), (TracechainError,)),
    "link query": (
        on_text(lambda text: parse_link("/01/06901234567892/21/A", text)), (TracechainError,),
    ),
    "epc": (on_text(parse_epc), (TracechainError,)),
    "gtin": (on_text(gtin14), (TracechainError,)),
    "gln": (on_text(gln), (TracechainError,)),
    "sscc": (on_text(sscc), (TracechainError,)),
    "uscc": (on_text(uscc), (TracechainError,)),
    "lot": (on_text(lot), (TracechainError,)),
    "serial": (on_text(serial), (TracechainError,)),
    "region": (on_text(lambda text: Region.parse(text, "region")), (TracechainError,)),
    "json": (read_json, (TracechainError,)),
    "document": (document, (TracechainError,)),
    "event": (on_text(event_from_json), (TracechainError,)),
    "page token": (on_text(lambda text: paging.after("keys", text)), (TracechainError,)),
    "page number": (on_text(lambda text: paging.after_number("keys", text)), (TracechainError,)),
    "name of a party": (on_text(lambda text: names.read_party(text, "n")), (TracechainError,)),
    "name of a batch": (on_text(lambda text: names.read_batch(text, "n")), (TracechainError,)),
    "name of a recall": (on_text(lambda text: names.read_recall(text, "n")), (TracechainError,)),
    "name of a key": (on_text(lambda text: names.read_key(text, "n")), (TracechainError,)),
    "JSON of a scan": (message("json", verification_pb2.VerifyCodeRequest), (TracechainError,)),
    "JSON of events": (message("json", capture_pb2.CaptureEventsRequest), (TracechainError,)),
    "protobuf of events": (message("proto", capture_pb2.CaptureEventsRequest), (TracechainError,)),
    "protobuf of an order": (message("proto", issuance_pb2.IssueCodesRequest), (TracechainError,)),
    "facts from Redis": (field("batch"), (ValueError,)),
    "Redis URL": (on_text(parse_redis_url), (TracechainError,)),
    "key-encryption key": (on_text(kek_from_text), (TracechainError,)),
    "photograph": (clean, (TracechainError,)),
    "request to a witness": (AddCheckpoint.parse, (TracechainError,)),
    "request to a signer": (SignCheckpoint.parse, (TracechainError,)),
    "log policy": (Policy.parse, (TracechainError,)),
    "cookie": (mark_in, ()),
    "form token": (on_text(lambda text: TOKENS.check(text, "d", "s")), (TracechainError,)),
    "accept": (on_text(lambda text: media_type(text, ("text/html", "application/json"))), ()),
    "accept-language": (on_text(language), ()),
    "weights": (on_text(weights), ()),
    "address": (on_text(client_of), ()),
    "network": (on_text(network_of), ()),
    "forwarded": (on_text(lambda text: behind_proxies(text, "::1", 2)), ()),
}  # fmt: skip


def fed(name: str, data: bytes) -> None:
    """A parser reads, or refuses as it may."""
    read, refusals = PARSERS[name]
    began = time.process_time()
    with suppress(*refusals):
        read(data)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", PARSERS)
def test_the_corpus_is_read_or_refused(name: str) -> None:
    for data in SEEDS.values():
        fed(name, data)


@st.composite
def made_of_the_corpus(draw: st.DrawFn) -> bytes:
    """A seed with parts cut out, doubled, changed, or put into another seed."""
    data = bytearray(draw(st.sampled_from(list(SEEDS.values()))))
    for _ in range(draw(st.integers(1, 4))):
        at, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        other = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=8),
                st.sampled_from(list(SEEDS.values())),
                st.sampled_from([b"\0", b"%00", b"\xff", b'"', b"{", b"[", b"//", b"9" * 400]),
            )
        )
        data[at : draw(st.sampled_from([at, end]))] = other
    return bytes(data[: 1 << 16])


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=made_of_the_corpus())
def test_whatever_is_made_of_the_corpus_is_read_or_refused(name: str, data: bytes) -> None:
    fed(name, data)
