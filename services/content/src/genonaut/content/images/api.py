"""Images: upload, and serve by hash.

What a hash names never changes, so caches may keep it for ever and a part of it always fits the rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from genonaut.content.images import queries
from genonaut.content.images.addresses import AddressesDep, Rendition
from genonaut.content.images.commands import take_in
from genonaut.content.images.renditions import Renditions
from genonaut.content.images.schemas import (
    SIZES,
    StoredImageBody,
    UnsatisfiableRangeError,
    byte_range,
    names_tag,
    preferred_format,
)
from genonaut.content.users.queries import is_active
from genonaut.platform.http.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    Problem,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from genonaut.platform.http.routing import Router
from genonaut.platform.images import MEDIA_TYPES, ImageError, RenditionFormat, RenditionSize
from genonaut.platform.objects import ObjectNotFoundError, ObjectStore, ObjectStoreError
from genonaut.platform.pictures.pool import PicturesBusyError
from genonaut.platform.service import RuntimeDep

log = structlog.get_logger()

PREFIX = "/api/v1/images"
MAX_UPLOAD_BYTES = 32 * 1024 * 1024

router = Router(prefix=PREFIX, tags=["images"])

_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FOR_EVER = 31_536_000
"""Seconds that a cache may keep what never changes."""
_SHARED = 600
"""The same for those that many use: what has become private is not shown to others for long."""


@router.post(
    "",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(MEDIA_TYPES, _BYTES)}},
    responses={
        413: {"description": "More than 32 MiB"},
        415: {"description": "Neither PNG, JPEG nor WebP"},
        422: {"description": "The bytes are not a sound image"},
    },
)
async def upload_image(
    request: Request,
    runtime: RuntimeDep,
    addresses: AddressesDep,
    user_id: Annotated[
        UUID | None, Query(description="Who brings it. They see it whoever else keeps it private.")
    ] = None,
) -> StoredImageBody:
    """Upload an image: the body is the file.

    It is decoded completely, and stored with its thumbnails under the SHA-256 of its bytes. Uploading the same file
    again changes nothing. Name the hash in `POST /content` to show it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise UnsupportedMediaTypeError(
            f"An image is uploaded as one of: {', '.join(MEDIA_TYPES)}", headers={"Accept": ", ".join(MEDIA_TYPES)}
        )
    if user_id:
        async with runtime.database.reading() as connection:
            if await is_active(connection, user_id) is False:
                raise InvalidError("This user is not active", loc=("query", "user_id"))
    data = await request.body()
    with _problems("body"):
        image = await take_in(runtime, data, user_id)
    return StoredImageBody.of(image, addresses, viewer=user_id)


@dataclass(frozen=True)
class _Asked:
    """What is asked for, for whom, and for how long the answer may be kept."""

    rendition: Rendition
    viewer: UUID | None
    seconds: int = _FOR_EVER
    signed: bool = False


# A coroutine, because FastAPI sends plain functions to a thread.
async def _asked(
    *,
    addresses: AddressesDep,
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    size: Annotated[RenditionSize | None, Query(description=f"{SIZES} Without it the file itself.")] = None,
    format: Annotated[  # noqa: A002 - the parameter's name
        RenditionFormat | None, Query(description="Of a size. Default: by `Accept`, rather AVIF or WebP.")
    ] = None,
    metadata: Annotated[
        Literal["keep"] | None,
        Query(description="The file as it was brought, with all that it says. For those whose it is."),
    ] = None,
    user_id: Annotated[UUID | None, Query(description="Who looks: private images are for their creators.")] = None,
    expires: Annotated[int | None, Query(ge=0, lt=2**53, description="Of a signed address, as it was given.")] = None,
    signature: Annotated[str | None, Query(max_length=100, description="The same.")] = None,
) -> _Asked:
    if format and size is None:
        raise InvalidError("format is for renditions: say size, too", loc=("query", "format"))
    if metadata and size is not None:
        raise InvalidError("A rendition never has metadata: leave out size", loc=("query", "metadata"))
    rendition = Rendition(sha256, size, format, metadata)
    if expires is None and signature is None:
        return _Asked(rendition, user_id)
    viewer = addresses.viewer(rendition, expires=expires or 0, signature=signature or "")
    if viewer is None or user_id not in {None, viewer}:
        raise ForbiddenError(
            "This address was not given out like this, or is too old. Ask for the item again.",
            error_code="INVALID_SIGNATURE",
        )
    return _Asked(rendition, viewer, addresses.seconds_left(expires or 0), signed=True)


