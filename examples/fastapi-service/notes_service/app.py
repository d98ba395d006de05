"""The service: notebooks and notes of tenants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from . import events
from .control import ControlPlane, ControlPlaneAway
from .settings import Settings
from .tenants import DatabaseBusy, NoSuchTenant, NotServed, Tenants
from .tokens import BadToken, Tokens
from .usage import Usage

CALL = "api.request"
"""The type of the usage events: one for each request that was answered."""


@dataclass(frozen=True)
class Parts:
    """What requests share."""

    settings: Settings
    control: ControlPlane
    tokens: Tokens
    tenants: Tenants
    usage: Usage
    listener: events.Listener | None


@dataclass(frozen=True)
class Visitor:
    """On whose behalf a request comes."""

    tenant_id: str
    name: str


class NewNotebook(BaseModel):
    name: str = Field(min_length=1, max_length=200)


class Notebook(BaseModel):
    id: UUID
    name: str
    created_at: datetime


class NewNote(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(default="", max_length=100_000)


class Note(BaseModel):
    id: UUID
    title: str
    body: str
    created_at: datetime


def _parts(request: Request) -> Parts:
    return request.app.state.parts


SharedParts = Annotated[Parts, Depends(_parts)]


async def visitor(request: Request, parts: SharedParts) -> Visitor:
    """Who comes: a member with an access token, or a program with an API key."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise HTTPException(401, "send an access token or an API key", {"www-authenticate": "Bearer"})
    # A token is three parts with dots between them; keys have no dots.
    if credential.count(".") == 2:
        try:
            person = await parts.tokens.check(credential)
        except BadToken:
            raise HTTPException(401, "the token does not count", {"www-authenticate": "Bearer"}) from None
        return Visitor(person.tenant_id, person.user_id)
    scope = "data:read" if request.method in ("GET", "HEAD") else "data:write"
    verdict = await parts.control.verify(credential, [scope])
    if verdict.valid and verdict.tenant_id and verdict.key_id:
        return Visitor(verdict.tenant_id, verdict.key_id)
    match verdict.code:
        case "RATE_LIMITED" | "QUOTA_EXCEEDED":
            wait = {"retry-after": verdict.retry_after_s} if verdict.retry_after_s else None
            raise HTTPException(429, verdict.code.lower(), wait)
        case "INSUFFICIENT_SCOPE" | "TENANT_SUSPENDED":
            raise HTTPException(403, verdict.code.lower())
        case _:
            raise HTTPException(401, "the key does not count", {"www-authenticate": "Bearer"})


KnownVisitor = Annotated[Visitor, Depends(visitor)]


async def rows(parts: SharedParts, who: KnownVisitor) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the tenant's own role: no statement needs to name the tenant."""
    async with parts.tenants.connection(who.tenant_id) as connection:
        parts.usage.count(who.tenant_id, CALL)
        yield connection


Rows = Annotated[asyncpg.Connection, Depends(rows)]


def build(settings: Settings) -> FastAPI:
    """The application."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        control = ControlPlane(settings)
        tenants = Tenants(control, settings)
        usage = Usage(control, "notes-service", settings.usage_flush_s)
        listener = events.Listener(settings, tenants) if settings.nats_url else None
        app.state.parts = Parts(settings, control, Tokens(control, settings), tenants, usage, listener)
        tasks = [asyncio.create_task(usage.keep())]
        if listener:
            tasks.append(asyncio.create_task(listener.keep()))
        async with AsyncExitStack() as end:
            end.push_async_callback(control.close)
            end.push_async_callback(tenants.close)
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await usage.flush()
            except ControlPlaneAway:
                pass

    app = FastAPI(title="Notes", lifespan=life)
    _refusals(app)
    _endpoints(app)
    return app


def _refusals(app: FastAPI) -> None:
    @app.exception_handler(ControlPlaneAway)
    async def away(request: Request, error: ControlPlaneAway) -> JSONResponse:
        return JSONResponse({"detail": "try again shortly"}, 503, {"retry-after": "1"})

    @app.exception_handler(asyncpg.PostgresConnectionError)
    @app.exception_handler(asyncpg.OperatorInterventionError)
    async def cut_off(request: Request, error: asyncpg.PostgresError) -> JSONResponse:
        return JSONResponse({"detail": "the database ended the connection"}, 503, {"retry-after": "1"})

    @app.exception_handler(DatabaseBusy)
    async def busy(request: Request, error: DatabaseBusy) -> JSONResponse:
        return JSONResponse({"detail": "the database is busy"}, 503, {"retry-after": "1"})

    @app.exception_handler(NoSuchTenant)
    async def unknown(request: Request, error: NoSuchTenant) -> JSONResponse:
        return JSONResponse({"detail": "there is no such tenant"}, 404)

    @app.exception_handler(NotServed)
    async def stopped(request: Request, error: NotServed) -> JSONResponse:
        return JSONResponse({"detail": f"tenant_{error.state}"}, 403)


def _endpoints(app: FastAPI) -> None:
    @app.get("/healthz")
    async def healthz(parts: SharedParts) -> dict[str, Any]:
        listening = parts.listener.listening.is_set() if parts.listener else None
        return {"status": "ok", "listening": listening}

    @app.get("/notebooks")
    async def notebooks(rows: Rows) -> list[Notebook]:
        found = await rows.fetch("SELECT id, name, created_at FROM notebooks ORDER BY name LIMIT 100")
        return [Notebook(**row) for row in found]

    @app.post("/notebooks", status_code=201)
    async def new_notebook(rows: Rows, new: NewNotebook) -> Notebook:
        sql = "INSERT INTO notebooks (name) VALUES ($1) RETURNING id, name, created_at"
        try:
            return Notebook(**await rows.fetchrow(sql, new.name))
        except asyncpg.UniqueViolationError:
            raise HTTPException(409, "there is a notebook of this name") from None

    @app.get("/notebooks/{notebook}/notes")
    async def notes(rows: Rows, notebook: UUID) -> list[Note]:
        sql = (
            "SELECT id, title, body, created_at FROM notes WHERE notebook_id = $1 "
            "ORDER BY pinned DESC, updated_at DESC LIMIT 100"
        )
        return [Note(**row) for row in await rows.fetch(sql, notebook)]

    @app.post("/notebooks/{notebook}/notes", status_code=201)
    async def new_note(rows: Rows, notebook: UUID, new: NewNote) -> Note:
        sql = (
            "INSERT INTO notes (notebook_id, title, body) VALUES ($1, $2, $3) "
            "RETURNING id, title, body, created_at"
        )
        try:
            return Note(**await rows.fetchrow(sql, notebook, new.title, new.body))
        except asyncpg.ForeignKeyViolationError:
            raise HTTPException(404, "there is no such notebook") from None

    @app.post("/webhooks/tenantry", status_code=204)
    async def told(request: Request, parts: SharedParts) -> Response:
        """Standard Webhooks: the signature covers the message's id, its time and every byte of the body."""
        body = await request.body()
        if not parts.settings.webhook_secret:
            raise HTTPException(404)
        try:
            event = Webhook(parts.settings.webhook_secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            raise HTTPException(401, "the signature does not fit") from None
        if isinstance(event, dict):
            await events.apply(parts.tenants, event)
        return Response(status_code=204)
