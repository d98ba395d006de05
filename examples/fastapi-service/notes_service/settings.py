"""What the service is told by its environment."""

import os
import socket
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times are in seconds."""

    control_url: str
    """Where the control plane is; also the issuer of its tokens unless `issuer` says otherwise."""
    service_key: str
    """A service key with keys:verify, routes:read, routes:credentials and usage:write."""
    issuer: str = ""
    audience: str = "tenantry"
    nats_url: str = ""
    """Where events are published; empty to do without."""
    nats_stream: str = "TENANTRY"
    nats_prefix: str = "tenantry"
    webhook_secret: str = ""
    """The signing secret of our webhook endpoint; empty refuses all."""
    instance: str = field(default_factory=socket.gethostname)
    """What tells this process from its siblings: each has caches, so each needs all events."""
    route_fresh_s: float = 30.0
    """How long a route is believed without asking again. Events make it shorter; this is the net."""
    pool_size: int = 4
    """Most connections to the database for one tenant."""
    pools: int = 50
    """Most tenants with connections at once; the one that was used longest ago gives way."""
    usage_flush_s: float = 1.0
    port: int = 8000

    def __post_init__(self) -> None:
        if not self.issuer:
            object.__setattr__(self, "issuer", self.control_url.rstrip("/"))

    @classmethod
    def from_environment(cls) -> "Settings":
        """Reads NOTES_CONTROL_URL and its like."""

        def text(name: str, default: str = "") -> str:
            return os.environ.get(f"NOTES_{name}", default)

        missing = [name for name in ("CONTROL_URL", "SERVICE_KEY") if not text(name)]
        if missing:
            raise SystemExit("set " + " and ".join(f"NOTES_{name}" for name in missing))
        return cls(
            control_url=text("CONTROL_URL"),
            service_key=text("SERVICE_KEY"),
            issuer=text("ISSUER"),
            audience=text("AUDIENCE", "tenantry"),
            nats_url=text("NATS_URL"),
            nats_stream=text("NATS_STREAM", "TENANTRY"),
            nats_prefix=text("NATS_PREFIX", "tenantry"),
            webhook_secret=text("WEBHOOK_SECRET"),
            instance=text("INSTANCE", socket.gethostname()),
            route_fresh_s=float(text("ROUTE_FRESH_S", "30")),
            pool_size=int(text("POOL_SIZE", "4")),
            pools=int(text("POOLS", "50")),
            usage_flush_s=float(text("USAGE_FLUSH_S", "1")),
            port=int(text("PORT", "8000")),
        )
