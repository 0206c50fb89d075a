-- Removes supatoss from a project and keeps its rows: made by `supatoss uninstall`. docs/preflight.md says what goes.
-- Run it as one transaction: `supabase db push --remote` and the SQL Editor do, psql with --single-transaction. Nothing is
-- dropped with `cascade`: if something of yours needs something of ours, it stops with that name, and nothing changed.
-- (One transaction, so one long file.)

-- Where supatoss is not installed, every step below does nothing.
do $$
declare
  v_names jsonb;
begin
  perform set_config('supatoss.removing', '', true);
  if to_regprocedure('public.supatoss_schema_version()') is null then
    raise notice 'supatoss: not installed, so there is nothing to remove';
    return;
  elsif public.supatoss_schema_version() <> {schema_version} then
    raise exception 'nothing was changed: the database has schema version %, and this text removes version {schema_version}',
      public.supatoss_schema_version()
      using hint = 'use `supatoss uninstall` of the release that made the schema';
  end if;
  -- Collected now, because the function goes too. The copies may have put the tables elsewhere.
  select jsonb_object_agg(t.key, t.value) into v_names
  from jsonb_each_text(public.supatoss_table_names_v1()) t where to_regclass(t.value) is not null;
  perform set_config('supatoss.removing', v_names::text, true);
  perform set_config('supatoss.deleting', '{delete_data}', true);
  perform set_config('timezone', 'UTC', true);
  -- Whoever waits for a lock makes everybody behind it wait: so it waits a second, lets them through, and tries again.
  perform set_config('lock_timeout', '1s', true);
  for v_try in 1..10 loop
    begin
      execute 'lock table ' || (select string_agg(format('only %s', t.value::regclass), ', ' order by t.value)
                                from jsonb_each_text(v_names) t
                                join pg_class c on c.oid = t.value::regclass and c.relkind = 'r')
        || ' in access exclusive mode';
      return;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.5);
    end;
  end loop;
  raise exception 'nothing was changed: the tables are in use, no lock after 10 tries of one second'
    using errcode = 'lock_not_available', hint = 'stop the service, or try again when fewer orders come in';
end;
$$;

-- Views, triggers and functions. Two functions make the project's views again further down.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_statement text;
begin
  foreach v_statement in array array(
    select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) from pg_trigger t
    where t.tgname like 'zz\_supatoss\_%' and not t.tgisinternal
      and t.tgrelid in (select n.value::regclass from jsonb_each_text(v_names) n)
    union all
    select 'drop view ' || string_agg(c.oid::regclass::text, ', ') from pg_class c
    where c.relkind = 'v' and c.oid in (select n.value::regclass from jsonb_each_text(v_names) n)
    having count(*) > 0
    union all
    select 'drop view ' || string_agg(c.oid::regclass::text, ', ') from pg_class c
    where v_names is not null and c.relkind = 'v' and c.relnamespace = to_regnamespace('supatoss')
    having count(*) > 0
    union all
    select 'drop function ' || string_agg(p.oid::regprocedure::text, ', ') from pg_proc p
    where v_names is not null
      and ((p.pronamespace = to_regnamespace('supatoss') and p.proname not in ('take_views', 'return_views'))
           or (p.pronamespace = 'public'::regnamespace
               and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'read\_known\_keys\_v_'
                    or p.proname like 'supatoss\_%')))
    having count(*) > 0
  ) loop
    execute v_statement;
  end loop;
  if v_names is not null then
    raise notice 'supatoss: removed the functions, triggers and views';
  end if;
  select jsonb_object_agg(t.key, t.value) into v_names
  from jsonb_each_text(v_names) t where to_regclass(t.value) is not null;
  perform set_config('supatoss.removing', coalesce(v_names::text, ''), true);
end;
$$;

-- Indexes, before a table is written anew: those that only supatoss uses, and in adopted tables all of ours.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_statement text;
begin
  if v_names is null then
    return;
  end if;
  foreach v_statement in array array(
    select format('drop index %I.%I', c.relnamespace::regnamespace, c.relname || '_' || i.ending)
    from (values
      ('payments', 'waiting_idx cancels_idx money_at_idx canceled_at_idx partial_cancels_idx unapproved_idx'
                   ' cancelled_idx status_created_at_idx', 'payment_key_key order_id_key created_at_idx'),
      ('subscriptions', 'application_billing_key_idx status_created_at_idx',
       'customer_key_idx billing_key_idx user_id_idx next_billing_date_idx created_at_idx'),
      ('webhook_events', 'event_key_key order_id_idx retention_idx customer_key_idx billing_key_idx unfinished_idx'
                         ' orphans_idx waiting_idx unfinished_created_at_idx failed_money_idx failed_other_idx'
                         ' other_types_idx reason_idx ignored_idx short_id_idx',
       'payment_key_idx created_at_idx')
    ) as o (name, indexes, general_indexes)
    join jsonb_each_text(v_names) n on n.key = o.name
    join pg_class c on c.oid = n.value::regclass
    left join supatoss.adopted_tables t on t.table_name = n.value
    cross join string_to_table(
      o.indexes || case when t.table_name is null then '' else ' ' || o.general_indexes end, ' ') as i (ending)
    where to_regclass(format('%I.%I', c.relnamespace::regnamespace, c.relname || '_' || i.ending)) is not null
      and not coalesce(t.before -> 'indexes' ? (c.relname || '_' || i.ending), false)
  ) loop
    execute v_statement;
  end loop;
