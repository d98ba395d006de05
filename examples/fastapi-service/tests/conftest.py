"""The tests run against a real control plane, PostgreSQL and NATS, which whoever starts them names:

NOTES_TEST_CONTROL_URL and NOTES_TEST_OPERATOR_KEY, a control plane whose tenants live on PostgreSQL, with
the migrations of examples/notes, and which publishes to NOTES_TEST_NATS_URL.
"""

import base64
import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn
from notes_service.app import build
from notes_service.settings import Settings
from standardwebhooks.webhooks import Webhook

PASSWORD = "correct horse battery"


def eventually(what: str, probe: Callable[[], Any], longest_s: float = 30.0) -> Any:
    """Asks `probe` again and again until it answers something true."""
    end = time.monotonic() + longest_s
    while True:
        if found := probe():
            return found
        assert time.monotonic() < end, f"waited {longest_s} s for {what}"
        time.sleep(0.01)


@dataclass
class Tenant:
    """A tenant of the control plane."""

    id: str
    token: str
    key: str

    def bearer(self, credential: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {credential or self.key}"}


class Control:
    """The control plane, from the operator's side."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.operator = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30.0)
        self.public = httpx.Client(base_url=url, timeout=30.0)

    def service_key(self, scopes: list[str]) -> str:
        body = {"name": "notes", "scopes": scopes}
        return self._made(self.operator.post("/admin/v1/service-keys", json=body))["key"]

    def settle(self) -> Tenant:
        """A tenant that signed itself up, with its owner's token and a key for its data."""
        name = f"T{uuid.uuid4().hex[:12]}"
        email = f"owner@{name.lower()}.example"
        body = {"organization": name, "email": email, "password": PASSWORD}
        signed = self._made(self.public.post("/v1/signups", json=body), 202)
        path = f"/admin/v1/operations/{signed['operation']['id']}"
        eventually("the tenant", lambda: self.operator.get(path).json()["state"] == "succeeded", 60.0)
        session = self.public.post("/v1/sessions", json={"email": email, "password": PASSWORD}).json()
        owner = {"authorization": f"Bearer {session['access_token']}"}
        made = self.public.post("/v1/tenant/api-keys", json={"name": "k", "scopes": ["data:read", "data:write"]}, headers=owner)
        return Tenant(signed["tenant_id"], session["access_token"], self._made(made)["key"])

    def suspend(self, tenant: Tenant) -> None:
        self._made(self.operator.post(f"/admin/v1/tenants/{tenant.id}/suspend", json={}), 200)

    def resume(self, tenant: Tenant) -> None:
        self._made(self.operator.post(f"/admin/v1/tenants/{tenant.id}/resume"), 200)

    @staticmethod
    def _made(answer: httpx.Response, status: int = 201) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json()


class Service:
    """The service itself, serving on a port of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = build(settings)
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning"))
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30.0)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        eventually("the service", lambda: self._server.started)

    @property
    def parts(self) -> Any:
        return self.app.state.parts

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30.0)
        self.http.close()

    def webhook(self, kind: str, tenant: str) -> httpx.Response:
        """Sends an event as the control plane would."""
        event = {"specversion": "1.0", "id": f"evt_{uuid.uuid4().hex}", "type": kind, "tenantid": tenant, "data": {}}
        body, now = json.dumps(event), datetime.now(UTC)
        sign = Webhook(self.settings.webhook_secret).sign(event["id"], now, body)
        return self.http.post(
            "/webhooks/tenantry",
            content=body,
            headers={
                "content-type": "application/json",
                "webhook-id": event["id"],
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": sign,
            },
        )


@pytest.fixture(scope="session")
def control() -> Control:
    return Control(os.environ["NOTES_TEST_CONTROL_URL"], os.environ["NOTES_TEST_OPERATOR_KEY"])


@pytest.fixture(scope="session")
def service_key(control: Control) -> str:
    return control.service_key(["keys:verify", "routes:read", "routes:credentials", "usage:write"])


@pytest.fixture(scope="session")
def start(control: Control, service_key: str) -> Iterator[Callable[..., Service]]:
    """Starts services; they end with the tests."""
    running: list[Service] = []

    def begin(**more: Any) -> Service:
        known: dict[str, Any] = {
            "control_url": control.url,
            "service_key": service_key,
            # So that nothing but an event makes it look again.
            "route_fresh_s": 3600.0,
            "usage_flush_s": 0.1,
            "instance": uuid.uuid4().hex,
            "webhook_secret": "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
        }
        service = Service(Settings(**(known | more)))
        running.append(service)
        return service

    yield begin
    for service in running:
        service.stop()


@pytest.fixture(scope="session")
def nats_url() -> str:
    return os.environ["NOTES_TEST_NATS_URL"]


@pytest.fixture(scope="session")
def service(start: Callable[..., Service], nats_url: str) -> Service:
    """A service that hears of events by NATS."""
    begun = start(nats_url=nats_url)
    eventually("the service to listen", lambda: begun.http.get("/healthz").json()["listening"])
    return begun


@pytest.fixture
def tenant(control: Control) -> Tenant:
    return control.settle()
