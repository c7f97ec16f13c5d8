"""The documentation is shown without asking anybody else."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from genonaut.platform.http.documentation import install_documentation
from genonaut.platform.http.errors import install_errors
from genonaut.platform.http.middleware import install_middleware


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(title="Toys", docs_url=None, redoc_url=None, redirect_slashes=False)
    install_documentation(app)
    install_errors(app, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), statement_timeout_ms=1000)
    install_middleware(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(("page", "scripts"), [("/docs", 2), ("/redoc/", 1)])
async def test_everything_a_page_loads_is_here(client: httpx.AsyncClient, page: str, scripts: int) -> None:
    answer = await client.get(page)
    assert answer.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")

    links = [link for link in re.findall(r'(?:src|href)="([^"]*)"', answer.text) if not link.startswith("data:")]
    assert "//" not in "".join(links)
    loaded = [await client.get(link) for link in links]
    assert len([each for each in loaded if len(each.content) > 100_000]) == scripts


async def test_a_script_that_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    for path in ("/docs/scripts/no.js", "/docs/scripts/../__init__.py", "/docs/scripts/..%2f__init__.py"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
