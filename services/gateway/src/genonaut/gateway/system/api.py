"""`GET /`, `GET /api/v1/health`, and `/openapi.json`, which `/docs` and `/redoc` show."""

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from genonaut.gateway.runtime import RuntimeDep
from genonaut.gateway.system.health import PlatformHealth
from genonaut.platform.http.routing import Router
from genonaut.platform.settings import AppEnv

TITLE = "Genonaut API"
VERSION = "1.0.0"

router = Router(tags=["system"])


class ApiInformation(BaseModel):
    name: str = TITLE
    version: str = VERSION
    environment: AppEnv
    docs: str = "/docs"
    redoc: str = "/redoc"
    openapi: str = "/openapi.json"
    health: str = "/api/v1/health"


@router.get("/")
async def information(runtime: RuntimeDep) -> ApiInformation:
    """What this is, and where to read on."""
    return ApiInformation(environment=runtime.settings.app_env)


@router.get("/api/v1/health", responses={503: {"description": "A part is not well", "model": PlatformHealth}})
async def health(runtime: RuntimeDep, response: Response) -> PlatformHealth:
    """Whether every service, its database, the bus and the cache are well."""
    now = await runtime.health.now(runtime.bus)
    response.status_code = 200 if now.status == "healthy" else 503
    return now


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, runtime: RuntimeDep) -> Response:
    return Response(await runtime.documents.openapi(request.app.openapi), media_type="application/json")
