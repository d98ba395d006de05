"""Reports what was used, in batches. Each event has an id of its own, so a batch that got no answer is sent again as
it is: the control plane counts each event once."""

import asyncio
import logging
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import Any

from .control import ControlPlane, ControlPlaneAway

log = logging.getLogger(__name__)

BATCH = 100
MOST = 100_000
"""Events that wait in memory; beyond it the oldest are let go, and that is told."""


class Usage:
    """What waits to be reported."""

    def __init__(self, control: ControlPlane, source: str, flush_s: float) -> None:
        self._control = control
        self._source = source
        self._flush_s = flush_s
        self._waiting: deque[dict[str, Any]] = deque()
        self._flushing = asyncio.Lock()

    def count(self, tenant: str, kind: str, **data: Any) -> None:
        """Something was used."""
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            log.error("usage is lost: more than %d events wait for the control plane", MOST)
        self._waiting.append(
            {
                "specversion": "1.0",
                "id": str(uuid.uuid4()),
                "source": self._source,
                "type": kind,
                "subject": tenant,
                "time": datetime.now(UTC).isoformat(),
                "datacontenttype": "application/json",
                "data": data,
            }
        )

    async def flush(self) -> None:
        """Sends what waits."""
        async with self._flushing:
            while self._waiting:
                batch = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
                said = await self._control.report(batch)
                for one in said:
                    if one["status"] == "rejected":
                        log.error("usage was rejected: %s", one)
                for _ in batch:
                    self._waiting.popleft()

    async def keep(self) -> None:
        """Sends now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._flush_s)
            try:
                await self.flush()
            except ControlPlaneAway as error:
                log.warning("usage waits: %s", error)
