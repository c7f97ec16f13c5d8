"""What has to hold whatever the load: revision, roles, rights, triggers, sequences, outbox, dead letters, proofs."""

from collections.abc import Sequence

from genonaut.platform.doctor.declared import SEQUENCE_DO, sequence_is_behind
from genonaut.platform.doctor.findings import Finding, Level, Patient, Row, listed
from genonaut.platform.migrations import newest_revision
from genonaut.platform.provisioning import KEPT, SERVICES, UNSEEN, login

_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")


async def revision(patient: Patient) -> Sequence[Finding]:
    newest = newest_revision(patient.schema)
    found = [row["version_num"] for row in await patient.rows("SELECT version_num FROM schema_version")]
    if found == [newest]:
        return [Finding("revision", "ok", f"the schema is at {newest}, the newest this code knows")]
    do = f"genonaut {patient.schema} migrate, or run the code that the schema was made for"
    return [Finding("revision", "bad", f"the schema is at {listed(found) or 'none'}, the code at {newest}", do)]


async def roles(patient: Patient) -> Sequence[Finding]:
    """Each is there, logs in, and is no more than it should be."""
    names = ["genonaut_admin", "genonaut_rw", "genonaut_ro", login(patient.schema)]
    rows = await patient.rows(
        """
        SELECT rolname, rolcanlogin,
               rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS mighty,
               coalesce(rolconfig, '{}') AS settings
        FROM pg_roles WHERE rolname = ANY(:names) ORDER BY rolname
        """,
        names=names,
    )
    by_name = {row["rolname"]: row for row in rows}
    wrong = [f"{name} is missing" for name in names if name not in by_name]
    for row in rows:
        name, settings = row["rolname"], dict(each.split("=", 1) for each in row["settings"])
        if row["mighty"]:
            wrong.append(f"{name} may do more than it should")
        if not row["rolcanlogin"]:
            wrong.append(f"{name} cannot log in")
        if name != "genonaut_admin" and "statement_timeout" not in settings:
            wrong.append(f"{name} has no statement_timeout")
        if name == login(patient.schema) and settings.get("search_path") != patient.schema:
            wrong.append(f"{name} has another search_path")
    return [_as_provisioned("roles", wrong, "three roles and the service's login are as provisioned")]


async def rights(patient: Patient) -> Sequence[Finding]:
    """On the schema and on every table: each role has what provisioning gives, and no more."""
    schema_rows = await patient.rows(
        """
        SELECT r.rolname AS role, has_schema_privilege(r.oid, n.oid, 'USAGE') AS uses,
               has_schema_privilege(r.oid, n.oid, 'CREATE') AS creates, pg_get_userbyid(n.nspowner) AS owner
        FROM pg_namespace n CROSS JOIN pg_roles r WHERE n.nspname = :schema AND r.rolname = ANY(:names)
        """,
        schema=patient.schema,
        names=["genonaut_rw", "genonaut_ro", *map(login, SERVICES)],
    )
    wrong = []
    guests = {"genonaut_rw", "genonaut_ro", login(patient.schema)}
    for row in schema_rows:
        if row["uses"] != (row["role"] in guests):
            wrong.append(f"{row['role']} {'reaches' if row['uses'] else 'does not reach'} the schema")
        if row["creates"]:
            wrong.append(f"{row['role']} may create in the schema")
    if schema_rows and schema_rows[0]["owner"] != "genonaut_admin":
        wrong.append(f"the schema belongs to {schema_rows[0]['owner']}")
    given = {row["kind"] for row in await patient.rows(_DEFAULT_RIGHTS, schema=patient.schema)}
    wrong += [f"new {name} would have no rights" for kind, name in _DEFAULTS.items() if kind not in given]
    for row in await patient.rows(_TABLE_RIGHTS, schema=patient.schema, names=sorted(guests), rights=list(_RIGHTS)):
        wrong += _wrong_rights(row)
    return [_as_provisioned("rights", wrong, "every role has the rights on every table that it should have")]


def _wrong_rights(row: Row) -> list[str]:
    if row["owner"] != "genonaut_admin":
        return [f"{row['table']} belongs to {row['owner']}"]
    expected = {"SELECT"} if row["role"] == "genonaut_ro" else set(_RIGHTS) - {"TRUNCATE"}
    expected -= set(KEPT.get(row["table"], "").split(", "))
    if row["table"] in UNSEEN and row["role"] in {"genonaut_rw", "genonaut_ro"}:
        expected = set()
    found = set(row["rights"])
    return [
        *(f"{row['role']} lacks {right} on {row['table']}" for right in sorted(expected - found)),
        *(f"{row['role']} has {right} on {row['table']}" for right in sorted(found - expected)),
    ]


_DEFAULTS = {"r": "tables", "S": "sequences"}
_DEFAULT_RIGHTS = """
SELECT CAST(defaclobjtype AS text) AS kind FROM pg_default_acl
WHERE defaclnamespace = to_regnamespace(:schema) AND pg_get_userbyid(defaclrole) = 'genonaut_admin'
"""
_TABLE_RIGHTS = """
SELECT c.relname AS table, r.rolname AS role, pg_get_userbyid(c.relowner) AS owner,
       ARRAY(SELECT p FROM unnest(CAST(:rights AS text[])) p WHERE has_table_privilege(r.oid, c.oid, p)) AS rights
FROM pg_class c CROSS JOIN pg_roles r
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind IN ('r', 'p') AND r.rolname = ANY(:names)
ORDER BY 1, 2
"""


