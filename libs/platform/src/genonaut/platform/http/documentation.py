"""`/docs` and `/redoc` of an application, with their scripts from here: they work offline, and tell nobody else.

The scripts are Swagger UI's and ReDoc's, as the package fastapi-offline carries them.
"""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

OPENAPI = "/openapi.json"
SCRIPTS = "/docs/scripts"
NO_ICON = "data:,"


def install_documentation(app: FastAPI) -> None:
    """The two pages about the document at `/openapi.json`, for an app that has none of its own (`docs_url=None`)."""
    app.mount(SCRIPTS, StaticFiles(directory=_scripts()), name="scripts of the documentation")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=OPENAPI,
            title=app.title,
            swagger_js_url=f"{SCRIPTS}/swagger-ui-bundle.js",
            swagger_css_url=f"{SCRIPTS}/swagger-ui.css",
            swagger_favicon_url=NO_ICON,
        )
        return _closed(page)

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=OPENAPI,
            title=app.title,
            redoc_js_url=f"{SCRIPTS}/redoc.standalone.js",
            redoc_favicon_url=NO_ICON,
            with_google_fonts=False,
        )
        return _closed(page)


def _closed(page: HTMLResponse) -> HTMLResponse:
    """The page, which browsers let load nothing from elsewhere: ReDoc would fetch its logo."""
    page.headers["Content-Security-Policy"] = "default-src 'self' 'unsafe-inline' data: blob:"
    return page


def _scripts() -> Path:
    package = find_spec("fastapi_offline")  # without importing it: it is only a folder to us
    if package is None or package.origin is None:
        raise ModuleNotFoundError("fastapi-offline is not installed; it carries the scripts of /docs")
    return Path(package.origin).parent / "static"
