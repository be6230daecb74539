"""The routes of the page. Each reads its request, asks the service, and answers; the guard stands before them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from distil.errors import InvalidInput, RunError
from distil.labeling.events import check_name
from distil.labeling.server.desk import Given
from distil.labeling.server.guard import Guard, Refused, body_of, json_response, number_in, only, refusal
from distil.labeling.server.previews import SIZES
from distil.labeling.server.service import PREFETCH, Progress, Service

PAGE: Final = Path(__file__).parents[1] / "page"
"""The folder of the page's files."""
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_STATES: Final = ("open", "answered", "flagged", "tied", "mine")
_MOST: Final = 500  # items or events in one request or answer
_SHOWN: Final = 60  # items that the map asks for at once
_LASTING: Final = 90 * 24 * 3600  # seconds for which a browser keeps a session
_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{8,80}")

_NO_SESSION: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>distil label</title><h1>This address has no session</h1>"
    "<p>An address with a token opens the page once. Take the one that <code>distil label</code> printed, start it again to get "
    "another, or ask a person who has the page open: “add a person” makes a new address.</p></html>"
)
_AGAIN: Final = (  # a cookie that is SameSite=Strict is not sent along when a link on another site led here
    '<!doctype html><html lang=en><meta charset=utf-8><title>distil label</title><meta http-equiv=refresh content="0; url=/">'
    "<p><a href=/>Go to the page</a></p></html>"
)

Answer = Callable[[Request, str], Awaitable[Response]]


def make_app(service: Service, address: str, port: int) -> ASGIApp:
    """The application that a server runs.

    Args:
        service: The project that is labeled.
        address: The address that the server listens on.
        port: Its port.
    """
    routes = _Routes(service, port)
    app = Starlette(
        routes=routes.all(),
        lifespan=lambda _: service.running(),
        exception_handlers={
            Refused: lambda _, error: refusal(error),
            InvalidInput: lambda _, error: refusal(Refused(400, str(error))),
            RunError: lambda _, error: refusal(Refused(507, str(error))),
            HTTPException: lambda _, error: refusal(Refused(error.status_code, error.detail)),
        },
    )
    return Guard(app, address, port)


