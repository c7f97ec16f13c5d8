"""What Postgres counts of itself: sizes, indexes, dead rows, connections, slow statements, long transactions."""

from collections.abc import Sequence

from genonaut.platform.doctor.findings import Finding, Level, Patient, listed, size

FREEZE_WARN, FREEZE_BAD = 1_000_000_000, 1_800_000_000
"""Transactions since the oldest that is not frozen. At two billion Postgres refuses to write."""


async def sizes(patient: Patient) -> Sequence[Finding]:
    rows = await patient.rows(
        """
        SELECT c.relname AS table, pg_total_relation_size(c.oid) AS bytes, pg_relation_size(c.oid) AS heap_bytes,
               pg_indexes_size(c.oid) AS index_bytes, coalesce(s.n_live_tup, 0) AS rows
        FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
        WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind = 'r'
        ORDER BY 2 DESC, 1
        """,
        schema=patient.schema,
    )
    whole = await patient.row("SELECT current_database() AS name, pg_database_size(current_database()) AS bytes")
    own = sum(row["bytes"] for row in rows)
    largest = listed([f"{row['table']} {size(row['bytes'])}" for row in rows], 3)
    says = f"{whole['name']} is {size(whole['bytes'])}, {size(own)} of it in {len(rows)} tables: {largest}"
    return [Finding("size", "ok", says, rows=rows)]


async def unused_indexes(patient: Patient) -> Sequence[Finding]:
    """Large ones that no query has read, unless they keep a constraint."""
    rows = await patient.rows(
        """
        SELECT s.relname AS table, s.indexrelname AS index, s.idx_scan AS scans, s.idx_tup_read AS entries_read,
               s.idx_tup_fetch AS rows_fetched, pg_relation_size(s.indexrelid) AS bytes, i.indisunique AS unique
        FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
        WHERE s.schemaname = :schema ORDER BY s.idx_scan DESC, 2
        """,
        schema=patient.schema,
    )
    since = await patient.row("SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()")
    unused = [
        f"{row['index']} ({size(row['bytes'])})"
        for row in rows
        if not row["scans"] and not row["unique"] and row["bytes"] >= patient.limits.unused_index_bytes
    ]
    if not unused:
        return [Finding("index usage", "ok", f"{len(rows)} indexes, none of them large and idle", rows=rows)]
    when = f"since {since['stats_reset']:%Y-%m-%d}" if since["stats_reset"] else "since the server counts"
    do = "Ask whether a rare report reads them; if none does, a migration drops them"
    return [Finding("index usage", "warn", f"nobody has read {listed(unused)} {when}", do, rows=rows)]


async def missing_indexes(patient: Patient) -> Sequence[Finding]:
    """Tables that are read from end to end again and again."""
    rows = await patient.rows(
        """
        SELECT relname AS table, seq_scan AS scans, seq_tup_read / seq_scan AS rows_a_scan,
               coalesce(idx_scan, 0) AS index_scans
        FROM pg_stat_user_tables
        WHERE schemaname = :schema AND seq_scan > :scans AND seq_tup_read / seq_scan > :rows
        ORDER BY seq_tup_read DESC
        """,
        schema=patient.schema,
        scans=patient.limits.scans,
        rows=patient.limits.rows_a_scan,
    )
    if not rows:
        return [Finding("missing indexes", "ok", "no large table is read from end to end as a habit")]
    tables = listed([f"{row['table']} ({row['scans']:,} times {row['rows_a_scan']:,} rows)" for row in rows])
    do = "Find the statement (pg_stat_statements, or the log with log_min_duration_statement) and EXPLAIN it"
    return [Finding("missing indexes", "warn", f"read from end to end: {tables}", do, rows=rows)]


