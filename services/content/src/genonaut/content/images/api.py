"""Images: upload, and serve by hash.

What a hash names never changes, so caches may keep it for ever and a part of it always fits the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from genonaut.content.images import queries
from genonaut.content.images.commands import take_in
from genonaut.content.images.queries import SeenImage
from genonaut.content.images.schemas import (
    StoredImageBody,
    UnsatisfiableRangeError,
    byte_range,
    names_tag,
    preferred_format,
)
from genonaut.content.users.queries import is_active
from genonaut.contracts.images import ThumbnailSize
from genonaut.platform.http.errors import (
    InvalidError,
    NotFoundError,
    Problem,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from genonaut.platform.http.routing import Router
from genonaut.platform.images import MEDIA_TYPES, ImageError, ThumbnailFormat, image_key, thumbnail_key
from genonaut.platform.objects import ObjectNotFoundError, ObjectStore, ObjectStoreError
from genonaut.platform.service import RuntimeDep

log = structlog.get_logger()

PREFIX = "/api/v1/images"
MAX_UPLOAD_BYTES = 32 * 1024 * 1024
TAKEN = tuple(dict.fromkeys(MEDIA_TYPES.values()))
"""The media types of uploads."""

router = Router(prefix=PREFIX, tags=["images"])

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_CACHEABLE = "max-age=31536000, immutable"


@router.post(
    "",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(TAKEN, _BYTES)}},
    responses={
        413: {"description": "More than 32 MiB"},
        415: {"description": "Neither PNG, JPEG nor WebP"},
        422: {"description": "The bytes are not a sound image"},
    },
)
async def upload_image(
    request: Request,
    runtime: RuntimeDep,
    user_id: Annotated[
        UUID | None, Query(description="Who brings it. They see it whoever else keeps it private.")
    ] = None,
) -> StoredImageBody:
    """Upload an image: the body is the file.

    It is decoded completely, and stored with its thumbnails under the SHA-256 of its bytes. Uploading the same file
    again changes nothing. Name the hash in `POST /content` to show it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in TAKEN:
        raise UnsupportedMediaTypeError(
            f"An image is uploaded as one of: {', '.join(TAKEN)}", headers={"Accept": ", ".join(TAKEN)}
        )
    if user_id:
        async with runtime.database.reading() as connection:
            if await is_active(connection, user_id) is False:
                raise InvalidError("This user is not active", loc=("query", "user_id"))
    data = await request.body()
    with _store_problems():
        try:
            image = await take_in(runtime.store, runtime.objects, data, user_id)
        except ImageError as error:
            raise InvalidError(
                f"This cannot be taken as an image: {error}", loc=("body",), error_code="INVALID_IMAGE"
            ) from error
    return StoredImageBody.of(image, viewer=user_id)


@router.head("/{sha256}", include_in_schema=False)
@router.get(
    "/{sha256}",
    response_class=Response,
    responses={
        200: {"description": "The image", "content": dict.fromkeys(TAKEN, _BYTES)},
        206: {"description": "The part asked for in `Range`"},
        304: {"description": "The caller has it: `If-None-Match`"},
        404: {"description": "No such image, or not for this viewer"},
        416: {"description": "The range begins after the end"},
    },
)
async def get_image(
    *,
    request: Request,
    runtime: RuntimeDep,
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    size: Annotated[ThumbnailSize | None, Query(description="A thumbnail; without it the original.")] = None,
    format: Annotated[  # noqa: A002 - the parameter's name
        ThumbnailFormat | None, Query(description="Of the thumbnail. Default: by `Accept`, rather WebP.")
    ] = None,
    user_id: Annotated[UUID | None, Query(description="Who looks: private images are for their creators.")] = None,
    accept: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    range_: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """An image, or a thumbnail of it, as bytes.

    The ETag is strong; one `Range` is honoured, also under `If-Range`.
    """
    if format and size is None:
        raise InvalidError("format is for thumbnails: say size, too", loc=("query", "format"))
    async with runtime.database.reading() as connection:
        seen = await queries.seen_by(connection, sha256, user_id)
    if seen is None:
        raise NotFoundError("There is no such image")
    chosen = _original(seen) if size is None else _thumbnail(seen, size, format or preferred_format(accept))
    headers = {
        "ETag": chosen.etag,
        "Cache-Control": f"{'public' if seen.public else 'private'}, {_CACHEABLE}",
        "Content-Type": chosen.media_type,
        "Accept-Ranges": "bytes",
    }
    if size and not format:
        headers["Vary"] = "Accept"
    if names_tag(if_none_match, chosen.etag):
        del headers["Content-Type"]
        return Response(status_code=304, headers=headers)
    if if_range not in {None, chosen.etag}:
        range_ = None
    with _store_problems():
        return await _delivered(runtime.objects, chosen, headers, range_, with_body=request.method != "HEAD")


@dataclass(frozen=True)
class _Chosen:
    """What is delivered under one ETag."""

    key: str
    etag: str
    media_type: str


def _original(seen: SeenImage) -> _Chosen:
    sha256 = seen.image.sha256
    return _Chosen(image_key(sha256), f'"{sha256}"', seen.image.media_type)


def _thumbnail(seen: SeenImage, size: ThumbnailSize, format_: ThumbnailFormat) -> _Chosen:
    sha256 = seen.image.sha256
    return _Chosen(thumbnail_key(sha256, size, format_), f'"{sha256}-{size:d}.{format_}"', f"image/{format_}")


async def _delivered(
    objects: ObjectStore, chosen: _Chosen, headers: dict[str, str], range_: str | None, *, with_body: bool
) -> Response:
    """The whole or the part asked for; to HEAD, which knows no ranges, the headers of the whole."""
    if not with_body:
        return Response(headers={**headers, "Content-Length": str(await objects.size(chosen.key))})
    part = None
    if range_:
        size = await objects.size(chosen.key)
        try:
            part = byte_range(range_, size)
        except UnsatisfiableRangeError:
            raise Problem(
                416,
                "Range not satisfiable",
                f"The image has {size} bytes",
                "RANGE_NOT_SATISFIABLE",
                headers={"Content-Range": f"bytes */{size}"},
            ) from None
    start, end = part or (0, None)
    stored = await objects.get(chosen.key, start=start, end=end)
    headers["Content-Length"] = str(stored.end - stored.start)
    if part:
        headers["Content-Range"] = f"bytes {stored.start}-{stored.end - 1}/{stored.size}"
    return StreamingResponse(stored.chunks, status_code=206 if part else 200, headers=headers)


@contextmanager
def _store_problems() -> Iterator[None]:
    try:
        yield
    except ObjectNotFoundError as error:
        log.exception("images.bytes_lost")
        raise NotFoundError("The bytes of this image are gone", error_code="IMAGE_LOST") from error
    except ObjectStoreError as error:
        raise UnavailableError("Images cannot be reached at the moment. Try again soon.") from error
