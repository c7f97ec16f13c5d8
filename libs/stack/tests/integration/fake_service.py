"""Answers /ready, and notes its end in the file `ends`."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TROUBLE = os.environ["TROUBLE"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/crash":
            os._exit(7)
        not_ready = TROUBLE == "never-ready" or Path(os.environ["STATE"], "server-away").exists()
        status = 503 if not_ready else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"database": "unreachable"}' if status == 503 else b"{}")

    def log_message(self, *_: object) -> None:
        pass


def end(*_: object) -> None:
    if TROUBLE == "deaf":
        return
    with Path(os.environ["STATE"], "ends").open("a") as file:
        file.write(os.environ["NAME"] + "\n")
    os._exit(0)


signal.signal(signal.SIGTERM, end)
if TROUBLE == "crash":
    sys.exit("I cannot live like this")
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
