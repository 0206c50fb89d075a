-- Internals of supatoss. The Data API exposes `public` only, so nothing in here can be called from outside.
create schema if not exists supatoss;
revoke all on schema supatoss from public, anon, authenticated;
grant usage on schema supatoss to service_role;

-- A role for the service alone: it calls the functions that the service calls, and can read and write nothing else
-- (close_functions grants them). The Data API takes it from a JWT with `"role": "supatoss_service"`. Roles belong to
-- the server, so another database may have made it. Whoever may make none goes on with service_role.
do $$
begin
  begin
    create role supatoss_service nologin noinherit;
  exception when duplicate_object or unique_violation then
    null;
  end;
  if to_regrole('authenticator') is not null and not pg_has_role('authenticator', 'supatoss_service', 'member') then
    grant supatoss_service to authenticator;
  end if;
  grant usage on schema public to supatoss_service;
exception when insufficient_privilege then
  raise notice 'the role supatoss_service could not be set up (%): the service needs a key of service_role', sqlerrm;
end;
$$;

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

-- Revokes every function of ours from everybody but the service, and lets supatoss_service call those that the service
-- calls. They switch to service_role, for which a project's triggers, policies and grants are made: with security
-- definer its triggers would run as the owner of the migrations. Each session of the Data API may switch, for it is
-- authenticator's. `supatoss harden` and `correct-times` stay with service_role.
-- Migrations that define functions call it last.
create function supatoss.close_functions()
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_function record;
begin
  revoke all on all tables in schema supatoss from public, anon, authenticated;
  revoke all on all sequences in schema supatoss from public, anon, authenticated;
  for v_function in
    select p.oid::regprocedure as name,
           p.proname in ('lock_adopted', 'take_views', 'return_views', 'adopt_columns', 'now_pattern', 'widen_check',
                         'validate_checks', 'is_unique', 'has_index', 'add_clock', 'restrict_new',
                         'order_ids_by_time', 'drop_policies', 'close_functions', 'find_zones', 'keep_old_times',
                         'describe_table')
             as is_for_migrations,
           n.nspname <> 'supatoss' and p.proname not in ('supatoss_harden_v1', 'supatoss_correct_times_v1')
             and to_regrole('supatoss_service') is not null as is_for_the_service,
           'role=service_role' = any (p.proconfig) as switches
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'supatoss'
       or (n.nspname = 'public'
           and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'read\_known\_keys\_v_'
                or p.proname like 'supatoss\_%'))
  loop
    execute format('revoke all on function %s from public, anon, authenticated', v_function.name);
    if v_function.is_for_migrations then
      execute format('revoke all on function %s from service_role', v_function.name);
    else
      execute format('grant execute on function %s to service_role', v_function.name);
    end if;
    if v_function.is_for_the_service then
      execute format('grant execute on function %s to supatoss_service', v_function.name);
      if v_function.switches is not true then
        execute format('alter function %s set role to service_role', v_function.name);
      end if;
    end if;
  end loop;
end;
$$;

select supatoss.close_functions();
