"""Settings of a process: the environment over `deploy/config/base.json` over defaults.

Unknown keys in the file are refused.
The file has a section `common`, of which each process reads what concerns it, and one for each service. Secrets never
show in a log or an error. They come from the environment, or from files that it names:
DATABASE_URL_FILE=/run/secrets/database_url.
"""

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import AnyUrl, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from genonaut.platform.trouble import ExpectedError

AppEnv = Literal["dev", "demo", "test", "prod"]

SECTIONS = ("common", "gateway", "content", "generation", "analytics", "notifications")

OLD_ENVIRONMENT_NAMES = ("ENV_TARGET", "API_ENVIRONMENT", "GENONAUT_DB_ENVIRONMENT")


class SettingsError(ExpectedError):
    """The configuration cannot be used; the message says which key and what to do."""


class ProcessSettings(BaseSettings):
    """What every process needs, one without a database included. Each class names its `section`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    section: ClassVar[str]

    app_env: AppEnv = "dev"
    nats_url: SecretStr = Field(description="NATS with JetStream.")
    api_host: str = "0.0.0.0"  # noqa: S104 - the documented default; containers need it
    api_port: int = 8001
    api_secret_key: SecretStr = Field(description="Signs cursors and tokens.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    http_connections: int = Field(default=2_000, ge=1, description="Open connections of clients at the same time.")
    http_head_bytes: int = Field(default=32 * 1024, ge=1024, description="The address and headers of a request.")
    http_head_seconds: float = Field(default=10, gt=0, description="How long they may take to arrive.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: Any) -> Any:
        return level.upper() if isinstance(level, str) else level

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _SecretFiles(settings_cls), env_settings, _ConfigFile(settings_cls)

    @classmethod
    def load(cls) -> Self:
        """From this process's environment. Raises SettingsError with one line for each key that is wrong."""
        _adopt_old_environment_names()
        try:
            return cls()
        except ValueError as error:
            raise SettingsError(_explain(cls, error)) from None


class ServiceSettings(ProcessSettings):
    """What every service needs. A service subclasses it, names its `section` and adds its own fields."""

    database_url: SecretStr = Field(description="Postgres, as this service's own login.")
    database_admin_url: SecretStr | None = Field(
        default=None, description="Postgres, as the owner of the schema. Only migrations and rebuilds use it."
    )
    object_store_url: AnyUrl = Field(description="Where images are: file:///folder or s3://bucket/prefix.")
    picture_processes: int = Field(default=2, ge=1, description="How many pictures are decoded at the same time.")
    picture_process_bytes: int = Field(
        default=512 * 1024 * 1024, ge=128 * 1024 * 1024, description="Of memory for each of them."
    )
    database_pool_size: int = Field(default=5, ge=1)
    redis_url: SecretStr | None = Field(default=None, description="Redis or Valkey. Without it nothing is cached.")
    cache_seconds: float = Field(default=300, gt=0, description="How long an answer is kept when nothing changes.")
    statement_timeout_ms: int = Field(default=15_000, ge=1)

    @field_validator("database_url", "database_admin_url")
    @classmethod
    def _postgres_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not re.match(r"postgres(ql)?(\+asyncpg)?://", url.get_secret_value()):
            raise ValueError("must start with postgresql://")
        return url


def secret(name: str) -> str:
    """The secret of this name: the variable's value, or the content of the file that `<name>_FILE` names; else "".

    Raises SettingsError when both are set, and for a file that cannot be read or is empty.
    """
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise SettingsError(f"{name} and {name}_FILE are both set. Unset one of them.")
    if not path:
        return value
    try:
        content = Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{name}_FILE names {path}, which cannot be read: {reason}.") from None
    if not content:
        raise SettingsError(f"{name}_FILE names {path}, which is empty. Put the secret into it.")
    return content


class _SecretFiles(PydanticBaseSettingsSource):
    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # __call__ answers for all fields at once

    def __call__(self) -> dict[str, Any]:
        return {name: value for name in _secrets(self.settings_cls) if (value := secret(name.upper()))}


class _ConfigFile(PydanticBaseSettingsSource):
    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # __call__ answers for all fields at once

    def __call__(self) -> dict[str, Any]:
        path = config_path()
        if path is None:
            return {}
        try:
            sections = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} cannot be read as JSON: {error}") from None
        if not isinstance(sections, dict) or not all(isinstance(values, dict) for values in sections.values()):
            raise SettingsError(f"{path} must be an object of sections: {', '.join(SECTIONS)}")
        if strangers := sections.keys() - set(SECTIONS):
            raise SettingsError(f"{path} has sections that nobody reads: {', '.join(sorted(strangers))}")
        section: str = self.settings_cls.section  # type: ignore[attr-defined]  # every ProcessSettings has one
        common, own = _by_field(sections.get("common", {})), _by_field(sections.get(section, {}))
        # What is common to the services with a database is nothing to a process without one.
        elsewhere = (
            ServiceSettings.model_fields.keys() - _secrets(ServiceSettings) - self.settings_cls.model_fields.keys()
        )
        settings = {key: value for key, value in common.items() if key not in elsewhere} | own
        if secrets := settings.keys() & _secrets(self.settings_cls):
            named = ", ".join(sorted(secret.upper() for secret in secrets))
            raise SettingsError(
                f"{path} holds secrets. Take them out, and set in the environment: {named}"
                " (or, with _FILE behind the name, where the secret is)"
            )
        return settings


def _by_field(section: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in section.items()}


def _secrets(settings: type[BaseSettings]) -> set[str]:
    return {name for name, field in settings.model_fields.items() if SecretStr in _types(field.annotation)}


def _types(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *get_args(annotation))


def config_path() -> Path | None:
    """GENONAUT_CONFIG, else `deploy/config/base.json` below this folder or one above it; None when there is none."""
    named = os.environ.get("GENONAUT_CONFIG")
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        candidate = folder / "deploy" / "config" / "base.json"
        if candidate.is_file():
            return candidate
    return None


def environment_name() -> str | None:
    """APP_ENV, or what one of its old names says; None when nothing does."""
    _adopt_old_environment_names()
    return os.environ.get("APP_ENV") or None


def _adopt_old_environment_names() -> None:
    if "APP_ENV" in os.environ:
        return
    for name in OLD_ENVIRONMENT_NAMES:
        if value := os.environ.get(name):
            warnings.warn(f"{name} is an old name, say APP_ENV", DeprecationWarning, stacklevel=3)
            os.environ["APP_ENV"] = value.removeprefix("local-")
            return
    if os.environ.get("DEMO", "").lower() in {"1", "true", "yes", "on"}:
        warnings.warn("DEMO is an old name, say APP_ENV=demo", DeprecationWarning, stacklevel=3)
        os.environ["APP_ENV"] = "demo"


def _explain(cls: type[ProcessSettings], error: ValueError) -> str:
    lines = [f"The settings of {cls.section} are not usable:"]
    for problem in getattr(error, "errors", list)():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: no such setting (in {config_path()})")
        else:
            description = (cls.model_fields[key].description or "") if key in cls.model_fields else ""
            lines.append(f"  {key.upper()}: {problem['msg']}. {description}".rstrip())
    return "\n".join(lines)
