"""A stand-in for S3: moto's server, as a process on this machine.

It speaks the protocol that our client speaks, which shows that requests are made and answers read as they should be. It
is not S3: that what was accepted is durable, or that of two conditional puts at once one fails, it cannot show.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from genonaut.stack.ports import answers, free_port
from genonaut.testkit.waiting import wait_until

CREDENTIALS = {
    "AWS_ALLOW_HTTP": "true",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log: Path = tmp_path_factory.mktemp("buckets") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output
        )
    try:
        wait_until(lambda: answers("127.0.0.1", port), reason="moto's server does not start")
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an object store in an empty bucket, which this process has the credentials of."""
    name = f"test-{uuid4().hex}"
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
    requests.put(f"{bucket_server}/{name}", headers=headers, timeout=10).raise_for_status()
    for variable, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": bucket_server}.items():
        monkeypatch.setenv(variable, value)
    return f"s3://{name}/gallery"
