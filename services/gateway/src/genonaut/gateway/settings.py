"""What the gateway can be told."""

from typing import ClassVar

from pydantic import AnyHttpUrl, Field, SecretStr

from genonaut.gateway.routing.table import Service
from genonaut.platform.settings import ProcessSettings

MiB = 1024 * 1024


class GatewaySettings(ProcessSettings):
    section: ClassVar[str] = "gateway"

    content_url: AnyHttpUrl = Field(description="Where the content service answers.")
    generation_url: AnyHttpUrl = Field(description="Where the generation service answers.")
    analytics_url: AnyHttpUrl = Field(description="Where the analytics service answers.")
    notifications_url: AnyHttpUrl = Field(description="Where the notifications service answers.")
    redis_url: SecretStr | None = Field(default=None, description="Redis or Valkey. Without it, health leaves it out.")

    http_connections: int = Field(
        default=6_000, ge=1, description="Open connections of clients at the same time; more than live_clients."
    )
    cors_origins: list[str] = Field(default=["*"], description="Origins whose pages may call the API.")
    max_body_bytes: int = Field(default=64 * MiB, ge=1, description="A hard cap; the services have lower ones.")

    connect_timeout_seconds: float = Field(default=2, gt=0, description="To reach a service.")
    silence_timeout_seconds: float = Field(
        default=30, gt=0, description="How long a service may say nothing: before its answer and inside it."
    )
    upload_timeout_seconds: float = Field(
        default=30, gt=0, description="How long a client may pause while it sends a body."
    )
    max_connections: int = Field(default=512, ge=1, description="To each service.")

    capture_limit: int = Field(default=20_000, ge=1, description="Served requests kept while the bus is away.")

    live_clients: int = Field(default=5_000, ge=1, description="Live streams and sockets at the same time.")
    live_poll_seconds: float = Field(
        default=30, gt=0, description="How often a followed job is asked for while the bus works."
    )
    live_outage_poll_seconds: float = Field(default=2, gt=0, description="The same while the bus is away.")

    def base_url(self, service: Service) -> str:
        """Without a slash at the end."""
        url: AnyHttpUrl = getattr(self, f"{service}_url")
        return str(url).rstrip("/")
