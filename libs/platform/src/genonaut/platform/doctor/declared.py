"""Checks that a service declares in its wiring, because only it knows what its tables should have.

    checks=[partitions("content_items_all", "content_items", …), trigger("content_items_all", "prompt_is_immutable")]

Any coroutine function from a Patient to findings is one; those here are of kinds that several services have.
Light to import, because serving processes do: what only the command needs is elsewhere.
"""

from collections.abc import Sequence

from genonaut.platform.doctor.findings import Check, Finding, Patient, listed


def partitions(table: str, *names: str) -> Check:
    """The table has these partitions, and no others."""

    async def check(patient: Patient) -> Sequence[Finding]:
        rows = await patient.rows(
            """
            SELECT c.relname AS partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass(:table) ORDER BY 1
            """,
            table=f"{patient.schema}.{table}",
        )
        found = {row["partition"] for row in rows}
        wrong = [f"{name} is not attached to {table}" for name in names if name not in found]
        wrong += [f"{name} is attached to {table}" for name in sorted(found - set(names))]
        if not wrong:
            return [Finding("partitions", "ok", f"{table} has its {len(names)}")]
        do = f"ALTER TABLE {patient.schema}.{table} ATTACH PARTITION … (or DETACH), as the migrations have it"
        return [Finding("partitions", "bad", listed(wrong), do)]

    return check


def trigger(table: str, name: str) -> Check:
    """The table, and each of its partitions, has the trigger. Whether any is disabled is looked at for all of them."""

    async def check(patient: Patient) -> Sequence[Finding]:
        rows = await patient.rows(
            """
            SELECT c.relname AS table, EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = :name) AS has
            FROM pg_class c WHERE c.oid = to_regclass(:table)
               OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:table)) ORDER BY 1
            """,
            table=f"{patient.schema}.{table}",
            name=name,
        )
        missing = [row["table"] for row in rows if not row["has"]] if rows else [table]
        about = f"trigger {name}"
        if not missing:
            return [Finding(about, "ok", f"is on {table}")]
        return [Finding(about, "bad", f"is missing on {listed(missing)}", "Make it again, as the migrations have it")]

    return check


def sequence(name: str, *columns: str) -> Check:
    """The sequence is ahead of these columns, each said as `table.column`."""

    async def check(patient: Patient) -> Sequence[Finding]:
        behind = []
        for each in columns:
            table, _, column = each.partition(".")
            behind += await sequence_is_behind(patient, name, table, column)
        if behind:
            return [Finding(f"sequence {name}", "bad", listed(behind), SEQUENCE_DO)]
        return [Finding(f"sequence {name}", "ok", f"is ahead of {listed(columns)}")]

    return check


SEQUENCE_DO = "SELECT setval('<sequence>', <the highest number>) as the owner, before the next insert fails"


async def sequence_is_behind(patient: Patient, sequence: str, table: str, column: str) -> list[str]:
    """In words, when it is."""
    row = await patient.row(
        f"""
        SELECT (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}) AS given,
               (SELECT max({column}) FROM {table}) AS highest
        """
    )
    if row["highest"] is not None and row["given"] < row["highest"]:
        return [f"{sequence} is at {row['given']}, {table}.{column} at {row['highest']}"]
    return []
