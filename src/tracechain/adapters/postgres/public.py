"""Link sets, reports and the list of recalls in PostgreSQL: the PublicStore port."""

from __future__ import annotations

from tracechain.adapters import records
from tracechain.adapters.postgres.session import Session
from tracechain.adapters.postgres.statements import statement
from tracechain.domain.link_set import LinkSet
from tracechain.domain.recall import Recall
from tracechain.domain.report import Report

PUT_LINKS = statement(
    "PUT_LINKS",
    "INSERT INTO link_set (batch_key, change_time, body) VALUES ($1, $2, $3) "
    "ON CONFLICT (batch_key) DO UPDATE "
    "SET change_time = excluded.change_time, body = excluded.body "
    "WHERE link_set.change_time < excluded.change_time",
)
GET_LINKS = statement("GET_LINKS", "SELECT body, change_time FROM link_set WHERE batch_key = $1")
PUT_REPORT = statement(
    "PUT_REPORT",
    "INSERT INTO report (batch_key, report_id, region, create_time, body, photo) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
)
GET_REPORT = statement(
    "GET_REPORT", "SELECT body, photo FROM report WHERE batch_key = $1 AND report_id = $2"
)
ERASE_REPORT = statement(
    "ERASE_REPORT",
    "UPDATE report SET body = $3, photo = NULL WHERE batch_key = $1 AND report_id = $2",
)
# Photographs stay where they are.
LIST_REPORTS = statement(
    "LIST_REPORTS",
    "SELECT body, photo IS NOT NULL FROM report WHERE batch_key = $1 "
    "AND starts_with(region, $2) AND report_id < $3 ORDER BY report_id DESC LIMIT $4",
)
# Read beside all calls, every few seconds: it asks every shard, and recalls are few.
LIST_LATEST_RECALLS = statement(
    "LIST_LATEST_RECALLS",
    "SELECT body, lift_time, lift_reason FROM recall ORDER BY create_time DESC, recall_id LIMIT $1",
    maintenance=True,
)
# Behind every hexadecimal digit.
_LAST = "g"


class PublicPart:
    """See tracechain.app.ports.PublicStore."""

    _session: Session

    async def put_links(self, batch_key: int, links: LinkSet) -> LinkSet:
        await self._session.fetch(
            PUT_LINKS, batch_key, links.change_time, records.link_set_to_json(links)
        )
        return await self.get_links(batch_key) or links

    async def get_links(self, batch_key: int) -> LinkSet | None:
        row = await self._session.row(GET_LINKS, batch_key)
        return records.link_set_from_json(row[0], row[1]) if row else None

    async def put_report(self, batch_key: int, report: Report, photo: bytes | None) -> Report:
        await self._session.fetch(
            PUT_REPORT,
            batch_key,
            report.report_id,
            report.region,
            report.create_time,
            records.report_to_json(report),
            photo,
        )
        kept = await self.get_report(batch_key, report.report_id)
        return kept[0] if kept else report

    async def get_report(
        self, batch_key: int, report_id: str
    ) -> tuple[Report, bytes | None] | None:
        row = await self._session.row(GET_REPORT, batch_key, report_id)
        return (records.report_from_json(row[0], row[1] is not None), row[1]) if row else None

    async def list_reports(
        self, batch_key: int, region: str, before: str, limit: int
    ) -> list[Report]:
        rows = await self._session.fetch(LIST_REPORTS, batch_key, region, before or _LAST, limit)
        return [records.report_from_json(row[0], row[1]) for row in rows]

    async def erase_report(self, batch_key: int, report: Report) -> Report:
        body = records.report_to_json(report)
        await self._session.fetch(ERASE_REPORT, batch_key, report.report_id, body)
        return report

    async def list_latest_recalls(self, limit: int) -> list[Recall]:
        rows = await self._session.fetch(LIST_LATEST_RECALLS, limit)
        return [records.recall_from_json(*row) for row in rows]
