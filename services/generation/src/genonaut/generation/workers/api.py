"""What others may know of the workers."""

from pydantic import BaseModel, Field

from genonaut.generation.workers import registry
from genonaut.platform.http.routing import Router
from genonaut.platform.service import RuntimeDep

router = Router(tags=["workers"])


class Workers(BaseModel):
    fit: int = Field(description="ComfyUI servers that take jobs. Without any, jobs wait.")


@router.get("/internal/workers", include_in_schema=False)
async def workers(runtime: RuntimeDep) -> Workers:
    """Whether there is anybody to run a job."""
    async with runtime.database.reading() as connection:
        return Workers(fit=await registry.fit(connection))
