"""What each role of the Data API may do with each object: read from the catalog, with what it has through public."""

from collections.abc import Sequence

from tests.database.support import Database

ROLES = ("anon", "authenticated", "supatoss_service", "service_role")

Rights = dict[str, str]
"""By role. Relations: letters of an ACL (r select, a insert, w update, d delete, D truncate, x references, t trigger, m
maintain), and after a minus the columns that are left out. Others: yes where the role may use it."""

_LETTERS = {
    "r": "select",
    "a": "insert",
    "w": "update",
    "d": "delete",
    "D": "truncate",
    "x": "references",
    "t": "trigger",
    "m": "maintain",
}
_MAINTAIN_SINCE = 170000

_RELATIONS = """
select n.nspname || '.' || c.relname as name, r.role,
       case when not has_schema_privilege(r.role, n.oid, 'usage') then '' else
         coalesce((select string_agg(l.letter, '' order by l.place)
                   from unnest(%s::text[], %s::text[]) with ordinality l (letter, privilege, place)
                   where has_table_privilege(r.role, c.oid, l.privilege)), '')
         || coalesce((
           select string_agg(distinct p.letter, '') || '-' || (
             select string_agg(h.attname, ',' order by h.attname) from pg_attribute h
             where h.attrelid = c.oid and h.attnum > 0 and not h.attisdropped
               and not has_column_privilege(r.role, c.oid, h.attnum, 'select'))
           from pg_attribute a, (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('x', 'references'))
                  as p (letter, privilege)
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             and has_column_privilege(r.role, c.oid, a.attnum, p.privilege)
             and not has_table_privilege(r.role, c.oid, p.privilege)), '')
       end as rights
from pg_class c join pg_namespace n on n.oid = c.relnamespace, unnest(%s::text[]) r (role)
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_OTHERS = """
select o.kind, o.name, r.role, case when o.kind = 'schema' then
         case when has_schema_privilege(r.role, o.oid, 'create') then 'create'
              when has_schema_privilege(r.role, o.oid, 'usage') then 'yes' else '' end
       when not has_schema_privilege(r.role, o.schema, 'usage') then ''
       when case o.kind when 'function' then has_function_privilege(r.role, o.oid, 'execute')
                        when 'sequence' then has_sequence_privilege(r.role, o.oid, 'usage, select, update')
                        else has_type_privilege(r.role, o.oid, 'usage') end then 'yes' else '' end as rights
from (
  select 'schema' as kind, n.oid, n.oid as schema, n.nspname::text as name from pg_namespace n
  union all
  select 'function', p.oid, p.pronamespace, p.pronamespace::regnamespace || '.' || p.proname from pg_proc p
  union all
  select 'sequence', c.oid, c.relnamespace, c.relnamespace::regnamespace || '.' || c.relname
  from pg_class c where c.relkind = 'S'
  union all
  select 'type', t.oid, t.typnamespace, t.typnamespace::regnamespace || '.' || t.typname
  from pg_type t left join pg_class c on c.oid = t.typrelid
  where t.typelem = 0 and coalesce(c.relkind, 'c') = 'c'
) o, unnest(%s::text[]) r (role)
where o.schema::regnamespace::text = any (%s)
"""


def read_rights(database: Database, schemas: Sequence[str] = ("public", "supatoss")) -> dict[str, Rights]:
    """Every object of these schemas, as `kind schema.name`."""
    letters = [letter for letter in _LETTERS if letter != "m" or has_maintain(database)]
    relations = database.rows(_RELATIONS, letters, [_LETTERS[letter] for letter in letters], list(ROLES), list(schemas))
    others = database.rows(_OTHERS, list(ROLES), list(schemas))
    found: dict[str, Rights] = {}
    for row in [{"kind": "relation", **row} for row in relations] + others:
        found.setdefault(f"{row['kind']} {row['name']}", {})[row["role"]] = row["rights"]
    return found


def has_maintain(database: Database) -> bool:
    """Whether the server knows the privilege MAINTAIN."""
    return database.connection.info.server_version >= _MAINTAIN_SINCE
