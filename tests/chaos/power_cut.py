"""What a power cut leaves of the files of a killed server: at least what was synced, and here nothing more than that.

`Syncs` follows a running process with strace and knows for each file how much of it had been synced. `cut` then takes
from the files what had not. The rules are those of POSIX at its least friendly, with two exceptions:

* Bytes are durable when an fsync that began after their write has returned, or when the file was opened with O_SYNC.
* A new name (made or renamed) is durable when its folder has been synced, or, as on ext4 and xfs, the new file itself.
  A rename that was not is gone with the file, the old version of it too.
* What was there when strace began is taken as synced. A write over synced bytes is taken as done, and so is an unlink.

`lose_tail`, `zero_tail` and `lose_last_block` take more than a power cut can take from a server that syncs.
"""

import re
import shutil
import signal
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

STRACE = shutil.which("strace")
_CALLS = "openat,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2"
# strace pads the number of a thread to five digits.
_UNFINISHED = re.compile(r"(?P<thread>\d+) +(?P<call>\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<rest>.*)$")
_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?)")
_ATTACHED = re.compile(r"Process \d+ attached")
_NO_CALL = re.compile(r"\d+ +(---|\+\+\+) ")
"""A signal, or the end of a thread."""
_FILE = re.compile(r"\d+<(?P<path>/[^>]*)>")
_NAME = re.compile(r'"(?P<path>/[^"]*)"')


@dataclass
class Syncs:
    """Of the files below a folder. Give it the lines of a trace in their order."""

    folder: Path
    written: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By path: up to which byte the file has been written."""
    synced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    nameless: set[str] = field(default_factory=set)
    """Names that a power cut would take."""
    synchronous: set[str] = field(default_factory=set)
    """Files whose every write is synced."""
    _begun: dict[str, tuple[str, dict[str, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Syncs":
        syncs = cls(folder)
        for path in folder.rglob("*"):
            if path.is_file():
                syncs.written[str(path)] = syncs.synced[str(path)] = path.stat().st_size
        return syncs

    def follow(self, line: str) -> None:
        """Raises ValueError for what is no line of a trace."""
        if begun := _UNFINISHED.match(line):
            self._begun[begun["thread"]] = (begun["call"], dict(self.written))
            return
        written: dict[str, int] = self.written
        if resumed := _RESUMED.match(line):
            call, written = self._begun.pop(resumed["thread"], ("", self.written))
            line = f"{resumed['thread']} {call}{resumed['rest']}"
        if call_ := _CALL.match(line):
            if call_["result"].isdecimal():  # neither refused nor cut off
                self._take(call_["name"], call_["arguments"], int(call_["result"]), written)
        elif not _NO_CALL.match(line):
            raise ValueError(f"strace wrote what is not understood: {line}")

    def _take(self, name: str, arguments: str, result: int, written: dict[str, int]) -> None:
        """`written` is how things were when the call began: what came later an fsync need not have seen."""
        if name == "openat":
            self._open(arguments)
        elif name.startswith("rename"):
            old, new = _NAME.findall(arguments)
            for known in (self.written, self.synced):
                known[new] = known.pop(old, 0)
            self.nameless.discard(old)
            self.nameless.add(new)
        elif file := _FILE.match(arguments):
            path = file["path"]
            if name.startswith("f"):
                self._sync(path, written)
            else:
                start = int(arguments.rsplit(", ", 1)[1]) if name.startswith("p") else self.written[path]
                self.written[path] = max(self.written[path], start + result)
                if path in self.synchronous:
                    self._sync(path, self.written)

    def _open(self, arguments: str) -> None:
        path = next(iter(_NAME.findall(arguments)), "")
        if "O_CREAT" in arguments and path not in self.written:
            self.nameless.add(path)
        if "O_TRUNC" in arguments:
            self.written[path] = self.synced[path] = 0
        if "O_SYNC" in arguments or "O_DSYNC" in arguments:
            self.synchronous.add(path)

    def _sync(self, path: str, written: dict[str, int]) -> None:
        if Path(path).suffix or path in self.written:
            self.synced[path] = max(self.synced[path], written.get(path, 0))
            if path not in self.synchronous:
                self.nameless.discard(path)
        self.nameless -= {name for name in self.nameless if str(Path(name).parent) == path}

    def cut(self) -> int:
        """Takes from the files what was not synced. Gives how many bytes."""
        lost = 0
        for path in [path for path in self.folder.rglob("*") if path.is_file()]:
            name, size = str(path), path.stat().st_size
            durable = 0 if name in self.nameless else self.synced.get(name, 0)
            if size > durable:
                lost += size - durable
                _shorten(path, durable)
        return lost


class Strace:
    """Follows what a process does to the files of a folder, from `attach` until the process has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch = TemporaryDirectory()
        self._trace = Path(self._scratch.name) / "trace"
        self._process: subprocess.Popen[str] | None = None
        self._syncs = Syncs(folder)

    def attach(self, pid: int) -> None:
        """Raises PermissionError where processes may not be traced."""
        assert STRACE
        self._syncs = Syncs.of(self._folder)
        options = ("-f", "-y", "-s", "0", "-e", f"trace={_CALLS}", "-o", str(self._trace))
        self._process = subprocess.Popen([STRACE, *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        for line in self._process.stderr:
            if _ATTACHED.search(line):
                return
        raise PermissionError("strace may not attach to it")

    def end(self) -> Syncs:
        """When the process has ended."""
        assert self._process
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=10)
        for line in self._trace.read_text(errors="replace").splitlines():
            self._syncs.follow(line)
        self._scratch.cleanup()
        return self._syncs


def blocks(store: Path, stream: str) -> list[Path]:
    """The files that hold the messages of a stream, oldest first."""
    found = store.rglob(f"streams/{stream}/msgs/*.blk")
    return sorted((path for path in found if "batches" not in path.parts), key=lambda path: int(path.stem))


def lose_tail(store: Path, stream: str, size: int) -> None:
    """The last bytes of a stream are gone, most likely in the middle of a message."""
    last = blocks(store, stream)[-1]
    _shorten(last, max(0, last.stat().st_size - size))


def zero_tail(store: Path, stream: str, size: int) -> None:
    """The file has its length, but its last bytes never came to the disk."""
    last = blocks(store, stream)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-size] + bytes(len(whole[-size:])))


def lose_last_block(store: Path, stream: str) -> None:
    blocks(store, stream)[-1].unlink()


def _shorten(path: Path, size: int) -> None:
    if size:
        with path.open("r+b") as file:
            file.truncate(size)
    else:
        path.unlink()
