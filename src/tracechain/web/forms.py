"""The two forms: claiming a unit by its PIN, and reporting a suspicious product.

A form is acted on once its origin, its token and the limits were looked at; its body is read no
further than is taken, and no longer than it may last.
"""

from __future__ import annotations

import asyncio
import hashlib

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from tracechain.app.claiming import Claiming
from tracechain.app.limits import Limits
from tracechain.app.reporting import NewReport, Reporting
from tracechain.domain.claim import ClaimStatus
from tracechain.domain.code import MalformedCode, parse_code
from tracechain.domain.errors import InvalidArgument, TracechainError, Unavailable
from tracechain.domain.region import Language, divisions
from tracechain.domain.report import MAX_TEXT, ReportKind
from tracechain.domain.wording import claim_words
from tracechain.web.device import cookie, device_of, fresh
from tracechain.web.error_words import explain
from tracechain.web.guard import FormTokens, client_in, require_own_site
from tracechain.web.negotiation import named
from tracechain.web.pages import Pages, language_of
from tracechain.web.scan_page import moment, said
from tracechain.web.unit import with_query

MAX_PHOTO = 8 * 1024 * 1024
_MAX_FIELDS = 12
_MAX_FIELD = 8 * 1024
_MAX_CLAIM = 16 * 1024
_MAX_REPORT = MAX_PHOTO + 64 * 1024
_MAX_THROWN_AWAY = 4 * MAX_PHOTO
_MAX_CODE = 2048
# What a person has filled in, and is given back where something is wrong with it.
_FIELDS = ("region", "kind", "text")
# A phone with a bad connection sends 8 MiB in this time.
_SECONDS = 120.0
_TONES = {
    ClaimStatus.CLAIMED: "good",
    ClaimStatus.CLAIMED_BY_YOU: "good",
    ClaimStatus.CLAIMED_BEFORE: "bad",
    ClaimStatus.NOT_ISSUED: "bad",
}


class Forms:
    """Answers the forms, and shows that of a report."""

    def __init__(
        self,
        pages: Pages,
        claiming: Claiming,
        reporting: Reporting,
        tokens: FormTokens,
        limits: Limits,
        resolver: str,
        proxies: int,
    ) -> None:
        self._pages = pages
        self._claiming = claiming
        self._reporting = reporting
        self._tokens = tokens
        self._limits = limits
        self._resolver = resolver
        self._proxies = proxies

    async def claim(self, request: Request) -> Response:
        """What became of a PIN. Raises PermissionDenied, ResourceExhausted, InvalidArgument,
        Unavailable."""
        require_own_site(request)
        async with _form(request, _MAX_CLAIM) as form:
            code, pin = _text(form, "code", _MAX_CODE), _text(form, "pin", 64)
            device = device_of(request.scope)
            self._tokens.check(_text(form, "token", 64), device, code)
            await self._limits.pin(client_in(request.scope, self._proxies), code)
            claim = await self._claiming.claim(code, pin, device)
            lang = _language(request, form)
        return self._pages.answer(
            request,
            "claim.html",
            lang=lang,
            tone=_TONES.get(claim.status, "warn"),
            status_word=claim.status,
            message=said(claim_words(claim.status), lang),
            when=moment(claim.claim_time, lang),
            tries_left=claim.tries_left if claim.status is ClaimStatus.WRONG_PIN else None,
            back=self._page_of(code, lang),
        )

    async def report(self, request: Request) -> Response:
        """The form, or what became of it. Raises as `claim` does, and NotFound never: a code that
        is none of ours can be reported as well."""
        if request.method in ("GET", "HEAD"):
            code = request.query_params.get("code", "")[:_MAX_CODE]
            return self._form_page(request, code, dict.fromkeys(_FIELDS, ""), None)
        require_own_site(request)
        async with _form(request, _MAX_REPORT) as form:
            code = _text(form, "code", _MAX_CODE, required=False)
            device = device_of(request.scope)
            made = self._tokens.check(_text(form, "token", 64), device, "report")
            self._limits.report(client_in(request.scope, self._proxies), code)
            try:
                await self._reporting.report(await self._given(form, code, device, made))
            except InvalidArgument as error:
                given = {name: str(form.get(name, ""))[:MAX_TEXT] for name in _FIELDS}
                return self._form_page(request, code, given, error, _language(request, form))
            lang = _language(request, form)
        return self._pages.answer(
            request, "reported.html", lang=lang, back=self._page_of(code, lang)
        )

    async def _given(self, form: FormData, code: str, device: str, made: int) -> NewReport:
        photo = form.get("photo")
        data = await photo.read() if isinstance(photo, UploadFile) else b""
        if len(data) > MAX_PHOTO:
            raise InvalidArgument.of("photo", "BODY_TOO_LARGE", f"at most {MAX_PHOTO} bytes")
        kind = _text(form, "kind", 40)
        if kind not in {member.value for member in ReportKind}:
            raise InvalidArgument.of("kind", "INVALID_ENUM_VALUE", "is no kind of report")
        region, text = _text(form, "region", 6), _text(form, "text", MAX_TEXT * 2, required=False)
        seal = hashlib.sha256(data).hexdigest()
        return NewReport(
            region,
            ReportKind(kind),
            text,
            code,
            self._gtin(code),
            data,
            # The same form sent twice is one report.
            "\0".join((device, str(made), region, kind, text, code, seal)),
            made * 1_000_000,
        )

    def _form_page(
        self,
        request: Request,
        code: str,
        given: dict[str, str],
        error: TracechainError | None,
        lang: Language | None = None,
    ) -> Response:
        lang = lang or language_of(request)
        known = device_of(request.scope)
        device = known or fresh()
        answer = self._pages.answer(
            request,
            "report.html",
            status=400 if error else 200,
            lang=lang,
            code=code,
            given=given,
            error=error,
            message=explain(error, lang) if error else "",
            field=error.violations[0].field if isinstance(error, InvalidArgument) else "",
            token=self._tokens.make(device, "report"),
            kinds=list(ReportKind),
            divisions=divisions(lang),
            max_text=MAX_TEXT,
        )
        if not known:
            answer.raw_headers.append(cookie(device))
        return answer

    def _gtin(self, code: str) -> str:
        try:
            return parse_code(code, self._resolver).gtin
        except MalformedCode:
            return ""

    def _page_of(self, code: str, lang: Language) -> str:
        """The way back, on this site alone, in the language that was chosen."""
        page = code.removeprefix(f"https://{self._resolver}") if self._gtin(code) else "/scan"
        return f"{with_query(page)}lang={lang}"


