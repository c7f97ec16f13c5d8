"""Which images are in use: by how many items, since when not, and which are on their way out."""

from alembic import op

from genonaut.platform.migrations import statements

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

USE = """
ALTER TABLE images
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN shown_by int NOT NULL DEFAULT 0,
    ADD COLUMN was_shown boolean NOT NULL DEFAULT false,
    ADD COLUMN retired_at timestamptz;
UPDATE images SET last_used_at = used.at, shown_by = used.items, was_shown = used.items > 0
FROM (
    SELECT data -> 'image' ->> 'sha256' AS sha256, max(time) AS at,
           count(*) FILTER (WHERE type = 'content.item.created') AS items
    FROM events
    WHERE type IN ('content.image.uploaded', 'content.item.created') AND data -> 'image' ->> 'sha256' IS NOT NULL
    GROUP BY 1
) used
WHERE used.sha256 = images.sha256;
UPDATE images SET last_used_at = created_at WHERE last_used_at IS NULL;
ALTER TABLE images
    ALTER COLUMN last_used_at SET NOT NULL,
    ALTER COLUMN shown_by DROP DEFAULT,
    ALTER COLUMN was_shown DROP DEFAULT;
CREATE INDEX ix_images_unused ON images (last_used_at, sha256) WHERE shown_by = 0 AND retired_at IS NULL;
CREATE INDEX ix_images_retired ON images (retired_at, sha256) WHERE retired_at IS NOT NULL;
"""


def upgrade() -> None:
    for statement in statements(USE):
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "ALTER TABLE images DROP COLUMN last_used_at, DROP COLUMN shown_by, DROP COLUMN was_shown,"
        " DROP COLUMN retired_at"
    )
