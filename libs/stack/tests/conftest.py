import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that every user of the machine can reach."""
    folder = Path(tempfile.mkdtemp(prefix="genonaut-stack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
