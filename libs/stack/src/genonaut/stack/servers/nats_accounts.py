"""`python -m genonaut.stack.servers.nats_accounts STATE` writes the accounts and users of a stack's NATS server."""

import sys
from pathlib import Path
from typing import get_args

from genonaut.platform.bus_users import ADMIN, PROCESSES, account, user_name
from genonaut.platform.settings import AppEnv
from genonaut.stack.credentials import Credentials


def accounts(state: Path) -> str:
    """One account for each environment, with the passwords of the state folder."""
    credentials = Credentials(state)
    return "".join(
        account(
            environment,
            {name: credentials.of(f"nats_{user_name(environment, name)}") for name in (ADMIN, *PROCESSES)},
        )
        for environment in get_args(AppEnv)
    )


if __name__ == "__main__":
    sys.stdout.write(accounts(Path(sys.argv[1])))
