"""What the service promises, seen from outside."""

import asyncio
import time
from collections.abc import Callable

import jwt
from conftest import Control, Service, Tenant, eventually
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def get(service: Service, tenant: Tenant, credential: str | None = None) -> int:
    return service.http.get("/notebooks", headers=tenant.bearer(credential)).status_code


def test_a_member_and_a_program_see_the_same_notes(service: Service, tenant: Tenant) -> None:
    made = service.http.post("/notebooks", json={"name": "Ideas"}, headers=tenant.bearer())
    assert made.status_code == 201, made.text
    again = service.http.post("/notebooks", json={"name": "Ideas"}, headers=tenant.bearer())
    assert again.status_code == 409
    path = f"/notebooks/{made.json()['id']}/notes"
    note = service.http.post(path, json={"title": "One", "body": "…"}, headers=tenant.bearer(tenant.token))
    assert note.status_code == 201, note.text
    for credential in (tenant.key, tenant.token):
        found = service.http.get(path, headers=tenant.bearer(credential))
        assert [one["title"] for one in found.json()] == ["One"]


def test_no_tenant_sees_another(service: Service, control: Control) -> None:
    one, other = control.settle(), control.settle()
    made = service.http.post("/notebooks", json={"name": "Mine"}, headers=one.bearer()).json()
    assert service.http.get("/notebooks", headers=other.bearer()).json() == []
    path = f"/notebooks/{made['id']}/notes"
    assert service.http.get(path, headers=other.bearer()).json() == []
    assert service.http.post(path, json={"title": "x"}, headers=other.bearer()).status_code == 404


def test_strangers_stay_outside(service: Service, tenant: Tenant) -> None:
    assert service.http.get("/notebooks").status_code == 401
    for credential in ("nonsense", "tk_live_nobody", "a.b.c", tenant.key + "x", tenant.token[:-6] + "AAAAAA"):
        assert get(service, tenant, credential) == 401, credential
    claims = jwt.decode(tenant.token, options={"verify_signature": False})
    header = jwt.get_unverified_header(tenant.token)
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", {"kid": header["kid"]})
    assert get(service, tenant, forged) == 401
    unsigned = jwt.encode(claims, "", "none", {"kid": header["kid"]})
    assert get(service, tenant, unsigned) == 401


def test_a_key_without_the_scope_is_told_so(service: Service, control: Control, tenant: Tenant) -> None:
    owner = {"authorization": f"Bearer {tenant.token}"}
    body = {"name": "reader", "scopes": ["data:read"]}
    reader = control.public.post("/v1/tenant/api-keys", json=body, headers=owner).json()["key"]
    assert get(service, tenant, reader) == 200
    refused = service.http.post("/notebooks", json={"name": "x"}, headers=tenant.bearer(reader))
    assert (refused.status_code, refused.json()["detail"]) == (403, "insufficient_scope")


def test_keys_of_tokens_may_rotate(service: Service, control: Control, tenant: Tenant) -> None:
    assert get(service, tenant, tenant.token) == 200
    before = jwt.get_unverified_header(tenant.token)["kid"]
    assert control.operator.post("/admin/v1/signing-keys/rotate", json={"at_once": True}).status_code == 201

    def token_by_the_new_key() -> Tenant | None:
        fresh = control.settle()
        return fresh if jwt.get_unverified_header(fresh.token)["kid"] != before else None

    fresh = eventually("the new key to sign", token_by_the_new_key)
    eventually("the service to know it", lambda: get(service, fresh, fresh.token) == 200, 5.0)
    assert get(service, tenant, tenant.token) == 200, "what the old one signed still counts"


def refused_within_a_second(service: Service, tenant: Tenant) -> None:
    began = time.monotonic()
    eventually("the refusal", lambda: get(service, tenant, tenant.token) == 403, 5.0)
    took = time.monotonic() - began
    assert took < 1.0, f"it took {took:.3f} s"


def test_a_suspended_tenant_is_refused_within_a_second_by_nats(
    service: Service, control: Control, tenant: Tenant
) -> None:
    # By token: that the key does not count any more, the control plane itself would say.
    assert get(service, tenant, tenant.token) == 200
    assert service.parts.tenants.is_warm(tenant.id)
    control.suspend(tenant)
    refused_within_a_second(service, tenant)
    assert not service.parts.tenants.is_warm(tenant.id), "its connections are gone"
    answer = service.http.get("/notebooks", headers=tenant.bearer(tenant.token))
    assert answer.json()["detail"] == "tenant_suspended"
    control.resume(tenant)
    eventually("it to be warm before anybody asks", lambda: service.parts.tenants.is_warm(tenant.id))
    assert get(service, tenant, tenant.token) == 200


def test_a_new_tenant_is_warm_before_its_first_request(service: Service, control: Control) -> None:
    tenant = control.settle()
    eventually("it to be warm", lambda: service.parts.tenants.is_warm(tenant.id))


def test_a_webhook_does_the_same(start: Callable[..., Service], control: Control, tenant: Tenant) -> None:
    deaf = start()
    assert get(deaf, tenant, tenant.token) == 200
    control.suspend(tenant)
    # Nobody has told it; at the latest the database does, which lets the tenant in no more.
    assert get(deaf, tenant, tenant.token) in (200, 403, 503)
    assert deaf.webhook("tenant.suspended", tenant.id).status_code == 204
    refused_within_a_second(deaf, tenant)
    control.resume(tenant)
    # The news that it was suspended comes again, and late: it is only a reason to look again.
    for kind in ("tenant.resumed", "tenant.suspended"):
        assert deaf.webhook(kind, tenant.id).status_code == 204
        assert get(deaf, tenant, tenant.token) == 200


def test_a_webhook_that_nobody_signed_is_refused(start: Callable[..., Service], tenant: Tenant) -> None:
    service = start()
    good = service.settings.webhook_secret
    unsigned = service.http.post("/webhooks/tenantry", json={"type": "tenant.suspended", "tenantid": tenant.id})
    assert unsigned.status_code == 401
    object.__setattr__(service.settings, "webhook_secret", "whsec_" + "A" * 32)
    signed_by_another = service.http.build_request("POST", "/webhooks/tenantry")
    assert service.http.send(signed_by_another).status_code == 401
    object.__setattr__(service.settings, "webhook_secret", good)
    assert service.webhook("tenant.updated", tenant.id).status_code == 204


def test_usage_is_counted_once(service: Service, control: Control, tenant: Tenant) -> None:
    for _ in range(3):
        assert get(service, tenant) == 200
    owner = {"authorization": f"Bearer {tenant.token}"}

    def counted() -> bool:
        answer = control.public.get("/v1/tenant/usage?meter=note_requests", headers=owner)
        assert answer.status_code == 200, answer.text
        return sum(total["value"] for total in answer.json()["totals"]) == 3

    eventually("the usage", counted)


def test_connections_are_bounded(start: Callable[..., Service], control: Control) -> None:
    small = start(pools=2, pool_size=2)
    tenants = [control.settle() for _ in range(4)]
    for one in tenants:
        assert get(small, one) == 200
    assert sum(small.parts.tenants.is_warm(one.id) for one in tenants) <= 2
    for one in tenants:
        assert get(small, one) == 200, "one that gave way comes back"

    async def crowd() -> list[int]:
        import httpx

        async with httpx.AsyncClient(base_url=str(small.http.base_url), timeout=30.0) as http:
            asked = [http.get("/notebooks", headers=tenants[0].bearer()) for _ in range(20)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert set(asyncio.run(crowd())) == {200}
