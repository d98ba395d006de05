"""Tenants as this process knows them: where each one's data is, and a few connections as its own role.

The database keeps tenants apart: a connection is signed in as the tenant's role, which sees its rows alone. What is
known here is only a memory of what the control plane said. An event about a tenant drops it, and the next look asks
again; that way it does not matter whether an event comes twice, late, or not at all.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from .control import ControlPlane, ControlPlaneAway, Route
from .settings import Settings

log = logging.getLogger(__name__)

WAIT_S = 2.0
"""Longest wait for a connection."""

REFUSED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a database that is not there, or lets nobody in, comes to."""


class NoSuchTenant(Exception):
    """There is none."""


class NotServed(Exception):
    """It is there, but suspended or not there yet; `state` says how it stands."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class DatabaseBusy(Exception):
    """No connection became free in time."""


@dataclass
class Known:
    """What is known of one tenant."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    route: Route | None = None
    believed_until: float = float("-inf")
    epoch: int = 0
    pool: asyncpg.Pool | None = None
    in_use: int = 0
    retired: bool = False


class Tenants:
    """All of them, the most recently used kept warm."""

    def __init__(self, control: ControlPlane, settings: Settings) -> None:
        self._control = control
        self._settings = settings
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection as the tenant's own role."""
        known, pool, connection = await self._take(tenant)
        try:
            yield connection
        finally:
            try:
                await pool.release(connection)
            finally:
                self._give_back(known)

    async def _take(self, tenant: str) -> tuple[Known, asyncpg.Pool, asyncpg.Connection]:
        last: Exception | None = None
        for _ in range(2):
            known, pool = await self._ready(tenant)
            known.in_use += 1
            try:
                return known, pool, await pool.acquire(timeout=WAIT_S)
            except TimeoutError as error:
                self._give_back(known)
                raise DatabaseBusy from error
            except REFUSED as error:
                self._give_back(known)
                # Its database lets us in no more: it may be suspended, or have moved.
                log.info("%s is looked for again: %r", tenant, error)
                self.changed(tenant)
                last = error
            except BaseException:
                self._give_back(known)
                raise
        raise DatabaseBusy from last

    def _give_back(self, known: Known) -> None:
        known.in_use -= 1
        if known.retired and known.in_use == 0:
            self._drop_pool(known)

    async def _ready(self, tenant: str) -> tuple[Known, asyncpg.Pool]:
        """What is known of an active tenant, with its pool."""
        while True:
            known = self._known.get(tenant)
            if known is None:
                known = self._known[tenant] = Known()
                self._make_room()
            self._known.move_to_end(tenant)
            async with known.lock:
                if known.retired:
                    continue
                epoch = known.epoch
                if time.monotonic() >= known.believed_until:
                    await self._ask(tenant, known)
                # An event that came meanwhile may say otherwise: ask again.
                if known.epoch != epoch:
                    continue
                if known.route is None:
                    self._retire(tenant, known)
                    raise NoSuchTenant
                if known.route.state != "active" or not known.route.url:
                    self._drop_pool(known)
                    raise NotServed(known.route.state)
                if known.pool is None:
                    known.pool = await asyncpg.create_pool(
                        known.route.url,
                        min_size=0,
                        max_size=self._settings.pool_size,
                        max_inactive_connection_lifetime=60.0,
                        timeout=WAIT_S,
                    )
                return known, known.pool

    async def _ask(self, tenant: str, known: Known) -> None:
        before = known.route
        route = await self._control.route(tenant, before)
        # Another generation is another place: connections to the old one are of no use.
        if before is not None and (route is None or route.url != before.url):
            self._drop_pool(known)
        known.route = route
        known.believed_until = time.monotonic() + self._settings.route_fresh_s

    def changed(self, tenant: str) -> None:
        """Something happened to the tenant: what is known of it is not believed any more."""
        known = self._known.get(tenant)
        if known is not None:
            known.epoch += 1
            known.believed_until = float("-inf")

    async def look_again(self, tenant: str) -> None:
        """After news of a tenant: those in use here are asked for at once, before somebody waits for it, and the
        connections of one that is not to be served any more end."""
        self.changed(tenant)
        if tenant in self._known:
            try:
                await self._ready(tenant)
            except (NoSuchTenant, NotServed):
                pass
            except ControlPlaneAway as error:
                log.warning("%s is looked for when it is asked for: %s", tenant, error)

    async def warm(self, tenant: str) -> None:
        """Opens a first connection for a tenant that was just made, so that its first visitor need not wait."""
        try:
            async with self.connection(tenant) as connection:
                await connection.execute("SELECT 1")
        except (NoSuchTenant, NotServed, ControlPlaneAway, DatabaseBusy, *REFUSED) as error:
            log.info("%s is not warmed: %r", tenant, error)

    def is_warm(self, tenant: str) -> bool:
        """Whether connections are kept for a tenant."""
        known = self._known.get(tenant)
        return known is not None and known.pool is not None

    def _make_room(self) -> None:
        # All but the newest, which is on its way to be used.
        for tenant in list(self._known)[:-1]:
            if len(self._known) <= self._settings.pools:
                return
            known = self._known[tenant]
            if known.in_use == 0 and not known.lock.locked():
                self._retire(tenant, known)

    def _retire(self, tenant: str, known: Known) -> None:
        known.retired = True
        if self._known.get(tenant) is known:
            del self._known[tenant]
        if known.in_use == 0:
            self._drop_pool(known)

    def _drop_pool(self, known: Known) -> None:
        pool, known.pool = known.pool, None
        if pool is not None:
            task = asyncio.create_task(self._end(pool))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _end(pool: asyncpg.Pool) -> None:
        """Ends a pool's connections; those with a statement under way have a moment to finish."""
        try:
            await asyncio.wait_for(pool.close(), WAIT_S)
        except REFUSED:
            pool.terminate()

    async def close(self) -> None:
        """Ends all connections."""
        for tenant, known in list(self._known.items()):
            known.in_use = 0
            self._retire(tenant, known)
        await asyncio.gather(*self._closing, return_exceptions=True)
