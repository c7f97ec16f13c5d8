"""The content service, wired."""

from genonaut.content.browsing.api import auto_lists, regular_lists
from genonaut.content.credentials.api import router as credentials_router
from genonaut.content.images.api import MAX_UPLOAD_BYTES
from genonaut.content.images.api import PREFIX as IMAGES
from genonaut.content.images.api import router as images_router
from genonaut.content.images.projection import images_projection
from genonaut.content.images.sweep import sweep_images
from genonaut.content.interactions.api import router as interactions_router
from genonaut.content.interactions.api import users_router as user_interactions_router
from genonaut.content.interactions.projection import interactions_projection
from genonaut.content.items.api import auto_router, regular_router
from genonaut.content.items.consumers import publish
from genonaut.content.items.implications import apply_implications
from genonaut.content.items.projection import items_projection
from genonaut.content.jobs.projection import jobs_projection
from genonaut.content.recommendations.api import router as recommendations_router
from genonaut.content.recommendations.api import users_router as user_recommendations_router
from genonaut.content.recommendations.projection import recommendations_projection
from genonaut.content.search.projection import search_projection
from genonaut.content.search.upkeep import keep_folded, recount_now_and_then
from genonaut.content.settings import ContentSettings
from genonaut.content.tag_completion.api import router as tag_completion_router
from genonaut.content.tag_completion.projection import tag_completion_projection
from genonaut.content.tag_hierarchy.api import router as tag_hierarchy_router
from genonaut.content.tag_meanings.api import router as tag_meanings_router
from genonaut.content.tag_meanings.projection import tag_meanings_projection
from genonaut.content.tag_opinions.api import router as tag_opinions_router
from genonaut.content.tag_opinions.projection import tag_opinions_projection
from genonaut.content.tags.api import router as tags_router
from genonaut.content.tags.api import tag_router
from genonaut.content.tags.projection import tags_projection
from genonaut.content.unified.api import cache_router, page_router
from genonaut.content.unified.api import router as unified_router
from genonaut.content.unified.warming import keep_warm
from genonaut.content.users.api import router as users_router
from genonaut.content.users.projection import users_projection
from genonaut.contracts.streams import CONTENT_JOBS
from genonaut.platform.consumers import Consumer
from genonaut.platform.doctor.declared import partitions, sequence, trigger
from genonaut.platform.service import Service

service = Service(
    name="content",
    settings=ContentSettings,
    summary="Users, tags, images, the items of the gallery, what people do with them, and what they may like.",
    routers=[
        users_router,
        credentials_router,
        tags_router,  # first of those of tags, and the one of a single tag last: words are no ids
        tag_hierarchy_router,
        tag_meanings_router,
        tag_opinions_router,
        tag_completion_router,
        tag_router,
        images_router,
        page_router,
        unified_router,
        cache_router,
        regular_lists,  # before the items: their words are no ids
        auto_lists,
        regular_router,
        auto_router,
        interactions_router,
        user_interactions_router,
        recommendations_router,
        user_recommendations_router,
    ],
    projections=[
        users_projection,
        tags_projection,
        tag_meanings_projection,
        tag_opinions_projection,
        tag_completion_projection,
        images_projection,
        items_projection,
        search_projection,
        interactions_projection,
        recommendations_projection,
        jobs_projection,
    ],
    background=[keep_folded, recount_now_and_then, apply_implications, sweep_images, keep_warm],
    consumers=[Consumer.react(CONTENT_JOBS, publish), Consumer.follow(jobs_projection, batch=200)],
    checks=[
        partitions("content_items_all", "content_items", "content_items_auto"),
        trigger("content_items_all", "prompt_is_immutable"),
        sequence("content_items_id_seq", "content_items_all.id"),
    ],
    body_limits={IMAGES: MAX_UPLOAD_BYTES},
)