@router.head("/{sha256}", include_in_schema=False)
@router.get(
    "/{sha256}",
    response_class=Response,
    responses={
        200: {"description": "The image", "content": dict.fromkeys((*MEDIA_TYPES, "image/avif"), _BYTES)},
        206: {"description": "The part asked for in `Range`"},
        304: {"description": "The caller has it: `If-None-Match`"},
        403: {"description": "A signed address that is not valid (any more); or metadata of somebody else's file"},
        404: {"description": "No such image, or not for this viewer"},
        416: {"description": "The range begins after the end"},
    },
)
async def get_image(
    *,
    request: Request,
    runtime: RuntimeDep,
    asked: Annotated[_Asked, Depends(_asked)],
    accept: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    range_: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """An image as bytes: the file without its metadata, or in another size.

    A size is made when it is first asked for. The ETag is strong; one `Range` is honoured, also under `If-Range`.
    Private images are for those whose they are: by `user_id`, or at the signed addresses in their items.
    """
    async with runtime.database.reading() as connection:
        seen = await queries.seen_by(connection, asked.rendition.sha256, asked.viewer)
    if seen is None:
        raise NotFoundError("There is no such image")
    if asked.rendition.metadata and not seen.own:
        raise ForbiddenError("The file with its metadata is for those whose it is")
    renditions = Renditions(runtime.objects, runtime.pictures)
    size, form = asked.rendition.size, asked.rendition.format
    if asked.rendition.metadata:
        chosen = renditions.original(seen)
    elif size is None:
        chosen = renditions.clean(seen)
    else:
        chosen = renditions.of(seen, RenditionSize(size), form or preferred_format(accept))
    shared = seen.public and not asked.signed and not asked.rendition.metadata
    whose = f"public, s-maxage={_SHARED}" if shared else "private"
    headers = {
        "ETag": chosen.etag,
        "Cache-Control": f"{whose}, max-age={asked.seconds}, immutable",
        "Content-Type": chosen.media_type,
        "Accept-Ranges": "bytes",
    }
    if size and not form:
        headers["Vary"] = "Accept"
    if names_tag(if_none_match, chosen.etag):
        del headers["Content-Type"]
        return Response(status_code=304, headers=headers)
    if if_range not in {None, chosen.etag}:
        range_ = None
    with _problems("path"):
        key, length = await renditions.located(chosen)
        return await _delivered(runtime.objects, key, length, headers, range_, with_body=request.method != "HEAD")


async def _delivered(
    objects: ObjectStore, key: str, size: int, headers: dict[str, str], range_: str | None, *, with_body: bool
) -> Response:
    """The whole or the part asked for; to HEAD, which knows no ranges, the headers of the whole."""
    if not with_body:
        return Response(headers={**headers, "Content-Length": str(size)})
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
    stored = await objects.get(key, start=start, end=end)
    headers["Content-Length"] = str(stored.end - stored.start)
    if part:
        headers["Content-Range"] = f"bytes {stored.start}-{stored.end - 1}/{stored.size}"
    return StreamingResponse(stored.chunks, status_code=206 if part else 200, headers=headers)


@contextmanager
def _problems(place: str) -> Iterator[None]:
    """`place` is what is wrong when the image is."""
    try:
        yield
    except ImageError as error:
        raise InvalidError(
            f"This cannot be taken as an image: {error}", loc=(place,), error_code="INVALID_IMAGE"
        ) from error
    except PicturesBusyError as error:
        raise UnavailableError(
            "Too many images are being made just now. Try again soon.", error_code="NO_ROOM"
        ) from error
    except ObjectNotFoundError as error:
        log.exception("images.bytes_lost")
        raise NotFoundError("The bytes of this image are gone", error_code="IMAGE_LOST") from error
    except ObjectStoreError as error:
        raise UnavailableError("Images cannot be reached at the moment. Try again soon.") from error
