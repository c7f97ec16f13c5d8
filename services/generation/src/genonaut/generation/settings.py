"""Settings of the generation service and its drivers."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode
from yarl import URL

from genonaut.platform.settings import ServiceSettings

Seconds = Annotated[float, Field(gt=0)]


def server_name(url: str) -> str:
    """What a server is called: host, port and, behind a proxy, path. Never credentials."""
    parts = URL(url)
    return f"{parts.host}:{parts.port}{parts.path.rstrip('/')}"


class GenerationSettings(ServiceSettings):
    section: ClassVar[str] = "generation"

    comfyui_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="ComfyUI servers, separated by commas: http://gpu-1:8188,http://gpu-2:8188."
    )
    default_checkpoint: str = "sd_xl_base_1.0.safetensors"

    soft_limit_seconds: Seconds = 25 * 60
    """An attempt that takes longer is stopped at its server."""
    hard_limit_seconds: Seconds = 30 * 60
    """An attempt that could not be stopped is given up."""
    unreachable_seconds: Seconds = 30
    """How long a server may not answer before its attempt counts as lost."""
    zombie_seconds: Seconds = 60
    """How long a server may hold a prompt and not work on it."""
    max_attempts: int = Field(default=3, ge=1)
    """Attempts of a job whose workers get lost; then it fails."""
    max_takes: int = Field(default=10, ge=1)
    """How often drivers may take up a job in all, so that one which ends its driver every time ends, too."""
    retry_seconds: Seconds = 1
    """Before the second attempt; twice as long before the third."""
    lease_seconds: Seconds = 10
    """After how long without a sign of life of its driver a running job may be taken up by another."""

    user_wait_seconds: float = Field(default=3, ge=0)
    """How long a new job may wait for the news of a user who has just been registered, or activated again."""
    sweep_seconds: Seconds = 30
    """Between two looks for jobs that nobody will come for."""
    orphan_seconds: Seconds = 60
    """How long a job may stand still before such a look minds it."""

    @field_validator("comfyui_urls", mode="before")
    @classmethod
    def _split(cls, urls: Any) -> Any:
        return tuple(url.strip() for url in urls.split(",") if url.strip()) if isinstance(urls, str) else urls

    @field_validator("comfyui_urls")
    @classmethod
    def _usable(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(URL(url).scheme in ("http", "https") and URL(url).host for url in urls):
            raise ValueError("a ComfyUI URL is http://host:port")
        if len({server_name(url) for url in urls}) < len(urls):
            raise ValueError("a server is named twice; it would be given two jobs at once")
        return urls

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.hard_limit_seconds < self.soft_limit_seconds:
            raise ValueError("hard_limit_seconds is below soft_limit_seconds")
        return self


class DriverSettings(GenerationSettings):
    """The same, for a process that cannot be without servers."""

    @field_validator("comfyui_urls")
    @classmethod
    def _some(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not urls:
            raise ValueError("names no server")
        return urls

    comfyui_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        description="ComfyUI servers, separated by commas: http://gpu-1:8188,http://gpu-2:8188."
    )
