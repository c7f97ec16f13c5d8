"""The notifications service on one page."""

from genonaut.contracts.streams import NOTIFICATIONS_JOBS, NOTIFICATIONS_RECIPIENTS
from genonaut.notifications.feed.api import router
from genonaut.notifications.feed.consumers import notify
from genonaut.notifications.feed.projection import feed_projection
from genonaut.notifications.recipients.projection import recipients_projection
from genonaut.notifications.settings import NotificationsSettings
from genonaut.platform.consumers import Consumer
from genonaut.platform.doctor.declared import sequence
from genonaut.platform.service import Service

service = Service(
    name="notifications",
    settings=NotificationsSettings,
    summary="Tells people what became of their jobs.",
    routers=[router],
    projections=[recipients_projection, feed_projection],
    consumers=[
        Consumer.follow(recipients_projection, batch=200),
        # Whoever has just asked for notifications is not to miss one because that news is still on its way.
        Consumer.react(NOTIFICATIONS_JOBS, notify, after=NOTIFICATIONS_RECIPIENTS),
    ],
    checks=[sequence("user_notifications_id_seq", "user_notifications.id")],
)
