"""The rules of Supabase's database linter (splinter) that a schema can break, as queries of our own.

Left out is what a running server shows (unused indexes, bloat, replication slots, versions), what supatoss has none of
(queues, buckets, foreign keys to auth), and anonymous sign-ins, whose users own rows like others. Each query has the
schemas as %(schemas)s and returns names.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tests.database.support import Database

_POLICIES = """
select p.polname as policy, p.polrelid, p.polroles, p.polcmd, p.polpermissive, c.relrowsecurity,
       p.polrelid::regclass || ': ' || p.polname as name,
       pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as with_check
from pg_policy p join pg_class c on c.oid = p.polrelid
where c.relnamespace::regnamespace::text = any (%(schemas)s)
"""
_RELATIONS = """
select c.oid, c.relkind, c.reloptions, c.relrowsecurity, c.oid::regclass::text as name, c.relnamespace
from pg_class c where c.relnamespace::regnamespace::text = any (%(schemas)s)
"""
_DEFINERS = """
select p.oid::regprocedure::text as name from pg_proc p
where p.pronamespace::regnamespace::text = any (%(schemas)s) and p.prosecdef
  and has_schema_privilege('{0}', p.pronamespace, 'usage') and has_function_privilege('{0}', p.oid, 'execute')
"""
_GRAPHQL = f"""
select r.name from ({_RELATIONS}) r
where r.relkind in ('r', 'v', 'm', 'f') and has_schema_privilege('{{0}}', r.relnamespace, 'usage')
  and has_any_column_privilege('{{0}}', r.oid, 'select')
"""

RULES: Mapping[str, str] = MappingProxyType(
    {
        "unindexed_foreign_keys": """
            select k.conrelid::regclass || ': ' || k.conname as name from pg_constraint k
            where k.contype = 'f' and k.connamespace::regnamespace::text = any (%(schemas)s) and not exists (
              select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
                and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)""",
        "auth_users_exposed": f"""
            select r.name from ({_RELATIONS}) r
            where r.relkind in ('v', 'm') and pg_get_viewdef(r.oid) ~ '\\mauth\\.users\\M'""",
        "auth_rls_initplan": f"""
            select p.name from ({_POLICIES}) p cross join lateral (values (p.qual), (p.with_check)) as e (text)
            where p.relrowsecurity and e.text ~ '\\mauth\\.\\w+\\(\\)|current_setting\\('
              and e.text !~* 'select\\s+(auth\\.\\w+\\(\\)|current_setting\\()'""",
        "no_primary_key": f"""
            select r.name from ({_RELATIONS}) r where r.relkind in ('r', 'p')
              and not exists (select from pg_index i where i.indrelid = r.oid and i.indisprimary)""",
        "multiple_permissive_policies": f"""
            select p.polrelid::regclass || ': ' || r.role || ' ' || a.action as name
            from ({_POLICIES}) p
            join unnest(array['anon', 'authenticated']) as r (role)
              on 0 = any (p.polroles) or r.role::regrole = any (p.polroles)
            join unnest(array['r', 'a', 'w', 'd']) as a (action) on p.polcmd in ('*', a.action::"char")
            where p.polpermissive group by p.polrelid, r.role, a.action having count(*) > 1""",
        "policy_exists_rls_disabled": f"select p.name from ({_POLICIES}) p where not p.relrowsecurity",
        "rls_enabled_no_policy": f"""
            select r.name from ({_RELATIONS}) r where r.relkind in ('r', 'p') and r.relrowsecurity
              and not exists (select from pg_policy p where p.polrelid = r.oid)""",
        "duplicate_index": """
            select i.indrelid::regclass || ': ' || string_agg(i.indexrelid::regclass::text, ', ') as name
            from pg_index i join pg_class c on c.oid = i.indexrelid
            where c.relnamespace::regnamespace::text = any (%(schemas)s)
            group by i.indrelid, replace(pg_get_indexdef(i.indexrelid), c.relname, '') having count(*) > 1""",
        "security_definer_view": f"""
            select r.name from ({_RELATIONS}) r where r.relkind = 'v' and not exists (
              select from pg_options_to_table(r.reloptions) o
              where o.option_name = 'security_invoker' and o.option_value::boolean)""",
        "function_search_path_mutable": """
            select p.oid::regprocedure::text as name from pg_proc p
            where p.pronamespace::regnamespace::text = any (%(schemas)s)
              and not exists (select from unnest(p.proconfig) as s where s like 'search\\_path=%%')""",
        "rls_disabled_in_public": f"""
            select r.name from ({_RELATIONS}) r where r.relkind in ('r', 'p') and not r.relrowsecurity""",
        "extension_in_public": "select extname as name from pg_extension where extnamespace = 'public'::regnamespace",
        "rls_references_user_metadata": f"""
            select p.name from ({_POLICIES}) p where concat(p.qual, p.with_check) ~ 'user_metadata'""",
        "materialized_view_in_api": f"select r.name from ({_RELATIONS}) r where r.relkind = 'm'",
        "foreign_table_in_api": f"select r.name from ({_RELATIONS}) r where r.relkind = 'f'",
        "unsupported_reg_types": f"""
            select r.name || ': ' || a.attname as name from ({_RELATIONS}) r
            join pg_attribute a on a.attrelid = r.oid and a.attnum > 0
            join pg_type t on t.oid = a.atttypid and t.typnamespace = 'pg_catalog'::regnamespace
            where t.typname like 'reg%%' and t.typname not in ('regclass', 'regrole', 'regtype')""",
        "rls_policy_always_true": f"""
            select p.name from ({_POLICIES}) p cross join lateral (values (p.qual), (p.with_check)) as e (text)
            where p.polpermissive and replace(e.text, ' ', '') ~* '^\\(*(true|1=1|''(\\w*)''=''\\2'')\\)*$'""",
        "rls_policy_null_auth_disjunct": f"""
            select p.name from ({_POLICIES}) p
            where p.polpermissive and p.qual ~* 'auth\\.\\w+\\(\\).{{0,20}} is null'""",
        "pg_graphql_anon_table_exposed": _GRAPHQL.format("anon"),
        "pg_graphql_authenticated_table_exposed": _GRAPHQL.format("authenticated"),
        "anon_security_definer_function_executable": _DEFINERS.format("anon"),
        "authenticated_security_definer_function_executable": _DEFINERS.format("authenticated"),
        "autovacuum_disabled": f"""
            select r.name from ({_RELATIONS}) r where 'autovacuum_enabled=false' = any (r.reloptions)""",
        "invalid_index": """
            select i.indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
            where c.relnamespace::regnamespace::text = any (%(schemas)s) and not i.indisvalid""",
    }
)


def findings(database: Database) -> set[tuple[str, str]]:
    """What the rules find in public and in supatoss: rule and name."""
    found: set[tuple[str, str]] = set()
    with database.connection.cursor() as cursor:
        for rule, query in RULES.items():
            rows = cursor.execute(query, {"schemas": ["public", "supatoss"]}).fetchall()
            found |= {(rule, str(row[0])) for row in rows}
    return found
