"""The generation service on one page: the process that answers HTTP. `driver.py` is the one that drives GPUs."""

from genonaut.contracts.streams import GENERATION_ITEMS
from genonaut.generation.jobs.api import router as jobs_router
from genonaut.generation.jobs.consumers import publish
from genonaut.generation.jobs.orphans import look_for_orphans
from genonaut.generation.jobs.projection import jobs_projection
from genonaut.generation.settings import GenerationSettings
from genonaut.generation.users.projection import users_projection
from genonaut.generation.workers.api import router as workers_router
from genonaut.platform.consumers import Consumer
from genonaut.platform.doctor.declared import sequence
from genonaut.platform.service import Service

service = Service(
    name="generation",
    settings=GenerationSettings,
    summary="Takes generation jobs and tells what becomes of them.",
    routers=[jobs_router, workers_router],
    projections=[jobs_projection, users_projection],
    consumers=[
        Consumer.follow(users_projection, batch=200),
        Consumer.react(GENERATION_ITEMS, publish),
    ],
    background=[look_for_orphans],
    checks=[sequence("jobs_id_seq", "generation_jobs.id")],
)
