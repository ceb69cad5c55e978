"""Link sets, reports and the list of recalls in SQLite: the PublicStore port."""

from __future__ import annotations

import sqlite3

from tracechain.adapters import records
from tracechain.adapters.sqlite.session import Session
from tracechain.domain.link_set import LinkSet
from tracechain.domain.recall import Recall
from tracechain.domain.report import Report

_GET_LINKS = "SELECT body, change_time FROM link_set WHERE batch_key = ?"


class PublicPart:
    """See tracechain.app.ports.PublicStore."""

    _writer: Session
    _reader: Session

    async def put_links(self, batch_key: int, links: LinkSet) -> LinkSet:
        def work(connection: sqlite3.Connection) -> LinkSet:
            connection.execute(
                "INSERT INTO link_set (batch_key, change_time, body) VALUES (?, ?, ?) "
                "ON CONFLICT (batch_key) DO UPDATE "
                "SET change_time = excluded.change_time, body = excluded.body "
                "WHERE link_set.change_time < excluded.change_time",
                (batch_key, links.change_time, records.link_set_to_json(links)),
            )
            row = connection.execute(_GET_LINKS, (batch_key,)).fetchone()
            return records.link_set_from_json(*row)

        return await self._writer.write(work)

    async def get_links(self, batch_key: int) -> LinkSet | None:
        row = await self._reader.read(lambda c: c.execute(_GET_LINKS, (batch_key,)).fetchone())
        return records.link_set_from_json(*row) if row else None

    async def put_report(self, batch_key: int, report: Report, photo: bytes | None) -> Report:
        def work(connection: sqlite3.Connection) -> Report:
            connection.execute(
                "INSERT INTO report (batch_key, report_id, region, create_time, body, photo) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    batch_key,
                    report.report_id,
                    report.region,
                    report.create_time,
                    records.report_to_json(report),
                    photo,
                ),
            )
            row = connection.execute(
                "SELECT body, photo IS NOT NULL FROM report WHERE batch_key = ? AND report_id = ?",
                (batch_key, report.report_id),
            ).fetchone()
            return records.report_from_json(row[0], bool(row[1]))

        return await self._writer.write(work)

    async def get_report(
        self, batch_key: int, report_id: str
    ) -> tuple[Report, bytes | None] | None:
        row = await self._reader.read(
            lambda c: c.execute(
                "SELECT body, photo FROM report WHERE batch_key = ? AND report_id = ?",
                (batch_key, report_id),
            ).fetchone()
        )
        return (records.report_from_json(row[0], row[1] is not None), row[1]) if row else None

    async def list_reports(
        self, batch_key: int, region: str, before: str, limit: int
    ) -> list[Report]:
        rows = await self._reader.read(
            lambda c: c.execute(
                "SELECT body, photo IS NOT NULL FROM report WHERE batch_key = ? "
                "AND substr(region, 1, ?) = ? AND (? = '' OR report_id < ?) "
                "ORDER BY report_id DESC LIMIT ?",
                (batch_key, len(region), region, before, before, limit),
            ).fetchall()
        )
        return [records.report_from_json(row[0], bool(row[1])) for row in rows]

    async def erase_report(self, batch_key: int, report: Report) -> Report:
        def work(connection: sqlite3.Connection) -> Report:
            connection.execute(
                "UPDATE report SET body = ?, photo = NULL WHERE batch_key = ? AND report_id = ?",
                (records.report_to_json(report), batch_key, report.report_id),
            )
            return report

        return await self._writer.write(work)

    async def list_latest_recalls(self, limit: int) -> list[Recall]:
        rows = await self._reader.read(
            lambda c: c.execute(
                "SELECT body, lift_time, lift_reason FROM recall "
                "ORDER BY create_time DESC, recall_id LIMIT ?",
                (limit,),
            ).fetchall()
        )
        return [records.recall_from_json(*row) for row in rows]
