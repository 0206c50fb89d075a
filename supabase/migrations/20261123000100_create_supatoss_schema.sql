-- Internals of supatoss. The Data API exposes `public` only, so nothing in here can be called from outside.
create schema if not exists supatoss;
revoke all on schema supatoss from public;
grant usage on schema supatoss to service_role;

-- Brings the columns of a table that a project already has to the types of a fresh one:
-- timestamps without a zone were written in UTC, amounts were integers.
create or replace function supatoss.adopt_column_types(p_table regclass, p_amounts text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_column record;
begin
  for v_column in
    select a.attname as name, t.typname as type
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
  loop
    if v_column.type = 'timestamp' then
      execute format('alter table %s alter column %I type timestamptz using %I at time zone ''UTC''',
                     p_table, v_column.name, v_column.name);
      if v_column.name in ('created_at', 'updated_at') then
        execute format('alter table %s alter column %I set default now()', p_table, v_column.name);
      end if;
    elsif v_column.name = any (p_amounts) and v_column.type <> 'numeric' then
      execute format('alter table %s alter column %I type numeric', p_table, v_column.name);
    end if;
  end loop;
end;
$$;
revoke all on function supatoss.adopt_column_types(regclass, text[]) from public, anon, authenticated;

-- Replaces every check constraint that is about this one column alone.
create or replace function supatoss.replace_check(p_table regclass, p_column text, p_name text, p_check text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_name text;
begin
  for v_name in
    select c.conname
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column
    where c.conrelid = p_table and c.contype = 'c' and c.conkey = array[a.attnum]
  loop
    execute format('alter table %s drop constraint %I', p_table, v_name);
  end loop;
  execute format('alter table %s add constraint %I check (%s)', p_table, p_name, p_check);
end;
$$;
revoke all on function supatoss.replace_check(regclass, text, text, text) from public, anon, authenticated;

-- Revokes every function of ours from everybody but the service. Migrations that define functions call it last.
create function supatoss.close_functions()
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'supatoss'
       or (n.nspname = 'public' and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'supatoss\_%'))
  loop
    execute format('revoke all on function %s from public, anon, authenticated', v_function);
    execute format('grant execute on function %s to service_role', v_function);
  end loop;
  revoke execute on function supatoss.close_functions() from service_role;
  revoke execute on function supatoss.adopt_column_types(regclass, text[]) from service_role;
  revoke execute on function supatoss.replace_check(regclass, text, text, text) from service_role;
end;
$$;
revoke all on function supatoss.close_functions() from public, anon, authenticated;
