"""A line of a file as an item to be, and back. Pure."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from genonaut.content.items.domain import MAX_PROMPT, MAX_TAGS, MAX_TITLE
from genonaut.contracts.content import ContentType

Format = Literal["ndjson", "tsv"]

COLUMNS = (
    *("title", "prompt", "creator", "source", "content_type", "tags", "quality_score", "is_private"),
    *("created_at", "item_metadata", "content_data"),
)
"""Of a TSV, in the order in which they are written. Read by the names in its first line."""


MAX_CHARACTERS = 800_000
"""Of a line: what it says has to fit into an event."""


ENVELOPE_BYTES = 1_000
"""Of an event: all but its texts and its tags."""
TAG_BYTES = 39


class BadLineError(ValueError):
    """The line is no item; the message says what is wrong with it."""


class Line(BaseModel):
    """What a line says. Its tags are not looked at yet."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE)]
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    creator: str | None = Field(default=None, description="A user name or an id.")
    source: Literal["regular", "items", "auto"] = "regular"
    content_type: ContentType = "image"
    tags: list[str] = Field(default_factory=list, max_length=MAX_TAGS)
    quality_score: float = Field(default=0.5, ge=0, le=1)
    is_private: bool = False
    created_at: AwareDatetime | None = None
    item_metadata: dict[str, Any] = Field(default_factory=dict)
    content_data: str | None = None


def lines(file: Iterable[bytes], format_: Format) -> Iterator[tuple[int, Mapping[str, Any] | bytes]]:
    """The lines that hold something, with their numbers from 1: bytes of JSON, or the fields of a TSV by their names.

    Raises BadLineError for a TSV whose first line names a column that there is not.
    """
    if format_ == "ndjson":
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        return
    texts = (line.decode("utf-8", "surrogateescape") for line in file)
    reader = csv.reader(texts, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
    names = next(reader, [])
    if unknown := set(names) - set(COLUMNS):
        raise BadLineError(f"there is no column {', '.join(sorted(unknown))}; there are: {', '.join(COLUMNS)}")
    for fields in reader:
        if fields:
            yield (
                reader.line_num,
                dict(zip(names, fields, strict=False)) | ({"": "…"} if len(fields) > len(names) else {}),
            )


@dataclass(frozen=True)
class Read:
    """A line of `lines`."""

    number: int
    line: Mapping[str, Any] | bytes
    before: "hashlib._Hash"
    """Of all that the file has up to the end of this line."""

    @property
    def digest(self) -> str:
        return self.before.hexdigest()


def reads(file: Iterable[bytes], format_: Format) -> Iterator[Read]:
    """The same lines, each with the digest of the file up to it."""
    seen = hashlib.sha256()

    def noted() -> Iterator[bytes]:
        for line in file:
            seen.update(line)
            yield line

    for number, line in lines(noted(), format_):
        yield Read(number, line, seen.copy())


def parsed(line: Mapping[str, Any] | bytes) -> Line:
    """What a line of `lines` says. Raises BadLineError."""
    try:
        if isinstance(line, bytes):
            return Line.model_validate(_json(line.decode()))
        return Line.model_validate(_of_fields(line))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise BadLineError(f"{where}: {problem['msg']}" if where else problem["msg"]) from None
    except ValueError as error:
        raise BadLineError(f"this is no JSON: {error}") from None
    except RecursionError:
        raise BadLineError("this is nested too deeply") from None


def message_bytes(line: Line) -> int:
    """About what the event of this item takes on the bus."""
    texts = len(line.title) + len(line.prompt.encode()) + len(line.content_data or "")
    return ENVELOPE_BYTES + texts + len(json.dumps(line.item_metadata)) + TAG_BYTES * len(line.tags)


def _json(text: str) -> Any:
    """Raises ValueError, also for integers that the log cannot hold."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has more than {MAX_CHARACTERS} characters")
    if "\0" in text or "\\u0000" in text:
        raise ValueError("it has a NUL character")
    return _DECODER.decode(text)


def _whole(digits: str) -> int | float:
    """As an integer of 64 bits, or as a float that is written with the same value."""
    number = int(digits)
    if -(2**63) <= number < 2**64:
        return number
    if Decimal(repr(float(digits))) != number:
        raise ValueError(f"{digits[:30]} has more than 64 bits")
    return float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=_whole)


def _of_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """An empty field is one that is not given."""
    given: dict[str, Any] = {name: text for name, text in fields.items() if text}
    if "tags" in given:
        given["tags"] = [word for word in given["tags"].split("|") if word.strip()]
    if "item_metadata" in given:
        given["item_metadata"] = _json(given["item_metadata"])
    if any("\0" in text for text in fields.values()):
        raise ValueError("it has a NUL character")
    return given


def written(row: Mapping[str, Any], format_: Format) -> bytes:
    """A row of `queries.exported` as a line, which `parsed` reads back."""
    said = {
        "title": row["title"],
        "prompt": row["prompt"],
        "creator": row["creator"],
        "source": "auto" if row["source_type"] == "auto" else "regular",
        "content_type": row["content_type"],
        "tags": row["tags"],
        "quality_score": row["quality_score"],
        "is_private": row["is_private"],
        "created_at": row["created_at"],
        "item_metadata": orjson.Fragment(json.dumps(row["item_metadata"])),  # with numbers of any size
        "content_data": row["content_data"],
    }
    if format_ == "ndjson":
        return orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)
    said |= {"tags": "|".join(row["tags"]), "item_metadata": json.dumps(row["item_metadata"])}
    return table_line([_text(said[name]) for name in COLUMNS])


def table_line(fields: Iterable[str]) -> bytes:
    file = io.StringIO()
    csv.writer(file, delimiter="\t", lineterminator="\n").writerow(fields)
    return file.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
