"""An examination: every check of a service, each in a read-only snapshot of its own, so that none spoils another."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from genonaut.platform.database import Database
from genonaut.platform.doctor.expectations import EXPECTATIONS
from genonaut.platform.doctor.findings import Check, Finding, Limits, Patient
from genonaut.platform.doctor.statistics import STATISTICS
from genonaut.platform.objects import ObjectStore
from genonaut.platform.service import Service
from genonaut.platform.settings import ServiceSettings
from genonaut.platform.trouble import is_outage

CHECK_MS = 60_000
"""The longest that one statement of a check may take."""


async def examine(
    service: Service[Any], settings: ServiceSettings, *, limits: Limits | None = None
) -> AsyncIterator[Finding]:
    """What every check finds, as it finds it. As the owner where there is one, who may see more than the service.

    Raises DatabaseUnavailableError.
    """
    url = settings.database_admin_url or settings.database_url
    database = Database(
        url.get_secret_value(),
        name=f"genonaut-doctor-{service.name}",
        pool_size=1,
        search_path=service.name,
        statement_timeout_ms=CHECK_MS,
    )

    def objects() -> ObjectStore:
        return ObjectStore.at(str(settings.object_store_url))

    checks: Sequence[Check] = (*STATISTICS, *EXPECTATIONS, *service.checks)
    try:
        for check in checks:
            try:
                async with database.reading() as connection:
                    patient = Patient(service.name, service.projections, connection, objects, limits or Limits())
                    found = await check(patient)
            except Exception as error:
                if is_outage(error):
                    raise
                found = [_failed(check, error)]
            for finding in found:
                yield finding
    finally:
        await database.close()


def _failed(check: Check, error: Exception) -> Finding:
    said = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(check, "__name__", "check").replace("_", " ")
    says = f"could not be looked at: {type(said).__name__}: {str(said).partition(chr(10))[0]}"
    return Finding(name, "bad", says, "A table, a right or the server is not as this code expects it")
