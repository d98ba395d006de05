"""What happens in the control plane, from whichever side it is told: NATS, a webhook, or both."""

import asyncio
import json
import logging
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from .settings import Settings
from .tenants import Tenants

log = logging.getLogger(__name__)

ABOUT = ("tenant.", "subscription.", "placement.")
"""Events that can change where a tenant is or whether it is served."""
WARMING = ("tenant.provisioned", "tenant.resumed", "tenant.restored")


async def apply(tenants: Tenants, event: dict[str, Any]) -> None:
    """Takes one event in. To take it in twice, or after a later one, does no harm: an event is only a reason to look
    again."""
    kind, tenant = event.get("type"), event.get("tenantid")
    if not isinstance(kind, str) or not isinstance(tenant, str) or not kind.startswith(ABOUT):
        return
    await tenants.look_again(tenant)
    if kind in WARMING:
        await tenants.warm(tenant)


class Listener:
    """A durable consumer of the stream, one for each process: its caches are its own."""

    def __init__(self, settings: Settings, tenants: Tenants) -> None:
        self._settings = settings
        self._tenants = tenants
        self.listening = asyncio.Event()

    async def keep(self) -> None:
        """Listens until cancelled, and comes back when the broker does."""
        while True:
            try:
                await self._listen()
            except (NatsError, OSError, TimeoutError) as error:
                self.listening.clear()
                log.warning("no news from NATS: %r", error)
                await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        settings = self._settings
        client = await nats.connect(
            settings.nats_url, name="notes-service", max_reconnect_attempts=-1, reconnect_time_wait=0.2
        )
        try:
            name = "notes-" + "".join(c if c.isalnum() else "-" for c in settings.instance)
            consumer = ConsumerConfig(
                durable_name=name,
                filter_subject=f"{settings.nats_prefix}.*.>",
                # A new process has nothing cached that older news could be about.
                deliver_policy=DeliverPolicy.NEW,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=10,
                inactive_threshold=3600.0,
            )
            subscription = await client.jetstream().pull_subscribe(
                consumer.filter_subject, durable=name, stream=settings.nats_stream, config=consumer
            )
            self.listening.set()
            while True:
                try:
                    messages = await subscription.fetch(1, timeout=5)
                except TimeoutError:
                    continue
                for message in messages:
                    await self._take(message.data)
                    await message.ack()
        finally:
            self.listening.clear()
            await client.close()

    async def _take(self, data: bytes) -> None:
        try:
            event = json.loads(data)
        except ValueError:
            log.error("a message that is no JSON was passed over")
            return
        await apply(self._tenants, event)
