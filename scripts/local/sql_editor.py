"""The SQL Editor of the local stack: a function of the local database alone that runs a reading statement."""

import hashlib

from scripts.local.supabase import LocalSupabase

FUNCTION = "local_sql_editor"

# STABLE: PostgreSQL refuses every statement in it that would change something. Text, so that Lite, whose numbers are
# JavaScript's, hands exact numbers on as they are; json and not jsonb, so that columns keep their order.
_DEFINITION = """
create or replace function public.local_sql_editor(statement text) returns text
language plpgsql stable set search_path = public, pg_temp as $$
declare
  rows text;
begin
  execute 'select coalesce(json_agg(r), ''[]'')::text from (' || statement || E'\\n) r' into rows;
  return rows;
end
$$;
revoke all on function public.local_sql_editor(text) from public, anon, authenticated;
grant execute on function public.local_sql_editor(text) to service_role;
"""


def provide(supabase: LocalSupabase) -> None:
    """Defines the function, once a folder and once a change of it. Not while the server runs. Raises StackError."""
    mark = supabase.folder / "sql-editor"
    wanted = hashlib.sha256(_DEFINITION.encode()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return
    supabase.execute(_DEFINITION)
    mark.write_text(wanted)
