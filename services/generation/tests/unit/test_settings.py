"""The settings of a driver: servers, told apart."""

import pytest

from genonaut.generation.settings import DriverSettings, GenerationSettings, server_name
from genonaut.platform.settings import SettingsError


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": "postgresql://localhost/x",
        "NATS_URL": "nats://localhost",
        "OBJECT_STORE_URL": "file:///tmp/x",
        "API_SECRET_KEY": "x" * 40,
    }.items():
        monkeypatch.setenv(name, value)


def test_servers_are_separated_by_commas(monkeypatch) -> None:
    monkeypatch.setenv("COMFYUI_URLS", " http://gpu-1:8188, https://gpu-2/comfy ,")
    assert DriverSettings.load().comfyui_urls == ("http://gpu-1:8188", "https://gpu-2/comfy")


@pytest.mark.parametrize(
    "urls",
    [
        *("", " , ", "gpu-1:8188", "ftp://gpu-1", "/path", "file:///etc/passwd", "http://"),
        *("http://gpu-1:8188,http://gpu-1:8188/", "http://a@gpu,http://gpu"),
    ],
)
def test_a_driver_needs_servers_that_can_be_told_apart(monkeypatch, urls) -> None:
    monkeypatch.setenv("COMFYUI_URLS", urls)
    with pytest.raises(SettingsError, match="COMFYUI_URLS"):
        DriverSettings.load()


def test_the_hard_limit_is_not_below_the_soft_one(monkeypatch) -> None:
    monkeypatch.setenv("SOFT_LIMIT_SECONDS", "2000")
    with pytest.raises(SettingsError, match="hard_limit_seconds"):
        GenerationSettings.load()


def test_only_a_driver_needs_servers(monkeypatch) -> None:
    monkeypatch.delenv("COMFYUI_URLS", raising=False)
    assert GenerationSettings.load().comfyui_urls == ()
    with pytest.raises(SettingsError, match="COMFYUI_URLS"):
        DriverSettings.load()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://gpu-1:8188", "gpu-1:8188"),
        ("https://user:secret@proxy/gpu-1/", "proxy:443/gpu-1"),
    ],
)
def test_a_server_is_called_by_its_address_without_credentials(url, name) -> None:
    assert server_name(url) == name
