"""Messages as JSON and as protobuf: whatever bytes come, there is a message or a reason."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from connectrpc.errors import ConnectError
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.errors import InvalidArgument
from tracechain.rpc.connect_form import Form, Raw
from tracechain.v1 import capture_pb2, errors_pb2, issuance_pb2, verification_pb2

JSON, PROTO = Form("json", 1 << 20), Form("proto", 1 << 20)
KINDS: list[type[Message]] = [
    verification_pb2.BatchVerifyCodesRequest,
    issuance_pb2.CreateBatchRequest,
    capture_pb2.CaptureEventsRequest,
]
REASONS = set(errors_pb2.ErrorReason.keys())
# Names that the messages have, so that values come to lie where they are looked at.
NAMES = [
    "requests", "code", "context", "deviceId", "region", "requestId", "parent", "batch", "lot",
    "authorizedQuantity", "authorized_quantity", "activationRequired", "createTime", "events",
    "type", "quantityList", "quantity", "extensions", "sensorElementList", "sensorReport", "value",
    "codeRanges", "@type", "[a.b]", "",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["NaN", "Infinity", "1e999", "-1", " 1", "9" * 400, "EVENT_TYPE_OBJECT", "=", "\ud800",
         "2026-01-05T08:00:00Z", "9999-99-99T99:99:99Z", "0000-01-01T00:00:00+99:99"]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.sampled_from([2**53, -(2**63)])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    ),
    max_leaves=12,
)


def read(form: Form, data: bytes, kind: type[Message]) -> Message | None:
    """The message; None where it is refused, which has to be told well."""
    told: InvalidArgument
    try:
        return form.read(data, kind)
    except InvalidArgument as error:
        told = error
    assert f"ERROR_REASON_{told.reason}" in REASONS
    assert told.violations[0].field
    assert 0 < len(told.message) < 500
    for word in ("Traceback", "object at 0x", "<class"):
        assert word not in told.message
    return None


@given(st.binary(max_size=200), st.sampled_from(KINDS), st.sampled_from([JSON, PROTO]))
def test_any_bytes_are_a_message_or_refused(data: bytes, kind: type[Message], form: Form) -> None:
    read(form, data, kind)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4), st.sampled_from(KINDS))
def test_any_json_is_a_message_or_refused(value: Any, kind: type[Message]) -> None:
    message = read(JSON, json.dumps(value).encode(), kind)
    if message is not None:
        written = asyncio.run(JSON.write(message))
        again = JSON.read(written, kind)
        assert again.SerializeToString(deterministic=True) == message.SerializeToString(
            deterministic=True
        )


def test_both_spellings_of_a_name_are_taken_and_one_is_written() -> None:
    kind = issuance_pb2.Batch
    for name in ("authorizedQuantity", "authorized_quantity"):
        for value in (7, "7", 7.0):
            found = JSON.read(json.dumps({name: value}).encode(), kind)
            assert found == kind(authorized_quantity=7)
    written = asyncio.run(JSON.write(kind(authorized_quantity=7, lot="批")))
    assert json.loads(written) == {"authorizedQuantity": "7", "lot": "批"}
    assert "批".encode() in written


@pytest.mark.parametrize("data", [b"", b" \n"])
def test_nothing_is_an_empty_message(data: bytes) -> None:
    assert JSON.read(data, issuance_pb2.Batch) == issuance_pb2.Batch()


def test_the_path_of_a_wrong_value_is_that_of_the_protos() -> None:
    wrong = {"batch": {"authorizedQuantity": "x"}}
    with pytest.raises(InvalidArgument) as error:
        JSON.read(json.dumps(wrong).encode(), issuance_pb2.CreateBatchRequest)
    (violation,) = error.value.violations
    assert (violation.field, violation.reason) == (
        "batch.authorized_quantity", "INVALID_FIELD_TYPE",
    )  # fmt: skip


@pytest.mark.parametrize("form", ["json", "proto"])
def test_an_answer_beyond_the_limit_is_not_sent(form: str) -> None:
    answer = issuance_pb2.Batch(lot="x" * 100)
    size = answer.ByteSize()
    assert asyncio.run(Form(form, size).write(answer))
    with pytest.raises(ConnectError) as error:
        asyncio.run(Form(form, size - 1).write(answer))
    assert "MESSAGE_TOO_LARGE" in str(error.value.details[0].value())


def test_large_messages_are_read_and_written_beside_the_loop() -> None:
    threads = []

    class Watched(Form):
        def read(self, data: bytes, kind: type[Message]) -> Message:
            threads.append(threading.current_thread())
            return super().read(data, kind)

    form = Watched("json", 1 << 20)
    small, large = ({"code": "x" * size} for size in (10, 100_000))
    for value in (small, large):
        data = json.dumps(value).encode()
        message = asyncio.run(Raw(form, data).read(verification_pb2.VerifyCodeRequest))
        assert json.loads(asyncio.run(form.write(message))) == value
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
