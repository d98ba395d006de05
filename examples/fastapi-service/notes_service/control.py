"""The control plane, as far as this service calls it."""

from dataclasses import dataclass
from typing import Any

import httpx

from .settings import Settings


class ControlPlaneAway(Exception):
    """The control plane does not answer, or not as it should."""


@dataclass(frozen=True)
class Route:
    """Where a tenant's data is."""

    tenant_id: str
    state: str
    generation: int
    etag: str
    url: str | None


@dataclass(frozen=True)
class Verdict:
    """What the control plane says of an API key."""

    valid: bool
    code: str
    tenant_id: str | None
    key_id: str | None
    retry_after_s: str | None


class ControlPlane:
    """Calls, with the service's own key."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.AsyncClient(
            base_url=settings.control_url,
            headers={"authorization": f"Bearer {settings.service_key}"},
            timeout=5.0,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ControlPlaneAway(str(error)) from error
        if answer.status_code >= 500 or answer.status_code in (401, 403):
            raise ControlPlaneAway(f"{method} {path}: {answer.status_code}")
        return answer

    async def verify(self, key: str, scopes: list[str]) -> Verdict:
        """Whether an API key may do what these scopes stand for."""
        answer = await self._send("POST", "/v1/api-keys/verify", json={"key": key, "scopes": scopes})
        if answer.status_code != 200:
            return Verdict(False, "UNREADABLE", None, None, None)
        said = answer.json()
        return Verdict(
            valid=said["valid"],
            code=said["code"],
            tenant_id=said.get("tenant_id"),
            key_id=said.get("key_id"),
            retry_after_s=answer.headers.get("retry-after"),
        )

    async def route(self, tenant: str, known: Route | None = None) -> Route | None:
        """Where a tenant is; `known` again when nothing has changed, None when there is no such tenant."""
        # The ETag is the generation, which a suspension does not raise: "unchanged" says that an active tenant is still
        # to be served where it was. Of one that was not served we ask for everything.
        headers = {"if-none-match": known.etag} if known and known.state == "active" else {}
        answer = await self._send("GET", f"/v1/routes/{tenant}", headers=headers)
        if answer.status_code == 304:
            return known
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise ControlPlaneAway(f"GET /v1/routes: {answer.status_code}")
        said = answer.json()
        return Route(
            tenant_id=said["tenant_id"],
            state=said["state"],
            generation=said["generation"],
            etag=answer.headers["etag"],
            url=said.get("url"),
        )

    async def report(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Sends usage; what became of each event."""
        answer = await self._send(
            "POST",
            "/v1/usage/events",
            json=events,
            headers={"content-type": "application/cloudevents-batch+json"},
        )
        if answer.status_code != 200:
            raise ControlPlaneAway(f"POST /v1/usage/events: {answer.status_code}")
        return answer.json()["data"]

    async def keys(self) -> dict[str, Any]:
        """The public keys of access tokens."""
        answer = await self._send("GET", "/.well-known/jwks.json")
        return answer.json()
