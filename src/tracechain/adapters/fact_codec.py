"""Facts as bytes, for caches outside the process: JSON, read strictly."""

from __future__ import annotations

import json

from tracechain.adapters import records
from tracechain.domain.code import Profile
from tracechain.domain.product import Batch, IssuedRun
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import BatchFacts


class FactCodec:
    """BatchFacts to bytes and back."""

    def encode(self, value: object) -> bytes:
        """The value as bytes. Raises TypeError for what are no facts."""
        if isinstance(value, BatchFacts):
            b = value.batch
            data: object = {
                "batch": [
                    b.gtin, b.lot, b.production_date, b.expiration_date, b.plant_gln,
                    b.authorized_quantity, b.activation_required, b.issued_quantity,
                    b.batch_number, b.create_time,
                ],
                "product": records.product_to_json(value.product),
                "issuer": [value.issuer_name.zh, value.issuer_name.en],
                "runs": [
                    [r.first_index, r.end_index, r.profile.value, r.key_id] for r in value.runs
                ],
                "recalls": [records.recall_to_json(r) for r in value.recalls],
            }  # fmt: skip
        else:
            raise TypeError(f"no facts: {type(value).__name__}")
        return records.dumps(data).encode()

    def decode(self, field: str, data: bytes) -> object:
        """The facts that `encode` wrote. Raises ValueError for anything else."""
        try:
            read = json.loads(data)
            return BatchFacts(
                Batch(*read["batch"]),
                records.product_from_json(read["product"]),
                LocalizedText(*read["issuer"]),
                tuple(IssuedRun(a, b, Profile(p), k) for a, b, p, k in read["runs"]),
                tuple(records.recall_from_json(text, None, "") for text in read["recalls"]),
            )
        except (KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"no facts: {field}") from error
