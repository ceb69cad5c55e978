"""Pages from templates: compiled once, escaped always, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from tracechain.domain.region import Language
from tracechain.web.negotiation import language, named
from tracechain.web.static import Static


class Pages:
    """Renders templates. `static` says where their files lie."""

    def __init__(self, static: Static, resolver: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("tracechain.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(static=static.url, resolver=resolver)

    def render(self, name: str, lang: str, values: Mapping[str, object]) -> str:
        """The text of a page."""
        return self._environment.get_template(name).render(lang=lang, **values)

    def answer(
        self,
        request: Request,
        template: str,
        /,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        lang: Language | None = None,
        **values: object,
    ) -> Response:
        """A page that is nobody's to keep, unless `headers` say otherwise; in the language that
        the request asks for, or in `lang`."""
        lang = lang or language_of(request)
        text = self.render(template, lang, {"here": _here(request.url.query), **values})
        return Response(
            text,
            status,
            {
                "cache-control": "no-store",
                "content-language": lang,
                "vary": "Accept, Accept-Language",
                **(headers or {}),
            },
            "text/html; charset=utf-8",
        )


def _here(query: str) -> str:
    """The address of a page up to where its language can be put. It has no path: that of a request
    may begin as the address of another site does (`//`)."""
    kept = [part for part in query.split("&") if part and not part.startswith("lang=")]
    return "?" + "".join(f"{part}&" for part in kept)


def language_of(request: Request) -> Language:
    """The language of an answer: what `lang` asks for, else what the browser would rather have."""
    asked = request.query_params.get("lang", "")
    return named(asked) or language(request.headers.get("accept-language", ""))