class _Routes:
    """What is answered at which address."""

    def __init__(self, service: Service, port: int) -> None:
        self._service, self._desk = service, service.desk
        self._cookie = f"distil_{port}"
        self._progress = Progress(service.project)
        self._files = {path.name: path.read_bytes() for path in PAGE.glob("*") if path.suffix in _TYPES}

    def all(self) -> list[Route]:
        """The routes."""
        gets: dict[str, Answer] = {
            "/api/project": self._project,
            "/api/search": self._search,
            "/api/history": self._history,
            "/api/progress": self._numbers,
            "/api/map": self._map,
            "/api/items": self._items,
            "/api/text": self._text,
            "/api/stream": self._stream,
            "/item/{place}": self._image,
        }
        posts: dict[str, Answer] = {
            "/api/events": self._events,
            "/api/take": self._take,
            "/api/grid": self._grid,
            "/api/bulk": self._bulk,
            "/api/links": self._links,
        }
        return [
            Route("/", self._start),
            Route("/static/{name}", self._static),
            *(Route(path, self._with_session(answer)) for path, answer in gets.items()),
            *(Route(path, self._with_session(answer), methods=["POST"]) for path, answer in posts.items()),
        ]

    def _with_session(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """A route for people who have a session."""

        async def endpoint(request: Request) -> Response:
            who = self._service.sessions.who(request.cookies.get(self._cookie))
            if who is None:
                raise Refused(401, "there is no session; open a new address from distil label")
            return await answer(request, who)

        return endpoint

    # ------------------------------------------------------------------------------------------------------------- files

    async def _start(self, request: Request) -> Response:
        """The page; or a session, for an address with a token."""
        token = request.query_params.get("token")
        session = None if token is None else await asyncio.to_thread(self._service.sessions.open, token)
        before = self._service.sessions.who(request.cookies.get(self._cookie))
        crossed = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if crossed and (session or token is None):
            answer = Response(_AGAIN, media_type="text/html")
        elif session is not None or (token is not None and before is not None):
            answer = RedirectResponse("/", 303)
        elif before is None:
            return Response(_NO_SESSION, 401, media_type="text/html")
        else:
            return self._file("index.html")
        if session is not None:
            answer.set_cookie(self._cookie, session, max_age=_LASTING, httponly=True, samesite="strict")
        return answer

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        content = self._files.get(name)
        if content is None:
            raise Refused(404, "the page has no file of this name")
        return Response(content, media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": "no-cache"})

    async def _image(self, request: Request, who: str) -> Response:  # noqa: ARG002 - any person sees all items
        only(request.query_params, "size", "v")
        place, size = request.path_params["place"], request.query_params.get("size", "1024")
        number = number_in(place if len(place) < 10 else "", "place", -1, 10**9)
        if size not in SIZES or number >= len(self._desk.items):
            raise Refused(404, f"there is no such image; sizes are {', '.join(SIZES)}")
        item = self._desk.items[number]
        if item.kind != "images":
            raise Refused(404, "the item is no image")
        try:
            content, kind = await self._service.image(item, size)
        except InvalidInput as error:
            raise Refused(404, str(error)) from error
        same = request.query_params.get("v") == item.digest
        kept = "private, max-age=31536000, immutable" if same else "no-store"
        return Response(content, media_type=kind, headers={"Cache-Control": kept})

    # ----------------------------------------------------------------------------------------------------------- reading

    async def _project(self, request: Request, who: str) -> Response:
        only(request.query_params)
        return json_response(await self._service.at_desk(self._about, who))

    def _about(self, who: str) -> dict[str, Any]:
        service, desk = self._service, self._desk
        kinds = {item.kind for item in desk.items}
        return {
            "id": service.project.id,
            "name": service.project.path.name,
            "who": who,
            "copies": service.project.copies,
            "items": len(desk.items),
            "kind": "mixed" if len(kinds) > 1 else next(iter(kinds), "texts"),
            "classes": desk.classes(),
            "model": service.model.document(),
            "progress": desk.small(who),
            "settings": {"withhold": desk.withhold, "prefetch": PREFETCH},
            "people": sorted({*desk.people(), *service.sessions.people}),
        }

    async def _search(self, request: Request, who: str) -> Response:
        query = request.query_params
        only(query, "q", "guess", "label", "state", "n")
        state = query.get("state") or None
        if state not in (None, *_STATES):
            raise Refused(400, f"`state` must be one of {', '.join(_STATES)}")
        n = number_in(query.get("n"), "n", 60, _MOST)
        found = await asyncio.to_thread(
            lambda: list(
                self._desk.search(
                    who, query.get("q", ""), query.get("guess") or None, query.get("label") or None, state
                )
            )
        )
        given = await self._given(found[:n], who)
        items = await self._service.listed(given, query.get("q", ""))
        return json_response({"items": items, "found": len(found)})

    async def _given(self, places: list[int], who: str) -> list[Given]:
        return await self._service.at_desk(lambda: [self._desk.given(place, who) for place in places])

    async def _history(self, request: Request, who: str) -> Response:
        query = request.query_params
        only(query, "n", "before", "after", "elsewhere", "item")
        item = query.get("item")
        latest = await asyncio.to_thread(
            self._service.reader.history,
            who=who if item is None else None,
            item=item,
            before=number_in(query.get("before"), "before", 2**62, 2**62),
            after=number_in(query.get("after"), "after", 0, 2**62),
            elsewhere=query.get("elsewhere"),
            n=number_in(query.get("n"), "n", 100, _MOST),
        )
        places = [self._desk.places.get(each.event.item or "") for each, _ in latest]
        given = await self._given([place for place in places if place is not None], who)
        items = {
            each.item.id: document for each, document in zip(given, await self._service.listed(given), strict=True)
        }
        events = [
            {
                "seq": each.seq,
                "key": each.event.key,
                "at": each.at,
                "who": each.event.who,
                "kind": each.event.kind,
                "label": each.event.label,
                "item": items.get(each.event.item or ""),
                "undone": undone,
                "target": each.event.target,
            }
            for each, undone in latest
        ]
        return json_response({"events": events})

    async def _numbers(self, request: Request, who: str) -> Response:
        only(request.query_params)
        numbers = await asyncio.to_thread(self._progress.document)
        return json_response({**numbers, "suspects": await self._service.suspects(who)})

    async def _map(self, request: Request, who: str) -> Response:  # noqa: ARG002
        only(request.query_params)
        found = self._service.map
        if found is None:
            return Response(status_code=204)
        content = await asyncio.to_thread(self._desk.map, found)
        return Response(content, media_type="application/octet-stream")

    async def _items(self, request: Request, who: str) -> Response:
        """Items by their places, without a lease: what the map shows under the pointer."""
        only(request.query_params, "places")
        listed = request.query_params.get("places", "").split(",")
        if len(listed) > _SHOWN:
            raise Refused(400, f"`places` must be at most {_SHOWN} numbers")
        places = [number_in(place, "places", 0, 2**62) for place in listed]
        given = await self._given([place for place in places if place < len(self._desk.items)], who)
        return json_response({"items": await self._service.listed(given)})

    async def _text(self, request: Request, who: str) -> Response:  # noqa: ARG002 - any person sees all items
        """The whole text of an item."""
        only(request.query_params, "place")
        place = number_in(request.query_params.get("place"), "place", len(self._desk.items), 2**62)
        text = self._desk.items[place].text if place < len(self._desk.items) else None
        if text is None:
            raise Refused(404, "there is no such text")
        return json_response({"text": text})

    async def _stream(self, request: Request, who: str) -> Response:
        only(request.query_params)
        return StreamingResponse(self._service.stream(who), media_type="text/event-stream")

    # ---------------------------------------------------------------------------------------------------------- changing

    async def _events(self, request: Request, who: str) -> Response:
        body = await body_of(request, "tab", "events", "want", "have")
        tab, have = check_name("the name of a page", body.text("tab")), body.texts("have", _MOST)
        events, want = body.objects("events", _MOST), body.whole("want", _MOST)
        return json_response(await self._service.record(who, tab, events, want, have))

    async def _take(self, request: Request, who: str) -> Response:
        body = await body_of(request, "tab", "ids")
        tab, ids = check_name("the name of a page", body.text("tab")), body.texts("ids", _MOST)
        given, taken = await self._service.at_desk(self._desk.take, who, tab, ids)
        return json_response({"items": await self._service.documents(given), "taken": taken})

    async def _grid(self, request: Request, who: str) -> Response:
        body = await body_of(request, "tab", "n", "label", "have")
        tab, have = check_name("the name of a page", body.text("tab")), body.texts("have", _MOST)
        n, label = body.whole("n", _MOST), body.optional_text("label")
        found, given = await self._service.at_desk(self._desk.grid, who, tab, n, label, have)
        return json_response({"label": found, "items": await self._service.listed(given)})

    async def _bulk(self, request: Request, who: str) -> Response:
        body = await body_of(request, "key", "tab", "places", "do", "label", "of")
        tab, key, what = check_name("the name of a page", body.text("tab")), body.text("key"), body.text("do")
        places = body.wholes("places", 5000, len(self._desk.items) - 1)
        of = body.text("of") if what in ("undo", "redo") else key
        if not (_KEY.fullmatch(key) and _KEY.fullmatch(of)):
            raise Refused(
                400, "`key` must be 8 to 80 letters, digits, dots, colons, dashes or underscores, and so must `of`"
            )
        if what == "queue":
            done, skipped = await self._service.at_desk(self._desk.queue, places)
        elif what == "label":
            done, skipped = await self._service.at_desk(self._desk.label_all, who, tab, key, places, body.text("label"))
        elif what in ("undo", "redo"):
            done, skipped = await self._service.at_desk(self._desk.turn_all, who, key, places, what, of)
        else:
            raise Refused(400, "`do` must be queue, label, undo or redo")
        self._service.recorded()
        return json_response({"done": done, "skipped": skipped})

    async def _links(self, request: Request, who: str) -> Response:  # noqa: ARG002
        body = await body_of(request, "who")
        name = check_name("the name of a person", body.text("who"))
        token = await asyncio.to_thread(self._service.sessions.link, name)
        return json_response({"url": f"http://{request.headers['host']}/?token={token}"})
