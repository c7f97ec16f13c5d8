"""The driver on one page: generation's second kind of process, which runs jobs on ComfyUI servers."""

from genonaut.generation.jobs.projection import jobs_projection
from genonaut.generation.settings import DriverSettings
from genonaut.generation.workers.drive import workers
from genonaut.platform.service import Service

driver = Service(
    name="generation",
    process="driver",
    settings=DriverSettings,
    summary="Runs generation jobs on ComfyUI servers.",
    projections=[jobs_projection],
    workers=[workers],
    relays=False,
)
