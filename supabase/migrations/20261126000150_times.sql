-- In which zone a project wrote its columns without one. PostgreSQL drops the offset of a literal for such a column, so
-- Toss's `2026-01-01T10:00:00+09:00` stands there as 10:00, Korean wall time, and now() as the wall time of the
-- session. The migrations read all of them in UTC, as no row is rewritten then; this file finds out which columns hold
-- something else, and rows from before are corrected one by one: when they are written next, or by
-- `supatoss correct-times`. What is written from now on has its zone.
create table supatoss.column_zones (
  table_name text not null,
  column_name text not null,
  zone text not null,
  evidence text not null,
  decided_at timestamptz not null default now(),
  primary key (table_name, column_name)
);
alter table supatoss.column_zones enable row level security;
revoke all on table supatoss.column_zones from public, anon, authenticated;
grant select on table supatoss.column_zones to service_role;
comment on table supatoss.column_zones is
  'In which zone the project wrote its columns without a zone, before the adoption. Only Asia/Seoul is corrected.';
comment on column supatoss.column_zones.zone is
  'UTC, Asia/Seoul, or unclear: rows say both, or nothing, and nothing is corrected.';

-- The zone of now() in the sessions of the application: that of its role, else of the database.
create function supatoss.session_zone()
returns text
language sql stable
set search_path = ''
as $$
  select case timezone(s.zone, now()) - timezone('UTC', now())
         when interval '9 hours' then 'Asia/Seoul' when interval '0' then 'UTC' else 'unclear' end
  from (
    select coalesce((
      select substr(c.setting, 10)
      from pg_catalog.pg_db_role_setting r
      left join pg_catalog.pg_roles o on o.oid = r.setrole
      cross join lateral unnest(r.setconfig) as c (setting)
      where c.setting ilike 'timezone=%' and (r.setrole = 0 or o.rolname in ('authenticator', 'service_role'))
        and (r.setdatabase = 0 or r.setdatabase = (select d.oid from pg_catalog.pg_database d
                                                   where d.datname = current_database()))
      order by o.rolname = 'service_role' desc nulls last, o.rolname desc nulls last, r.setdatabase desc limit 1),
      (select p.reset_val from pg_catalog.pg_settings p where p.name = 'TimeZone')) as zone
  ) s
$$;

-- The zone of created_at and updated_at, which hold now() of a session: a time in the future is no time in UTC.
create function supatoss.zone_of_clock(p_table regclass, p_column name, p_default text)
returns supatoss.column_zones
language plpgsql stable
set search_path = ''
set timezone = 'UTC'
as $$
declare
  v_found supatoss.column_zones;
  v_future bigint;
begin
  execute format('select count(*) from %s t where t.%I > now() + interval ''1 hour''', p_table, p_column) into v_future;
  v_found.zone := case when v_future > 0 or p_default ~* 'asia/seoul' then 'Asia/Seoul'
                       when p_default ~* '''utc''' then 'UTC'
                       else supatoss.session_zone() end;
  v_found.evidence := format('default %s, sessions in %s, %s rows in the future if read in UTC',
                             coalesce(p_default, 'none'), supatoss.session_zone(), v_future);
  return v_found;
end;
$$;

-- The zone of a time of the past, by the clocks of its row: nothing happens eight hours after the row was written
-- last, and what happened within minutes of its making and stands eight to nine hours before it was written in UTC
-- beside a Korean clock.
create function supatoss.zone_of_time(p_table regclass, p_column name, p_clock text, p_made text, p_written text)
returns supatoss.column_zones
language plpgsql stable
set search_path = ''
set timezone = 'UTC'
as $$
declare
  v_found supatoss.column_zones;
  v_ahead bigint;
  v_beside bigint;
  v_behind bigint;
begin
  execute format(
    'select count(*) filter (where t.%1$I >= %2$s + interval ''8 hours''),'
    '       count(*) filter (where t.%1$I - %3$s between interval ''-5 minutes'' and interval ''8 hours''),'
    '       count(*) filter (where t.%1$I - %3$s between interval ''-545 minutes'' and interval ''-8 hours'')'
    ' from %4$s t', p_column, p_written, p_made, p_table) into v_ahead, v_beside, v_behind;
  v_found.zone := case
    when v_ahead > 0 and v_beside + v_behind = 0 and p_clock = 'UTC' then 'Asia/Seoul'
    when v_behind > 0 and v_beside + v_ahead = 0 and p_clock = 'Asia/Seoul' then 'UTC'
    when v_ahead + v_behind = 0 then p_clock
    else 'unclear' end;
  v_found.evidence := format(
    '%s rows are 8 hours or more after the row was written last, %s within 8 hours of its making, %s about 9 hours'
    ' before it', v_ahead, v_beside, v_behind);
  return v_found;
end;
$$;

