"""Access tokens, checked here: no call for each request, only one now and then for the keys."""

import asyncio
import time
from dataclasses import dataclass

import jwt

from .control import ControlPlane
from .settings import Settings

FRESH_S = 300.0
"""How long the set of keys is believed."""
LEEWAY_S = 10.0
"""How far clocks may differ."""
BETWEEN_S = 1.0
"""Least time between two looks at the keys, so that made-up key ids cost the control plane nothing."""


class BadToken(Exception):
    """Not a token that counts here."""


@dataclass(frozen=True)
class Person:
    """Whom a token speaks of."""

    user_id: str
    tenant_id: str
    role: str


class Tokens:
    """The keys of the control plane, cached."""

    def __init__(self, control: ControlPlane, settings: Settings) -> None:
        self._control = control
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def _key(self, kid: str) -> jwt.PyJWK:
        async with self._asking:
            age = time.monotonic() - self._asked_at
            # A key that is not known may be a new one: keys are rotated.
            if age > FRESH_S or (kid not in self._keys and age > BETWEEN_S):
                said = await self._control.keys()
                self._keys = {key["kid"]: jwt.PyJWK(key) for key in said["keys"]}
                self._asked_at = time.monotonic()
            try:
                return self._keys[kid]
            except KeyError:
                raise BadToken("signed with a key that is not known") from None

    async def check(self, token: str) -> Person:
        """Whom `token` speaks of."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            if not isinstance(kid, str):
                raise BadToken("names no key")
            claims = jwt.decode(
                token,
                await self._key(kid),
                algorithms=["EdDSA"],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "sub", "aud", "jti"]},
            )
        except jwt.PyJWTError as error:
            raise BadToken(str(error)) from error
        tenant = claims.get("tenant_id")
        if not isinstance(tenant, str):
            raise BadToken("is of no tenant")
        return Person(user_id=claims["sub"], tenant_id=tenant, role=claims["role"])