class _form:  # reads as a call
    """The form in a body of at most so many bytes, closed at the end.

    Raises InvalidArgument UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE, INVALID_FORM; Unavailable
    where it does not come to its end in time.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self._form: FormData | None = None

    async def __aenter__(self) -> FormData:
        kind = self._request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
            raise InvalidArgument.of(
                "content-type", "UNSUPPORTED_MEDIA_TYPE", "a form is sent as a browser sends it"
            )
        length = self._request.headers.get("content-length", "0")
        if length.isdigit() and int(length[:18]) > self._limit:
            # What is sent all the same is thrown away as it comes: a browser that is cut off
            # shows nothing of an answer.
            raise _too_large(self._limit, ends=int(length[:18]) > _MAX_THROWN_AWAY)
        bounded = Request(self._request.scope, _bounded(self._request.receive, self._limit))
        try:
            async with asyncio.timeout(_SECONDS):
                self._form = await bounded.form(
                    max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD
                )
        except TimeoutError:
            raise Unavailable("BODY_TOO_SLOW", "the form did not come in time") from None
        except InvalidArgument:
            raise
        except (MultiPartException, ValueError, LookupError) as error:
            raise InvalidArgument.of("", "INVALID_FORM", "cannot be read as a form") from error
        return self._form

    async def __aexit__(self, *_: object) -> None:
        if self._form is not None:
            await self._form.close()


def _bounded(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise _too_large(limit, ends=True)
        return message

    return bounded


def _too_large(limit: int, *, ends: bool) -> InvalidArgument:
    error = InvalidArgument.of("", "BODY_TOO_LARGE", f"a form has at most {limit} bytes")
    if ends:
        error.metadata = {"connection": "close"}
    return error


def _text(form: FormData, name: str, limit: int, *, required: bool = True) -> str:
    value = form.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise InvalidArgument.of(name, "MISSING_FIELD", "is required")
    if len(value) > limit:
        raise InvalidArgument.of(name, "TEXT_TOO_LONG", f"at most {limit} characters are taken")
    return value


def _language(request: Request, form: FormData) -> Language:
    return named(str(form.get("lang", ""))) or language_of(request)
