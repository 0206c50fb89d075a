-- Internals of supatoss. The Data API exposes `public` only, so nothing in here can be called from outside.
create schema if not exists supatoss;
revoke all on schema supatoss from public, anon, authenticated;
grant usage on schema supatoss to service_role;

-- Makes new ids begin with the time, like UUIDs of version 7 (RFC 9562, section 5.7), so that they come one after the
-- other in the primary key. A random id touches another page of the index each time, and PostgreSQL writes each page
-- whole into its log when it is touched first after a checkpoint. Built-in functions only: whoever may insert a row
-- may run its defaults. A default of the project's own is left alone.
create function supatoss.order_ids_by_time(p_table regclass)
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform from pg_catalog.pg_attribute a
  join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = p_table and a.attname = 'id' and a.atttypid = 'uuid'::regtype
    and pg_get_expr(d.adbin, d.adrelid) = 'gen_random_uuid()';
  if found then
    -- 48 bits of milliseconds in front; then the version, 4 in a random id, becomes 7 (bits 52 and 53 of the bytes).
    execute format($default$
      alter table %s alter column id set default encode(
        set_bit(set_bit(
          overlay(uuid_send(gen_random_uuid()) placing
            substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
          52, 1), 53, 1),
        'hex')::uuid
    $default$, p_table);
  end if;
end;
$$;

create function supatoss.parse_time(p_text text)
returns timestamptz
language plpgsql stable
set search_path = ''
set timezone = 'Asia/Seoul'
as $$
begin
  return p_text::timestamptz;  -- Without an offset it is Korean time.
exception when data_exception then
  return null;
end;
$$;

-- A policy that a project has on a table of the service alone would open it.
create function supatoss.drop_policies(p_table regclass)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_policy name;
begin
  for v_policy in select p.polname from pg_catalog.pg_policy p where p.polrelid = p_table loop
    execute format('drop policy %I on %s', v_policy, p_table);
  end loop;
end;
$$;

-- Revokes every function of ours from everybody but the service. Migrations that define functions call it last.
create function supatoss.close_functions()
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_function regprocedure;
  v_is_for_migrations boolean;
begin
  for v_function, v_is_for_migrations in
    select p.oid::regprocedure,
           p.proname in ('lock_adopted', 'take_views', 'return_views', 'adopt_columns', 'now_pattern', 'widen_check',
                         'validate_checks', 'is_unique', 'has_index', 'add_clock', 'restrict_new',
                         'order_ids_by_time', 'drop_policies', 'close_functions', 'find_zones', 'keep_old_times')
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'supatoss'
       or (n.nspname = 'public'
           and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'read\_known\_keys\_v_'
                or p.proname like 'supatoss\_%'))
  loop
    execute format('revoke all on function %s from public, anon, authenticated', v_function);
    if v_is_for_migrations then
      execute format('revoke all on function %s from service_role', v_function);
    else
      execute format('grant execute on function %s to service_role', v_function);
    end if;
  end loop;
end;
$$;

select supatoss.close_functions();
