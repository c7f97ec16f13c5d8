"""Indexes of the items under the names that people know, and when each projection was last proved equal."""

from alembic import op

from genonaut.platform.migrations import VERIFIED, statements

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW = {
    "idx_content_items_all_type_created": ("(content_type, created_at, id)", ""),
    "idx_content_items_all_public_created": ("(created_at, id)", " WHERE NOT is_private"),
    "ix_content_all_metadata_gin": ("USING gin (item_metadata)", ""),
}
"""By name on content_items_all: what, and of which rows."""

RENAMED = {
    "created_at_id_idx": "created_id_desc",
    "creator_id_created_at_id_idx": "creator_created",
    "quality_score_id_idx": "quality_id",
    "updated_at_id_idx": "updated_id",
    "title_id_idx": "title_id",
}
"""Indexes of the partitions that Postgres named after their columns, and how they are called."""

PARTITIONS = ("content_items", "content_items_auto")


def upgrade() -> None:
    for statement in statements(VERIFIED):
        op.execute(statement)
    for name, (what, which) in NEW.items():
        op.execute(f"CREATE INDEX {name} ON ONLY content_items_all {what}{which}")
        for partition in PARTITIONS:
            part = _on(partition, name)
            op.execute(f"CREATE INDEX {part} ON {partition} {what}{which}")
            op.execute(f"ALTER INDEX {name} ATTACH PARTITION {part}")
    for partition in PARTITIONS:
        for given, ours in RENAMED.items():
            op.execute(f"ALTER INDEX {partition}_{given} RENAME TO idx_{partition}_{ours}")


def downgrade() -> None:
    for partition in PARTITIONS:
        for given, ours in RENAMED.items():
            op.execute(f"ALTER INDEX idx_{partition}_{ours} RENAME TO {partition}_{given}")
    for name in NEW:
        op.execute(f"DROP INDEX {name}")
    op.execute("DROP TABLE verifications")


def _on(partition: str, name: str) -> str:
    """The name of a partition's part of an index."""
    if name.endswith("_gin"):
        return name.replace("content_all", partition.replace("content_items", "content"))
    return name.replace("content_items_all", partition)
