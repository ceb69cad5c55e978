"""Every table that a store has, once for all backends: its columns, their kinds, its key.

What is exported and imported, checked and distributed is what stands here; a test holds both
backends' schemas against it. A column that were missing here would be lost on the way from one
backend to the other, so a migration that adds one adds it here.
"""

from __future__ import annotations

from tracechain.app.archive import Column, Kind, Table

_KINDS = {"i": Kind.INTEGER, "t": Kind.TEXT, "b": Kind.BYTES}


def _table(name: str, key: str, columns: str, *, of_goods: bool = True) -> Table:
    """`columns` are name:kind, with ? behind the kind where there may be none."""
    made = (column.partition(":") for column in columns.split())
    return Table(
        name,
        tuple(Column(n, _KINDS[kind[0]], kind.endswith("?")) for n, _, kind in made),
        tuple(key.split()),
        of_goods,
    )


# In the order in which they are exported, imported and distributed.
TABLES = (
    _table(
        "party",
        "gln",
        "gln:t region:t body:t",
        of_goods=False,
    ),
    _table(
        "credential",
        "credential_id",
        "credential_id:t party_gln:t body:t revoke_time:i? expire_time:i? last_use_time:i?",
        of_goods=False,
    ),
    _table(
        "issuer_key",
        "key_id",
        "key_id:i issuer_gln:t algorithm:t public_key:b wrapped_secret:b request_id:t "
        "create_time:i revoke_time:i? revoke_reason:t change_time:i activate_time:i? "
        "retire_time:i? judge_earlier:i revoke_record_time:i? "
        "certificate:b",
        of_goods=False,
    ),
    _table(
        "service_secret",
        "name",
        "name:t wrapped_secret:b public_part:b create_time:i",
        of_goods=False,
    ),
    _table(
        "approval",
        "approval_id",
        "approval_id:t issuer_gln:t body:t state:t decider_gln:t decider_credential:t "
        "decide_time:i?",
        of_goods=False,
    ),
    _table(
        "product",
        "gtin",
        "gtin:t issuer_gln:t body:t issuer_region:t",
        of_goods=False,
    ),
    _table(
        "counter",
        "name",
        "name:t value:i",
        of_goods=False,
    ),
    _table(
        "batch",
        "batch_key",
        "batch_key:i gtin:t lot:t production_date:t expiration_date:t plant_gln:t "
        "authorized_quantity:i activation_required:i issued_quantity:i create_time:i "
        "issuer_gln:t issuer_region:t",
    ),
    _table(
        "product_lot",
        "batch_key lot",
        "batch_key:i lot:t batch_number:i",
    ),
    _table(
        "quantity_raise",
        "batch_key request_id",
        "batch_key:i request_id:t quantity:i decider:t reason:t create_time:i issuer_gln:t",
    ),
    _table(
        "allocation",
        "batch_key request_id",
        "batch_key:i request_id:t first_index:i count:i profile:t key_id:i create_time:i "
        "issuer_gln:t",
    ),
    _table(
        "refused_order",
        "batch_key create_time request_id",
        "batch_key:i create_time:i request_id:t count:i issuer_gln:t",
    ),
    _table(
        "recall",
        "batch_key recall_id",
        "batch_key:i recall_id:t create_time:i body:t lift_time:i? lift_reason:t issuer_gln:t "
        "issuer_region:t",
    ),
    _table(
        "event",
        "batch_key event_id declaration event_time",
        "batch_key:i event_id:b declaration:b event_time:i record_time:i recorder:t body:t",
    ),
    _table(
        "touch",
        "batch_key level first event_time event_id declaration role beyond parent_key",
        "batch_key:i level:i first:i event_time:i event_id:b declaration:b role:t beyond:i "
        "is_class:i record_time:i type:t action:t step:t disposition:t recorder:t source:t "
        "destination:t read_point:t biz_location:t parent_key:i parent_unit:i parent_uri:t "
        "clears:i",
    ),
    _table(
        "document",
        "batch_key document_id",
        "batch_key:i document_id:t recorder:t header:t entries:t create_time:i",
    ),
    _table(
        "scan",
        "batch_key unit time scan_id",
        "batch_key:i unit:i time:i scan_id:i device:i region:t",
    ),
    _table(
        "unit_scan",
        "batch_key unit",
        "batch_key:i unit:i first_time:i first_device:i first_region:t first_id:i last_time:i "
        "last_device:i last_region:t last_id:i count:i devices:t suspicion:i",
    ),
    _table(
        "claim",
        "batch_key unit",
        "batch_key:i unit:i device:b time:i",
    ),
    _table(
        "claim_try",
        "batch_key unit device",
        "batch_key:i unit:i device:b window_start:i count:i",
    ),
    _table(
        "link_set",
        "batch_key",
        "batch_key:i change_time:i body:t",
    ),
    _table(
        "report",
        "batch_key report_id",
        "batch_key:i report_id:t region:t create_time:i body:t photo:b?",
    ),
    _table(
        "audit",
        "batch_key time record_id",
        "batch_key:i time:i record_id:b party_gln:t role:t credential_id:t method:t objects:t "
        "request_id:t origin:b outcome:t old_values:t new_values:t calls:i",
    ),
    _table(
        "log_pending",
        "batch_key time fact_id",
        "batch_key:i time:i fact_id:b kind:t keys:t body:t",
    ),
    _table(
        "log_state",
        "batch_key",
        "batch_key:i size:i root:b fence:i holder:t until:i checkpoint_size:i checkpoint:b",
    ),
    _table(
        "log_leaf",
        "batch_key leaf_index",
        "batch_key:i leaf_index:i entry:b salt:b body:t",
    ),
    _table(
        "log_tile",
        "batch_key level tile_index",
        "batch_key:i level:i tile_index:i hashes:b",
    ),
    _table(
        "log_link",
        "batch_key number",
        "batch_key:i number:i leaf_index:i",
    ),
    _table(
        "log_chain",
        "batch_key",
        "batch_key:i salt:b length:i last:i",
    ),
)
BY_NAME = {table.name: table for table in TABLES}
# What an empty store has nevertheless: the counters, at zero, and whose turn it is to clean up.
COUNTER = BY_NAME["counter"]
COUNTED = " WHERE value <> 0 AND name <> 'retention'"
