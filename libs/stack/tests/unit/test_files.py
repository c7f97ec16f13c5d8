"""Logs are rotated, files are whole, ports are different."""

import errno
import stat
from pathlib import Path

import pytest

from genonaut.stack import logs
from genonaut.stack.credentials import Credentials
from genonaut.stack.files import write_whole
from genonaut.stack.logs import last_lines, open_log, rotate
from genonaut.stack.ports import Ports


def append(path: Path, text: str) -> None:
    with open(open_log(path), "a") as log:  # noqa: PTH123 - the descriptor is what is tested
        log.write(text)


def test_a_log_past_its_limit_is_set_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT", 10)
    path = tmp_path / "logs/it.log"
    append(path, "first start\n")
    append(path, "short\n")
    append(path, "more\n")
    assert path.read_text() == "short\nmore\n"
    assert (tmp_path / "logs/it.log.1").read_text() == "first start\n"


def test_a_log_is_rotated_while_its_process_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT", 10)
    path = tmp_path / "it.log"
    with open(open_log(path), "a", buffering=1) as log:  # noqa: PTH123 - as the process has it
        log.write("short\n")
        rotate(path)
        log.write("and more\n")
        rotate(path)
        log.write("after\n")
    assert (tmp_path / "it.log.1").read_text() == "short\nand more\n"
    assert path.read_bytes() == b"after\n"
    assert last_lines(path, since=9) == "    after"


def test_last_lines_begin_with_the_latest_start(tmp_path: Path) -> None:
    path = tmp_path / "it.log"
    path.write_text("old\n")
    append(path, "one\n\ntwo\nthree\n")
    assert last_lines(path, 2, since=4) == "    two\n    three"
    assert last_lines(path, since=4) == "    one\n    two\n    three"
    assert last_lines(tmp_path / "absent.log") == ""


def test_a_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "folder/secret"
    write_whole(path, "one")
    write_whole(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_stays_as_it_was_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_whole(path, "one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("genonaut.stack.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_password_stays_the_same(tmp_path: Path) -> None:
    word = Credentials(tmp_path).of("postgres")
    assert Credentials(tmp_path).of("postgres") == word
    assert Credentials(tmp_path).of("valkey") != word


def test_ports_are_different_and_kept() -> None:
    first = Ports({})
    ports = {name: first.of(name) for name in "abcdef"}
    assert len(set(ports.values())) == 6
    assert first.of("a") == ports["a"]
    again = Ports(ports)
    assert {name: again.of(name) for name in reversed("abcdef")} == ports


def test_two_names_that_had_the_same_port_get_different_ones() -> None:
    port = Ports({}).of("x")
    ports = Ports({"a": port, "b": port})
    assert ports.of("a") == port
    assert ports.of("b") != port
