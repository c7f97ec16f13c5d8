"""The pytest plugin: every fixture of the testkit, from one module per subject."""

from genonaut.testkit.buckets import bucket, bucket_server
from genonaut.testkit.platforms import migrated_template, platform, platform_database
from genonaut.testkit.projections import tables_of
from genonaut.testkit.servers import nats, nats_server, own_valkey, postgres, server_state, valkey, valkey_server
from genonaut.testkit.settings import plain_logs

__all__ = [
    "bucket",
    "bucket_server",
    "migrated_template",
    "nats",
    "nats_server",
    "own_valkey",
    "plain_logs",
    "platform",
    "platform_database",
    "postgres",
    "server_state",
    "tables_of",
    "valkey",
    "valkey_server",
]
