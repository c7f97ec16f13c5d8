"""Settings: the environment over the file over defaults, unknown keys refused, secrets never shown."""

import json
from pathlib import Path
from typing import ClassVar

import pytest

from genonaut.platform.settings import ProcessSettings, ServiceSettings, SettingsError

REQUIRED = {
    "DATABASE_URL": "postgresql://u:hidden-password@localhost/db",
    "NATS_URL": "nats://localhost",
    "OBJECT_STORE_URL": "file:///tmp/objects",
    "API_SECRET_KEY": "hidden-key",
}


class ShopSettings(ServiceSettings):
    section: ClassVar[str] = "content"
    shelves: int = 3


class DoorSettings(ProcessSettings):
    section: ClassVar[str] = "gateway"


@pytest.fixture(autouse=True)
def _only_these_variables(monkeypatch, tmp_path: Path) -> None:
    for name in ("APP_ENV", "ENV_TARGET", "API_ENVIRONMENT", "GENONAUT_DB_ENVIRONMENT", "DEMO", "API_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENONAUT_CONFIG", raising=False)


def write_config(tmp_path: Path, content: object) -> None:
    path = tmp_path / "deploy" / "config" / "base.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_environment_beats_the_service_section_beats_the_common_one(tmp_path: Path, monkeypatch) -> None:
    write_config(tmp_path, {"common": {"log-level": "DEBUG", "api_port": 1}, "content": {"shelves": 7, "api-port": 2}})
    monkeypatch.setenv("API_PORT", "9000")

    settings = ShopSettings.load()

    assert (settings.log_level, settings.shelves, settings.api_port) == ("DEBUG", 7, 9000)


def test_other_services_sections_are_theirs(tmp_path: Path) -> None:
    write_config(tmp_path, {"generation": {"ovens": 2}})

    assert ShopSettings.load().shelves == 3


@pytest.mark.parametrize("section", ["common", "content"])
def test_an_unknown_key_of_the_file_is_refused_by_name(tmp_path: Path, section: str) -> None:
    write_config(tmp_path, {section: {"shelfs": 7}})

    with pytest.raises(SettingsError, match=r"shelfs: no such setting \(in .*base\.json\)"):
        ShopSettings.load()


def test_a_section_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, {"contnet": {}})

    with pytest.raises(SettingsError, match="sections that nobody reads: contnet"):
        ShopSettings.load()


def test_what_is_common_to_the_services_is_nothing_to_a_process_without_a_database(tmp_path: Path) -> None:
    write_config(tmp_path, {"common": {"statement-timeout-ms": 7, "log-level": "DEBUG"}})

    assert ShopSettings.load().statement_timeout_ms == 7
    assert (DoorSettings.load().log_level, hasattr(DoorSettings.load(), "statement_timeout_ms")) == ("DEBUG", False)


@pytest.mark.parametrize("key", ["shelfs", "shelves", "database-url"])
def test_it_refuses_what_is_unknown_or_a_secret_all_the_same(tmp_path: Path, key: str) -> None:
    write_config(tmp_path, {"common": {key: "x"}})

    with pytest.raises(SettingsError, match=f"{key.replace('-', '_')}: no such setting"):
        DoorSettings.load()


def test_its_own_section_has_only_its_settings(tmp_path: Path) -> None:
    write_config(tmp_path, {"gateway": {"statement-timeout-ms": 7}})

    with pytest.raises(SettingsError, match="statement_timeout_ms: no such setting"):
        DoorSettings.load()


@pytest.mark.parametrize("section", ["common", "content"])
def test_a_secret_in_the_file_is_refused_by_name_and_not_shown(tmp_path: Path, section: str) -> None:
    write_config(tmp_path, {section: {"api-secret-key": "hidden-key", "database_admin_url": "hidden-url"}})

    with pytest.raises(SettingsError, match="environment: API_SECRET_KEY, DATABASE_ADMIN_URL") as raised:
        ShopSettings.load()
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("content", [[], {"common": []}, "text"])
def test_a_file_of_the_wrong_shape_is_refused(tmp_path: Path, content: object) -> None:
    write_config(tmp_path, json.dumps(content))

    with pytest.raises(SettingsError, match="must be an object of sections"):
        ShopSettings.load()


def test_a_broken_file_is_said_so(tmp_path: Path) -> None:
    write_config(tmp_path, "{nonsense")

    with pytest.raises(SettingsError, match=r"base\.json cannot be read as JSON"):
        ShopSettings.load()


def test_a_missing_setting_is_named_with_its_meaning(monkeypatch) -> None:
    monkeypatch.delenv("NATS_URL")

    with pytest.raises(SettingsError, match=r"NATS_URL: Field required\. NATS with JetStream\."):
        ShopSettings.load()


def test_a_wrong_value_is_named_and_secrets_are_not_shown(monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://u:hidden-password@localhost/db")
    monkeypatch.setenv("API_PORT", "many")

    with pytest.raises(SettingsError) as raised:
        ShopSettings.load()

    assert "DATABASE_URL: Value error, must start with postgresql://" in str(raised.value)
    assert "API_PORT: Input should be a valid integer" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_secrets_do_not_show_in_the_settings_either() -> None:
    settings = ShopSettings.load()

    assert "hidden" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ENV_TARGET", "local-demo", "demo"),
        ("API_ENVIRONMENT", "test", "test"),
        ("GENONAUT_DB_ENVIRONMENT", "prod", "prod"),
        ("DEMO", "1", "demo"),
    ],
)
def test_old_names_of_the_environment_work_with_a_warning(monkeypatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv("APP_ENV", "")  # so that monkeypatch restores what the adoption sets
    monkeypatch.delenv("APP_ENV")
    monkeypatch.setenv(name, value)

    with pytest.warns(DeprecationWarning, match=f"{name}.* is an old name"):
        settings = ShopSettings.load()

    assert settings.app_env == expected


def test_secrets_come_from_files_that_the_environment_names(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "url").write_text("postgresql://u:from-a-file@localhost/db\n")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))

    settings = ShopSettings.load()

    assert settings.database_url.get_secret_value() == "postgresql://u:from-a-file@localhost/db"
    assert settings.api_secret_key.get_secret_value() == "hidden-key"


def test_an_empty_variable_leaves_it_to_the_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "key").write_text("from-a-file")
    monkeypatch.setenv("API_SECRET_KEY", "")
    monkeypatch.setenv("API_SECRET_KEY_FILE", str(tmp_path / "key"))

    assert ShopSettings.load().api_secret_key.get_secret_value() == "from-a-file"


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_ADMIN_URL", "NATS_URL", "API_SECRET_KEY"])
def test_a_secret_in_two_places_is_refused(tmp_path: Path, monkeypatch, name: str) -> None:
    (tmp_path / "secret").write_text("hidden")
    monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))

    with pytest.raises(SettingsError, match=rf"^{name} and {name}_FILE are both set\. Unset one of them\.$"):
        ShopSettings.load()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n", "is empty"),
        (b"\xff", "cannot be read: it is no text"),
    ],
)
def test_an_unusable_file_of_a_secret_is_named(tmp_path: Path, monkeypatch, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.delenv("NATS_URL")
    monkeypatch.setenv("NATS_URL_FILE", str(tmp_path / "secret"))

    with pytest.raises(SettingsError, match=f"^NATS_URL_FILE names {tmp_path}/secret, which {said}"):
        ShopSettings.load()


def test_what_is_no_secret_has_no_file(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "port").write_text("9")
    monkeypatch.setenv("API_PORT_FILE", str(tmp_path / "port"))

    assert ShopSettings.load().api_port == 8001