async def invalid_indexes(patient: Patient) -> Sequence[Finding]:
    """Those that a failed build left behind: they cost every write and serve no read."""
    rows = await patient.rows(
        """
        SELECT CAST(i.indexrelid AS regclass)::text AS index FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = to_regnamespace(:schema) AND NOT (i.indisvalid AND i.indisready) ORDER BY 1
        """,
        schema=patient.schema,
    )
    if not rows:
        return [Finding("invalid indexes", "ok", "every index is whole")]
    names = [row["index"] for row in rows]
    do = f"REINDEX INDEX CONCURRENTLY {patient.schema}.{names[0]}; a partitioned one lacks the part of a partition"
    return [Finding("invalid indexes", "bad", f"not whole: {listed(names)}", do, rows=rows)]


async def dead_rows(patient: Patient) -> Sequence[Finding]:
    rows = await patient.rows(
        """
        SELECT relname AS table, n_dead_tup AS dead, n_live_tup AS live,
               round(n_dead_tup * 100.0 / greatest(n_live_tup + n_dead_tup, 1), 1) AS dead_pct,
               greatest(last_vacuum, last_autovacuum) AS last_vacuum
        FROM pg_stat_user_tables WHERE schemaname = :schema AND n_dead_tup > 0 ORDER BY n_dead_tup DESC
        """,
        schema=patient.schema,
    )
    limits = patient.limits
    bloated = [
        f"{row['table']} ({row['dead_pct']} % dead)"
        for row in rows
        if row["dead"] >= limits.dead_rows and row["dead"] >= limits.dead_share * (row["live"] + row["dead"])
    ]
    if not bloated:
        return [Finding("bloat", "ok", "vacuum keeps up with the dead rows", rows=rows)]
    do = f"VACUUM (ANALYZE) {patient.schema}.<table>; when it does not help, end the long transaction that holds them"
    return [Finding("bloat", "warn", f"dead rows pile up in {listed(bloated)}", do, rows=rows)]


async def statistics_age(patient: Patient) -> Sequence[Finding]:
    """Whether the planner plans with figures of these rows. Autovacuum never analyzes a partitioned table itself."""
    rows = await patient.rows(
        """
        WITH counted AS (
            SELECT s.relname AS table, c.relkind = 'p' AS partitioned,
                   greatest(last_analyze, last_autoanalyze) AS analyzed,
                   coalesce(parts.live, s.n_live_tup) AS live, coalesce(parts.changed, s.n_mod_since_analyze) AS changed
            FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
            LEFT JOIN LATERAL (
                SELECT sum(p.n_live_tup) AS live, NULL::bigint AS changed
                FROM pg_inherits i JOIN pg_stat_user_tables p ON p.relid = i.inhrelid
                WHERE c.relkind = 'p' AND i.inhparent = c.oid
            ) parts ON true
            WHERE s.schemaname = :schema
        )
        SELECT "table", partitioned, analyzed, live, changed FROM counted
        WHERE CASE WHEN partitioned THEN analyzed IS NULL AND live >= :rows
                   ELSE changed >= :rows AND changed >= :share * greatest(live, 1) END
        ORDER BY live DESC
        """,
        schema=patient.schema,
        rows=patient.limits.changed_rows,
        share=patient.limits.changed_share,
    )
    if not rows:
        return [Finding("statistics", "ok", "the planner knows the tables as they are")]
    do = f"ANALYZE {patient.schema}.{rows[0]['table']}"
    named = listed([row["table"] for row in rows])
    return [Finding("statistics", "warn", f"changed a lot since the planner looked: {named}", do, rows=rows)]


async def freezing(patient: Patient) -> Sequence[Finding]:
    age = (await patient.row("SELECT age(datfrozenxid) AS age FROM pg_database WHERE datname = current_database()"))[
        "age"
    ]
    level: Level = "bad" if age > FREEZE_BAD else "warn" if age > FREEZE_WARN else "ok"
    do = (
        "" if level == "ok" else "Look for what keeps autovacuum from freezing (long transactions), then: VACUUM FREEZE"
    )
    return [Finding("freezing", level, f"{age:,} transactions since the oldest that is not frozen", do)]


