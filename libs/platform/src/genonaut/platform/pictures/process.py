"""A picture process: `python -I -m genonaut.platform.pictures.process <parent> <bytes of memory> <seconds of CPU>`.

It speaks `protocol` over the socket that is its standard input, does one thing after the other, and ends when the other
side does. Before it hears anything from outside it gives up what it does not need: it can open, start and write
nothing, and the kernel ends it when it takes more memory or time than it was given.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from genonaut.platform.pictures import drawing
from genonaut.platform.pictures.protocol import HEAD, Refusal, RefusedError, packed, unpacked

_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    parent, memory, seconds = (int(word) for word in sys.argv[1:])
    warnings.simplefilter("ignore")
    drawing.warm_up()
    _give_up_rights(memory)
    if os.getppid() != parent:
        return
    with socket.socket(fileno=0) as connection, connection.makefile("rb") as asked:
        connection.sendall(packed({"ready": True}, ()))
        while (message := _read(asked)) is not None:
            _allow(seconds)
            fields, parts = _answer(*message)
            connection.sendall(packed(fields, parts))
            for part in parts:
                connection.sendall(part)


def _give_up_rights(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the service, which ends this process
    with suppress(OSError):  # where memory ends all the same, this goes first, and not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    if os.geteuid() == 0:
        with suppress(OSError):  # a root without rights has none to give up
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
    if sys.platform == "linux":
        control = ctypes.CDLL(None).prctl
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # behind the change of user, which undoes it
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, most = resource.getrlimit(what)
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (allowed, allowed))


def _allow(seconds: int) -> None:
    """That much CPU from now on; then the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, most))


def _read(asked: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next message; None when there is no other side any more."""
    length = asked.read(HEAD.size)
    if len(length) < HEAD.size:
        return None
    fields, lengths = unpacked(asked.read(*HEAD.unpack(length)))
    return fields, [asked.read(length) for length in lengths]


def _answer(task: Mapping[str, Any], parts: Sequence[bytes]) -> tuple[dict[str, Any], Sequence[bytes]]:
    (data,) = parts
    try:
        return _done(task, data)
    except RefusedError as error:
        return {"refused": error.refusal}, ()
    except MemoryError:
        return {"refused": Refusal.MEMORY}, ()
    except Exception as error:  # noqa: BLE001 - decoders meet bytes that nobody thought of
        return {"refused": Refusal.BROKEN, "error": f"{type(error).__name__}: {error}"[:500]}, ()


def _done(task: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], Sequence[bytes]]:
    match task["do"]:
        case "take_in":
            facts, clean, made = drawing.take_in(data, task["sizes"], task["formats"])
            return asdict(facts), [b"" if clean is data else clean, *made]
        case "rendition":
            return {}, [drawing.rendition(data, task["size"], task["format"])]
        case "clean":
            clean = drawing.clean(data)
            return {}, [b"" if clean is data else clean]
        case _:
            raise ValueError(task["do"])


if __name__ == "__main__":
    main()