def _as_provisioned(about: str, wrong: Sequence[str], well: str) -> Finding:
    if not wrong:
        return Finding(about, "ok", well)
    rows = [{"what": each} for each in wrong]
    return Finding(about, "bad", listed(wrong), "genonaut provision (locally: genonaut up) makes it right again", rows)


async def triggers(patient: Patient) -> Sequence[Finding]:
    """The log has the one that keeps it append-only, and none of the schema is switched off."""
    rows = await patient.rows(
        """
        SELECT c.relname AS table, t.tgname AS trigger, t.tgenabled <> 'D' AS enabled
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = to_regnamespace(:schema) AND NOT t.tgisinternal ORDER BY 1, 2
        """,
        schema=patient.schema,
    )
    wrong = [f"{row['trigger']} on {row['table']} is disabled" for row in rows if not row["enabled"]]
    if ("events", "append_only") not in {(row["table"], row["trigger"]) for row in rows}:
        wrong.append("append_only on events is missing")
    if not wrong:
        return [Finding("triggers", "ok", f"all {len(rows)} are there and on", rows=rows)]
    do = f"ALTER TABLE {patient.schema}.<table> ENABLE TRIGGER <name>; one that is missing: see the migrations"
    return [Finding("triggers", "bad", listed(wrong), do, rows=rows)]


async def own_sequences(patient: Patient) -> Sequence[Finding]:
    """Those that belong to a column: the next number is above every one in it."""
    owned = await patient.rows(
        """
        SELECT s.relname AS sequence, t.relname AS table, a.attname AS column
        FROM pg_class s
        JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        JOIN pg_class t ON t.oid = d.refobjid
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
        WHERE s.relkind = 'S' AND s.relnamespace = to_regnamespace(:schema) ORDER BY 1
        """,
        schema=patient.schema,
    )
    behind = []
    for row in owned:
        behind += await sequence_is_behind(patient, row["sequence"], row["table"], row["column"])
    if behind:
        return [Finding("sequences", "bad", listed(behind), SEQUENCE_DO)]
    return [Finding("sequences", "ok", f"{len(owned)} that belong to a column are ahead of it")]


async def outbox(patient: Patient) -> Sequence[Finding]:
    row = await patient.row(
        """
        SELECT count(*) AS waiting, clock_timestamp() - min(coalesce(o.restored_at, e.time)) AS age
        FROM outbox o JOIN events e ON e.id = o.event_id
        """
    )
    if not row["waiting"]:
        return [Finding("outbox", "ok", "every event has left")]
    limits, age = patient.limits, row["age"]
    level: Level = "bad" if age > limits.outbox_bad else "warn" if age > limits.outbox_warn else "ok"
    says = f"{row['waiting']:,} events wait to leave, the oldest for {age.total_seconds():,.0f} s"
    do = "" if level == "ok" else f"Does {patient.schema} run, and NATS? Its log says why publishing fails"
    return [Finding("outbox", level, says, do)]


async def letters(patient: Patient) -> Sequence[Finding]:
    rows = await patient.rows(
        """
        SELECT consumer, count(*) AS waiting, min(created_at) AS oldest
        FROM dead_letters WHERE redriven_at IS NULL GROUP BY 1 ORDER BY 1
        """
    )
    if not rows:
        return [Finding("dead letters", "ok", "none wait")]
    waiting = listed([f"{row['waiting']:,} of {row['consumer']}" for row in rows])
    do = f"genonaut {patient.schema} dead-letters list; then redrive them when the cause is gone"
    return [Finding("dead letters", "warn", f"waiting: {waiting}", do, rows=rows)]


async def verified(patient: Patient) -> Sequence[Finding]:
    """Whether what is shown was proved equal to what happened, and how long ago."""
    rows = await patient.rows(
        "SELECT projection, verified_at, events, equal, clock_timestamp() - verified_at AS age FROM verifications"
    )
    known = {row["projection"]: row for row in rows}
    names = [projection.name for projection in patient.projections]
    never = [name for name in names if name not in known]
    old = [name for name in names if name in known and known[name]["age"] > patient.limits.verified]
    unequal = [name for name in names if name in known and not known[name]["equal"]]
    do = f"genonaut replay rebuild {' '.join(f'{patient.schema}.{name}' for name in [*unequal, *never, *old])}"
    if unequal:
        says = f"differed from their history when they were last rebuilt: {listed(unequal)}"
        return [Finding("projections", "bad", says, f"{do}, and with --apply when it still differs", rows=rows)]
    if never or old:
        parts = [f"never proved equal to their history: {listed(never)}"] if never else []
        parts += [f"not for {patient.limits.verified.days} days: {listed(old)}"] if old else []
        return [Finding("projections", "warn", "; ".join(parts), do, rows=rows)]
    return [Finding("projections", "ok", f"all {len(names)} were proved equal to their history", rows=rows)]


EXPECTATIONS = (revision, roles, rights, triggers, own_sequences, outbox, letters, verified)
