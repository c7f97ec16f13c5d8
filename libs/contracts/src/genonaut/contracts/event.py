"""The event class: its durable type name, its version, and how older versions become the current one.

Additive changes (a new field with a default) need nothing. Any other change raises `version` and adds one upcaster
from the version before, so that an event written years ago still decodes to today's class.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

EVENTS: dict[str, type["Event"]] = {}
"""Every event class by its type, e.g. `generation.job.completed`."""


class UndecodableError(Exception):
    """What arrived cannot become an event, now or on a later try."""


class UnknownEventError(UndecodableError):
    """The type, or this version of it, is not in the contracts of this release."""


class InvalidEventError(UndecodableError):
    """The type is known, the data does not fit it."""


class Event(BaseModel):
    """A fact. Subclass with `type` (context.aggregate.verb, past tense) and, from the second shape on, `version`.

    Unknown fields are ignored when read: a newer producer may add some.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    version: ClassVar[int]
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    """From the data of version N (the key) to the data of version N + 1."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__()
        type: str = kwargs["type"]  # noqa: A001 - the CloudEvents word
        version: int = kwargs.get("version", 1)
        if type in EVENTS:
            raise TypeError(f"event type {type} is declared twice: {EVENTS[type].__name__} and {cls.__name__}")
        if set(cls.upcasters) != set(range(1, version)):
            raise TypeError(f"{cls.__name__} is version {version} and needs an upcaster from each version before")
        cls.type, cls.version = type, version
        EVENTS[type] = cls

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()


def decode(type_: str, version: int, data: Mapping[str, Any]) -> Event:
    """The event of today's class, upcast from `version`. Raises UnknownEventError or InvalidEventError."""
    cls = EVENTS.get(type_)
    if cls is None:
        raise UnknownEventError(f"no event type {type_!r} in these contracts")
    if not 1 <= version <= cls.version:
        raise UnknownEventError(f"{type_} is known up to version {cls.version}, this is version {version}")
    fields = dict(data)
    try:
        for older in range(version, cls.version):
            fields = cls.upcasters[older](fields)
        return cls.model_validate(fields)
    except Exception as error:  # an upcaster may stumble over old data in any way
        raise InvalidEventError(f"{type_} version {version}: {error}") from error
