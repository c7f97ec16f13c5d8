"""Items are found by keys: rows of them, bits made of those, and triggers that note what is not in the bits yet."""

from alembic import op
from sqlalchemy import text

from genonaut.contracts.content.numbers import number_of
from genonaut.platform.migrations import statements

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE search_keys (
    id uuid PRIMARY KEY,
    key int NOT NULL UNIQUE
);
CREATE TABLE search_rows (
    item_id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    keys int[] NOT NULL
);
CREATE INDEX idx_search_rows_created ON search_rows (created_at, item_id);
CREATE INDEX idx_search_rows_keys ON search_rows USING gin (keys);
CREATE TABLE tag_cardinality_stats (
    tag_id uuid NOT NULL,
    content_source text NOT NULL,
    cardinality bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tag_id, content_source)
) WITH (fillfactor = 70);

CREATE TABLE search_blocks (
    block int PRIMARY KEY,
    first_at timestamptz NOT NULL,
    first_id bigint NOT NULL,
    last_at timestamptz NOT NULL,
    last_id bigint NOT NULL,
    next_position int NOT NULL,
    version uuid NOT NULL DEFAULT gen_random_uuid()
);
CREATE TABLE search_positions (
    block int NOT NULL,
    position int NOT NULL,
    item_id bigint NOT NULL UNIQUE,
    PRIMARY KEY (block, position)
);
CREATE TABLE search_segments (
    key int NOT NULL,
    block int NOT NULL,
    cardinality int NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (key, block)
);
ALTER TABLE search_segments ALTER COLUMN bits SET STORAGE EXTERNAL;
CREATE INDEX idx_search_segments_block ON search_segments (block);
CREATE TABLE search_tail (
    item_id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    keys int[],
    block int,
    position int,
    folded_keys int[]
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE SEQUENCE search_blocks_seq AS int;
"""

# What a search has to know beside the segments is noted by whatever changes the rows: a projection that follows events,
# a rebuild that swaps rows in, a person with SQL. Writers hold a lock together that only who moves positions takes
# alone. Those who change what is being folded wait for that first, and look for its position afterwards.
_FUNCTION = (
    "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$BEGIN {body} END$$"
)
_HOLD = """
    PERFORM pg_advisory_xact_lock_shared(hashtext('genonaut search positions'));
    PERFORM FROM search_tail t WHERE t.item_id IN (SELECT c.item_id FROM {rows} c) ORDER BY t.item_id FOR UPDATE;
"""
_INSERTED = f"""{_HOLD.format(rows="new_rows")}
    INSERT INTO search_tail (item_id, created_at, keys)
    SELECT n.item_id, n.created_at, n.keys FROM new_rows n
    ON CONFLICT (item_id) DO UPDATE SET keys = excluded.keys;
    RETURN NULL;
"""
_UPDATED = f"""{_HOLD.format(rows="new_rows")}
    INSERT INTO search_tail (item_id, created_at, keys, block, position, folded_keys)
    SELECT n.item_id, n.created_at, n.keys, p.block, p.position, CASE WHEN p.block IS NOT NULL THEN o.keys END
    FROM new_rows n JOIN old_rows o USING (item_id) LEFT JOIN search_positions p USING (item_id)
    WHERE n.keys <> o.keys
    ON CONFLICT (item_id) DO UPDATE SET keys = excluded.keys;
    RETURN NULL;
"""
_DELETED = f"""{_HOLD.format(rows="old_rows")}
    INSERT INTO search_tail (item_id, created_at, keys, block, position, folded_keys)
    SELECT o.item_id, o.created_at, NULL, p.block, p.position, CASE WHEN p.block IS NOT NULL THEN o.keys END
    FROM old_rows o LEFT JOIN search_positions p USING (item_id)
    ON CONFLICT (item_id) DO UPDATE SET keys = NULL;
    RETURN NULL;
"""
TRIGGERS = [
    _FUNCTION.format(name="search_rows_inserted", body=_INSERTED),
    _FUNCTION.format(name="search_rows_updated", body=_UPDATED),
    _FUNCTION.format(name="search_rows_deleted", body=_DELETED),
    """CREATE TRIGGER search_rows_inserted AFTER INSERT ON search_rows REFERENCING NEW TABLE AS new_rows
       FOR EACH STATEMENT EXECUTE FUNCTION search_rows_inserted()""",
    """CREATE TRIGGER search_rows_updated AFTER UPDATE ON search_rows
       REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
       FOR EACH STATEMENT EXECUTE FUNCTION search_rows_updated()""",
    """CREATE TRIGGER search_rows_deleted AFTER DELETE ON search_rows REFERENCING OLD TABLE AS old_rows
       FOR EACH STATEMENT EXECUTE FUNCTION search_rows_deleted()""",
]

PRESENT = """
INSERT INTO search_rows (item_id, created_at, keys)
SELECT i.id, i.created_at,
       ARRAY(SELECT k.key FROM unnest(i.tag_ids) WITH ORDINALITY AS t (id, number) JOIN search_keys k ON k.id = t.id
             ORDER BY t.number)
       || (SELECT k.key FROM search_keys k WHERE k.id = i.creator_id)
       || ((CASE i.source_type WHEN 'items' THEN 0 ELSE 2 END + i.is_private::int) * 8 + 2)
       || ((array_position(ARRAY['text', 'image', 'video', 'audio'], i.content_type) - 1) * 8 + 3)
       || (q.step * 8 + 4) || (q.step / 16 * 8 + 5)
FROM content_items_all i CROSS JOIN LATERAL (
    SELECT CASE i.quality_score WHEN 0 THEN 0 ELSE least(511, greatest(1, floor(i.quality_score * 512)::int)) END
) AS q (step);
INSERT INTO tag_cardinality_stats (tag_id, content_source, cardinality, updated_at)
SELECT t.id, i.source_type, count(*), max(i.created_at)
FROM content_items_all i CROSS JOIN unnest(i.tag_ids) AS t (id) WHERE NOT i.is_private GROUP BY 1, 2;
ALTER TABLE content_items_all DROP COLUMN tag_ids;
CREATE VIEW content_tags AS
SELECT i.id AS content_id, i.source_type AS content_source, k.id AS tag_id
FROM content_items_all i JOIN search_rows r ON r.item_id = i.id
CROSS JOIN unnest(r.keys) AS u (key) JOIN search_keys k ON k.key = u.key WHERE u.key & 7 = 0;
"""

BACK = """
ALTER TABLE content_items_all ADD COLUMN tag_ids uuid[] NOT NULL DEFAULT '{}';
UPDATE content_items_all i SET tag_ids = ARRAY(
    SELECT k.id FROM search_rows r CROSS JOIN unnest(r.keys) WITH ORDINALITY AS u (key, number)
    JOIN search_keys k ON k.key = u.key WHERE r.item_id = i.id AND u.key & 7 = 0 ORDER BY u.number);
ALTER TABLE content_items_all ALTER COLUMN tag_ids DROP DEFAULT;
CREATE INDEX idx_content_items_all_tags ON content_items_all USING gin (tag_ids);
DROP VIEW content_tags;
DROP TABLE search_keys, search_rows, tag_cardinality_stats;
DROP TABLE search_blocks, search_positions, search_segments, search_tail;
DROP SEQUENCE search_blocks_seq;
DROP FUNCTION search_rows_inserted, search_rows_updated, search_rows_deleted;
"""


def upgrade() -> None:
    for statement in [*statements(TABLES), *TRIGGERS]:
        op.execute(statement)
    connection = op.get_bind()
    for table, kind in (("tags", 0), ("users", 1)):
        ids = connection.scalars(text(f"SELECT id FROM {table}"))
        if numbered := [{"id": id_, "key": number_of(id_) * 8 + kind} for id_ in ids]:
            connection.execute(text("INSERT INTO search_keys (id, key) VALUES (:id, :key)"), numbered)
    for statement in statements(PRESENT):
        op.execute(statement)


def downgrade() -> None:
    for statement in statements(BACK):
        op.execute(statement)