end;
$$;

-- Times of adopted tables get their old types back, in the zone in which the project wrote them: what the application
-- reads and writes is as it was. A time in Korea is corrected in rows with times_in_utc, and stands as it was in others.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_table record;
  v_views jsonb;
  v_strange text;
begin
  if v_names is null then
    return;
  end if;
  for v_table in
    select n.value::regclass as name, t.before,
           array_agg(a.attnum) as columns,
           string_agg(format('alter column %I drop default', a.attname), ', ') as defaults,
           string_agg(format('alter column %I type %s', a.attname, t.before #>> array['columns', a.attname, 'type'])
             || case when z.is_korean then format(
                  ' using timezone(case when times_in_utc and %L then ''Asia/Seoul'' else ''UTC'' end, %I)',
                  coalesce(c.zone = 'Asia/Seoul', false), a.attname) else '' end, ', ') as types
    from jsonb_each_text(v_names) n
    join supatoss.adopted_tables t on t.table_name = n.value
    cross join lateral (
      select exists (select from supatoss.column_zones k
                     where k.table_name = n.value and k.zone = 'Asia/Seoul') as is_korean) z
    join pg_attribute a on a.attrelid = n.value::regclass and a.attnum > 0 and not a.attisdropped
      and a.atttypid = 'timestamptz'::regtype
      and t.before #>> array['columns', a.attname, 'type'] like 'timestamp%without time zone'
    left join supatoss.column_zones c on c.table_name = n.value and c.column_name = a.attname
    group by n.value, t.before
  loop
    v_views := supatoss.take_views(v_table.name, v_table.columns);
    select string_agg(v.view ->> 'name', ', ') into v_strange
    from jsonb_array_elements(v_views) as v (view)
    where not exists (
      select from jsonb_array_elements(nullif(v_table.before -> 'views', 'null')) as b (view)
      where b.view ->> 'name' = v.view ->> 'name' and b.view ->> 'after' = v.view ->> 'definition');
    if v_strange is not null then
      raise exception 'nothing was changed: % read% times of %, and % made or changed since supatoss was installed',
        v_strange, case when v_strange like '%,%' then '' else 's' end, v_table.name,
        case when v_strange like '%,%' then 'were' else 'was' end
        using hint = 'these times lose their zone now: drop such views, and make them again afterwards';
    end if;
    execute format('alter table %s %s', v_table.name, v_table.defaults);
    execute format('alter table %s %s', v_table.name, v_table.types);
    select jsonb_agg(jsonb_set(v.view, '{definition}', b.view -> 'before') order by v.place) into v_views
    from jsonb_array_elements(v_views) with ordinality as v (view, place)
    join jsonb_array_elements(v_table.before -> 'views') as b (view) on b.view ->> 'name' = v.view ->> 'name';
    perform supatoss.return_views(v_views);
    raise notice 'supatoss: restored the times of %, which are without a zone again', v_table.name;
  end loop;
end;
$$;

-- Columns. What only supatoss reads goes: its state of the fold, and its book-keeping of events. What Toss reported about
-- a payment stays, because the application may read it.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_statement text;
begin
  if v_names is null then
    return;
  end if;
  foreach v_statement in array array(
    select format('alter table %s %s', n.value::regclass,
                  string_agg(format('drop column %I', a.attname), ', ' order by a.attnum))
    from (values
      ('payments',
       'application_state projected_state projected_price times_in_utc',
       'balance_amount cancels virtual_account merchant_id settled_at occurred_at user_id product_id order_name currency'
       ' payment_method requested_at approved_at canceled_at failure_code failure_message receipt_url metadata'
       ' created_at updated_at'),
      ('subscriptions',
       'billing_state times_in_utc',
       'billing_key_issued_at billing_key_deleted_at user_id product_id tier started_at current_period_start'
       ' current_period_end canceled_at billing_cycle next_billing_date amount created_at updated_at'),
      ('webhook_events',
       'event_key status reason proof occurred_at change claim attempts next_attempt_at last_error transmission_id'
       ' transmission_time transmission_retried_count transmission_user_agent later_deliveries delivery_count'
       ' last_delivered_at lease_token lease_until payload_emptied_at traceparent waiting_since times_in_utc',
       'order_id payment_key processed processed_at created_at')
    ) as o (name, columns, facts)
    join jsonb_each_text(v_names) n on n.key = o.name
    left join supatoss.adopted_tables t on t.table_name = n.value
    join pg_attribute a on a.attrelid = n.value::regclass and a.attnum > 0 and not a.attisdropped
      and not coalesce(t.before -> 'columns' ? a.attname, false)
      and a.attname = any (string_to_array(
        o.columns || case when t.table_name is not null and current_setting('supatoss.deleting') = 'on'
                          then ' ' || o.facts else '' end, ' '))
    group by n.value
  ) loop
    execute v_statement;
  end loop;
  raise notice 'supatoss: removed its columns and indexes';
end;
$$;

-- Defaults, checks, comments and options of adopted tables as they were. A check stays as wide as it is where a row
-- holds what only the wider one allows.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_entry record;
  v_is_needed boolean;
begin
  if v_names is null then
    return;
  end if;
  for v_entry in
    select n.value::regclass as name, c.key as column_name, c.value as before, pg_get_expr(d.adbin, d.adrelid) as value
    from jsonb_each_text(v_names) n
    join supatoss.adopted_tables t on t.table_name = n.value
    cross join jsonb_each(t.before -> 'columns') c
    join pg_attribute a on a.attrelid = n.value::regclass and a.attname = c.key and not a.attisdropped
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attgenerated = ''
  loop
    if v_entry.before ->> 'default' is not null and v_entry.before ->> 'default' is distinct from v_entry.value then
      execute format('alter table %s alter column %I set default %s', v_entry.name, v_entry.column_name,
                     v_entry.before ->> 'default');
    end if;
    execute format('comment on column %s.%I is %L', v_entry.name, v_entry.column_name, v_entry.before ->> 'comment');
  end loop;
  for v_entry in
    select n.value::regclass as name, k.conname, t.before #>> array['checks', k.conname::text] as condition
    from jsonb_each_text(v_names) n
    join supatoss.adopted_tables t on t.table_name = n.value
    join pg_constraint k on k.conrelid = n.value::regclass and k.contype = 'c'
    where t.before #>> array['widened', k.conname::text] = pg_get_expr(k.conbin, k.conrelid)
  loop
    execute format('select exists (select from %s where not (%s))', v_entry.name, v_entry.condition) into v_is_needed;
    if v_is_needed then
      raise notice 'supatoss: the check % of % stays wider than it was: rows hold statuses that only Toss has',
        v_entry.conname, v_entry.name;
    else
      execute format('alter table %s drop constraint %I, add constraint %I check (%s)', v_entry.name, v_entry.conname,
                     v_entry.conname, v_entry.condition);
    end if;
  end loop;
  for v_entry in
    select n.value::regclass as name, t.before from jsonb_each_text(v_names) n
    join supatoss.adopted_tables t on t.table_name = n.value and t.before is not null
  loop
    execute format('comment on table %s is %L', v_entry.name, v_entry.before ->> 'comment');
    if not coalesce(v_entry.before ->> 'options' like '%toast\_tuple\_target%', false) then
      execute format('alter table %s reset (toast_tuple_target)', v_entry.name);
    end if;
  end loop;
end;
$$;

-- The tables that supatoss made (now, or in an installation before) stay with their rows, grants and policies.
do $$
declare
  v_names jsonb := nullif(current_setting('supatoss.removing'), '')::jsonb;
  v_table record;
  v_has_rows boolean;
begin
  if v_names is null then
    return;
  end if;
  for v_table in
    select n.key, n.value::regclass::text as name from jsonb_each_text(v_names) n
    where n.key in ('settlements', 'payments', 'subscriptions', 'webhook_events')
      and to_regclass(n.value) is not null
      and not exists (
        select from supatoss.adopted_tables t
        where t.table_name = n.value
          and coalesce(t.before ->> 'comment', '') not like 'Kept by supatoss uninstall%')
  loop
    execute format('select exists (select from %s)', v_table.name) into v_has_rows;
    if current_setting('supatoss.deleting') = 'on' or (v_table.key = 'settlements' and not v_has_rows) then
      execute format('drop table %s', v_table.name);
      raise notice 'supatoss: dropped the table %', v_table.name;
    else
      execute format('comment on table %s is ''Kept by supatoss uninstall: its rows are the merchant''''s.''', v_table.name);
      raise notice 'supatoss: kept the table %', v_table.name;
    end if;
  end loop;
end;
$$;

-- The schema supatoss, and the role of the service.
do $$
begin
  if nullif(current_setting('supatoss.removing'), '') is null then
    return;
  end if;
  execute 'drop table ' || (select string_agg(c.oid::regclass::text, ', ') from pg_class c
                            where c.relkind = 'r' and c.relnamespace = 'supatoss'::regnamespace);
  execute 'drop function ' || (select string_agg(p.oid::regprocedure::text, ', ') from pg_proc p
                               where p.pronamespace = 'supatoss'::regnamespace);
  execute 'drop type ' || (select string_agg(t.oid::regtype::text, ', ') from pg_type t
                           join pg_class c on c.oid = t.typrelid and c.relkind = 'c'
                           where t.typnamespace = 'supatoss'::regnamespace);
  drop schema supatoss;
  raise notice 'supatoss: removed the schema supatoss';
  begin
    if to_regrole('supatoss_service') is not null then
      revoke usage on schema public from supatoss_service;
      drop role supatoss_service;
      raise notice 'supatoss: removed the role supatoss_service';
    end if;
  exception when insufficient_privilege or dependent_objects_still_exist then
    raise notice 'supatoss: the role supatoss_service stays: %', sqlerrm;
  end;
end;
$$;

notify pgrst, 'reload schema';