-- Finds the zone of each column of an adopted table that has none.
create function supatoss.find_zones(p_table text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_column record;
  v_found supatoss.column_zones;
  v_made text;
  v_written text;
  v_clock text := 'UTC';
  v_period supatoss.column_zones;
begin
  if not supatoss.is_adopted(p_table) then
    return;
  end if;
  select max(a.attname) filter (where a.attname = 'created_at'), max(a.attname) filter (where a.attname = 'updated_at')
  into v_made, v_written
  from pg_catalog.pg_attribute a where a.attrelid = p_table::regclass and a.attnum > 0 and not a.attisdropped;
  for v_column in
    select a.attname as name, pg_get_expr(d.adbin, d.adrelid) as value
    from pg_catalog.pg_attribute a
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = p_table::regclass and a.atttypid = 'timestamp'::regtype and not a.attisdropped
    order by a.attname <> 'created_at', a.attname <> 'updated_at', a.attname <> 'current_period_start', a.attnum
  loop
    v_found := null;
    if v_column.name in ('created_at', 'updated_at') then
      v_found := supatoss.zone_of_clock(p_table::regclass, v_column.name, v_column.value);
      v_clock := case when v_column.name = v_made or v_made is null then v_found.zone else v_clock end;
    elsif v_made is not null and v_column.name in (
      'requested_at', 'approved_at', 'canceled_at', 'processed_at', 'started_at', 'current_period_start'
    ) then
      v_found := supatoss.zone_of_time(p_table::regclass, v_column.name, v_clock, 't.created_at',
        case when v_written is null then 't.created_at' else 'greatest(t.updated_at, t.created_at)' end);
      v_period := case when v_column.name = 'current_period_start' then v_found else v_period end;
    elsif v_column.name in ('current_period_end', 'next_billing_date') and v_period.zone is not null then
      v_found.zone := v_period.zone;
      v_found.evidence := 'written together with current_period_start';
    else
      v_found.zone := case when v_clock = 'UTC' or v_column.value ~* supatoss.now_pattern() then v_clock
                           else 'unclear' end;
      v_found.evidence := 'nothing to compare it with';
    end if;
    insert into supatoss.column_zones (table_name, column_name, zone, evidence)
    values (p_table, v_column.name, v_found.zone, v_found.evidence);
    raise notice '%.%: % (%)', p_table, v_column.name, v_found.zone, v_found.evidence;
  end loop;
end;
$$;

-- Corrects the times of a row from before when it is written first: what the writer leaves as it was is read in its
-- zone. tg_argv: column, zone, column, zone, … While supatoss.correcting is on, nothing else of the row changes,
-- whatever triggers before this one say (`updated_at = now()`). Built-in functions only: whoever may update may run it.
create function supatoss.correct_old_times()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_is_only_correction boolean := coalesce(current_setting('supatoss.correcting', true) = 'on', false);
  v_old jsonb := to_jsonb(old);
  v_new jsonb := to_jsonb(case when v_is_only_correction then old else new end);
  v_corrected jsonb := '{"times_in_utc": true}';
begin
  for v_place in 0 .. tg_nargs - 2 by 2 loop
    if v_old ->> tg_argv[v_place] is not null and v_new -> tg_argv[v_place] = v_old -> tg_argv[v_place] then
      v_corrected := v_corrected || jsonb_build_object(tg_argv[v_place], timezone(
        tg_argv[v_place + 1], timezone('UTC', (v_old ->> tg_argv[v_place])::timestamptz)));
    end if;
  end loop;
  return case when v_is_only_correction then jsonb_populate_record(old, v_corrected)
              else jsonb_populate_record(new, v_corrected) end;
end;
$$;

-- Tells rows from before from those that are written now: times_in_utc is null in the former.
create function supatoss.keep_old_times(p_table text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_arguments text;
begin
  select string_agg(format('%L, %L', z.column_name, z.zone), ', ' order by z.column_name) into v_arguments
  from supatoss.column_zones z where z.table_name = p_table and z.zone not in ('UTC', 'unclear');
  if v_arguments is null then
    return;
  end if;
  execute format('alter table %s add column times_in_utc boolean', p_table::regclass);
  execute format('alter table %s alter column times_in_utc set default true', p_table::regclass);
  execute format('comment on column %s.times_in_utc is %L', p_table::regclass,
                 'Null: from before supatoss, and times in supatoss.column_zones still stand in their old zone.');
  -- The name makes it the last of its kind: PostgreSQL runs triggers in the order of their names.
  execute format(
    'create trigger zz_supatoss_old_times before update on %s for each row when (old.times_in_utc is null)'
    ' execute function supatoss.correct_old_times(%s)', p_table::regclass, v_arguments);
end;
$$;

-- Corrects the rows of these orders before they are folded.
create function supatoss.correct_orders(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  if exists (
    select from supatoss.column_zones z where z.table_name = 'public.payments' and z.zone not in ('UTC', 'unclear')
  ) then
    perform set_config('supatoss.correcting', 'on', true);
    update public.payments p set times_in_utc = true where p.order_id = any (p_order_ids) and p.times_in_utc is null;
    perform set_config('supatoss.correcting', 'off', true);
  end if;
end;
$$;

-- How much later than it was a time of a payments row from before may stand.
create function supatoss.old_shift()
returns interval
language sql stable
set search_path = ''
as $$
  select case when exists (
    select from supatoss.column_zones z where z.table_name = 'public.payments' and z.zone = 'Asia/Seoul'
  ) then interval '9 hours' else interval '0' end
$$;

-- A time of a payments row, right also where the row is from before and its turn has not come.
create function supatoss.read_time(p_row jsonb, p_column text)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  v_time timestamptz := p_row ->> p_column;
begin
  if p_row -> 'times_in_utc' = 'null' then
    return coalesce((
      select timezone(z.zone, timezone('UTC', v_time)) from supatoss.column_zones z
      where z.table_name = 'public.payments' and z.column_name = p_column and z.zone = 'Asia/Seoul'), v_time);
  end if;
  return v_time;
end;
$$;

select supatoss.find_zones(t.name)
from (values ('public.payments'), ('public.subscriptions'), ('public.webhook_events')) as t (name);
select supatoss.close_functions();
