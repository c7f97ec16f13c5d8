"""The generated passwords of one state folder: made once, kept in `secrets.json`, readable by its owner only."""

import json
import secrets
from pathlib import Path

from genonaut.stack.files import write_whole


class Credentials:
    """Passwords by name. A name asked for the first time gets a random one (URL-safe, 192 bits)."""

    def __init__(self, state: Path) -> None:
        self.path = state / "secrets.json"

    def of(self, name: str) -> str:
        """The password of this name, the same at every later start."""
        known = self.all()
        if name not in known:
            known[name] = secrets.token_urlsafe(24)
            write_whole(self.path, json.dumps(known, indent=2) + "\n")
        return known[name]

    def all(self) -> dict[str, str]:
        """Every password made so far."""
        if not self.path.exists():
            return {}
        known: dict[str, str] = json.loads(self.path.read_text())
        return known
