"""Keys of registered batches and of everything else never meet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.batch_key import WHOLE_BATCH, derived, is_registered
from tracechain.domain.code import MAX_BATCH_NUMBER

identifiers = st.text(st.characters(exclude_categories=["Cs"]))


def test_the_keys_of_stored_goods_never_move() -> None:
    """They are in every row: another way to derive them would lose what is stored."""
    assert derived("urn:epc:id:sscc:6901234.0000000071") == KEY
    assert WHOLE_BATCH == 1 << 32


KEY = 6_515_396_526_085_459_716


@given(identifiers)
def test_a_derived_key_fits_a_signed_column_and_is_no_batch(identifier: str) -> None:
    key = derived(identifier)
    assert 1 << 62 <= key < 1 << 63
    assert not is_registered(key)
    assert key == derived(identifier)


def test_registered_keys_are_batch_numbers() -> None:
    assert [is_registered(n) for n in (-1, 0, 1, MAX_BATCH_NUMBER, MAX_BATCH_NUMBER + 1)] == [
        False, False, True, True, False,
    ]  # fmt: skip


def test_other_identifiers_have_other_keys() -> None:
    names = [f"urn:epc:id:sscc:6901234.{n:010}" for n in range(20_000)]
    assert len({derived(name) for name in names}) == len(names)
