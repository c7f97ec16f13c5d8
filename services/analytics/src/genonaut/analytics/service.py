"""The analytics service on one page."""

from genonaut.analytics.generation.api import router as generation_router
from genonaut.analytics.generation.projection import generations_projection
from genonaut.analytics.routes.api import router as routes_router
from genonaut.analytics.routes.projection import routes_projection
from genonaut.analytics.settings import AnalyticsSettings
from genonaut.platform.consumers import Consumer
from genonaut.platform.service import Service

service = Service(
    name="analytics",
    settings=AnalyticsSettings,
    summary="Requests and generations, measured and rolled up hour by hour.",
    routers=[routes_router, generation_router],
    projections=[routes_projection, generations_projection],
    consumers=[Consumer.follow(routes_projection, batch=500), Consumer.follow(generations_projection, batch=500)],
    relays=False,  # it states nothing
)