async def connections(patient: Patient) -> Sequence[Finding]:
    rows = await patient.rows(
        """
        SELECT coalesce(datname, '') AS database, coalesce(usename, '') AS role,
               coalesce(state, 'cannot be seen') AS state, count(*) AS connections
        FROM pg_stat_activity
        WHERE coalesce(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL
        GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
        """
    )
    room = (
        await patient.row(
            """
            SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS n
            """
        )
    )["n"]
    used = sum(row["connections"] for row in rows)
    share = used / room
    level: Level = "ok"
    if share >= patient.limits.connections_warn:
        level = "bad" if share >= patient.limits.connections_bad else "warn"
    do = "" if level == "ok" else "Lower DATABASE_POOL_SIZE or the number of processes, or raise max_connections"
    return [Finding("connections", level, f"{used} of {room} connections are taken", do, rows=rows)]


async def long_transactions(patient: Patient) -> Sequence[Finding]:
    """They keep vacuum from removing dead rows, and hold locks."""
    rows = await patient.rows(
        """
        SELECT pid, usename AS role, application_name AS application, state,
               CAST(extract(epoch FROM clock_timestamp() - xact_start) AS int) AS seconds, left(query, 80) AS query
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
            AND xact_start < clock_timestamp() - CAST(:limit AS interval)
        ORDER BY xact_start
        """,
        limit=patient.limits.transaction,
    )
    hidden = (
        await patient.row(
            """
            SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()
            AND backend_type IS NULL AND usesysid IS NOT NULL
            """
        )
    )["n"]
    note = f" ({hidden} sessions of other roles cannot be seen from here)" if hidden else ""
    if not rows:
        return [Finding("long transactions", "ok", f"none{note}")]
    first = rows[0]
    who = f"{first['application'] or first['role']} for {first['seconds']:,} s, {first['state']}"
    do = f"If nobody waits for it: SELECT pg_terminate_backend({first['pid']})"
    return [Finding("long transactions", "warn", f"{len(rows)} open, the longest {who}{note}", do, rows=rows)]


async def slow_statements(patient: Patient) -> Sequence[Finding]:
    installed = await patient.rows(
        """
        SELECT n.nspname AS schema, has_schema_privilege(n.oid, 'USAGE') AS open,
               current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%' AS loaded
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
        """
    )
    about = "slow statements"
    if not installed or not installed[0]["loaded"]:
        do = (
            "To have it: shared_preload_libraries = 'pg_stat_statements', restart Postgres, and as superuser "
            "CREATE EXTENSION pg_stat_statements"
        )
        return [Finding(about, "ok", "not measured: pg_stat_statements is not there", do)]
    schema = installed[0]["schema"]
    if not installed[0]["open"]:
        do = f"GRANT USAGE ON SCHEMA {schema} TO genonaut_admin, genonaut_{patient.schema}"
        return [Finding(about, "ok", f"not seen: pg_stat_statements is in a schema that is closed to us, {schema}", do)]
    return await slowest(patient, f"{schema}.pg_stat_statements")


async def slowest(patient: Patient, view: str) -> Sequence[Finding]:
    """Of the statements in the view, those that take longer than they should, on average."""
    rows = await patient.rows(
        f"""
        SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS query, calls, total_exec_time AS total_ms,
               mean_exec_time AS mean_ms, stddev_exec_time AS stddev_ms
        FROM {view}
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND calls >= :calls AND mean_exec_time > :ms
        ORDER BY mean_exec_time DESC LIMIT 10
        """,
        calls=patient.limits.statement_calls,
        ms=patient.limits.statement_ms,
    )
    if not rows:
        return [Finding("slow statements", "ok", f"none takes {patient.limits.statement_ms:.0f} ms on average")]
    first = rows[0]
    says = f"{len(rows)} statements, the slowest takes {first['mean_ms']:.0f} ms: {first['query'][:80]}"
    return [Finding("slow statements", "warn", says, "EXPLAIN (ANALYZE, BUFFERS) it", rows=rows)]


STATISTICS = (
    sizes,
    unused_indexes,
    missing_indexes,
    invalid_indexes,
    dead_rows,
    statistics_age,
    freezing,
    connections,
    long_transactions,
    slow_statements,
)
