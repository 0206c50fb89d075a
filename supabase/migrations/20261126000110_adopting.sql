-- Taking over tables that a project has: what the files that follow do it with. (One subject, so one long file.)

-- Which tables the project had before. Decided here, before any file of ours makes one: an adopted table keeps its
-- types, grants and policies, a new one starts strict.
create table supatoss.adopted_tables (
  table_name text primary key,
  adopted_at timestamptz not null default now(),
  before jsonb
);
alter table supatoss.adopted_tables enable row level security;
revoke all on table supatoss.adopted_tables from public, anon, authenticated;
grant select on table supatoss.adopted_tables to service_role;
comment on table supatoss.adopted_tables is 'Tables that the project had before supatoss.';
comment on column supatoss.adopted_tables.before is
  'How the table was, for `supatoss uninstall`. widened and views: what the migrations made of its checks and views.';

-- How a table is defined, as far as our files change it.
create function supatoss.describe_table(p_table regclass)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'columns', (
      select jsonb_object_agg(a.attname, jsonb_build_object(
        'type', format_type(a.atttypid, a.atttypmod), 'default', pg_get_expr(d.adbin, d.adrelid),
        'comment', col_description(a.attrelid, a.attnum)))
      from pg_catalog.pg_attribute a
      left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped),
    'checks', (
      select coalesce(jsonb_object_agg(k.conname, pg_get_expr(k.conbin, k.conrelid)), '{}')
      from pg_catalog.pg_constraint k where k.conrelid = p_table and k.contype = 'c'),
    'indexes', (
      select coalesce(jsonb_agg(c.relname), '[]')
      from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indrelid = p_table),
    'comment', obj_description(p_table, 'pg_class'),
    'options', (select to_jsonb(c.reloptions) from pg_catalog.pg_class c where c.oid = p_table),
    'access', (
      select coalesce(jsonb_agg(s.statement), '[]')
      from (
        select format('alter table %s disable row level security', p_table) as statement
        from pg_catalog.pg_class c where c.oid = p_table and not c.relrowsecurity
        union all
        select format('grant %s on table %s to %s', string_agg(lower(x.privilege_type), ', '), p_table,
                      case when x.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end)
        from pg_catalog.pg_class c, aclexplode(c.relacl) x
        where c.oid = p_table and (x.grantee = 0 or x.grantee in (to_regrole('anon'), to_regrole('authenticated')))
        group by x.grantee
        union all
        select format('create policy %I on %s as %s for %s to %s%s%s', p.policyname, p_table, lower(p.permissive),
                      lower(p.cmd), (select string_agg(quote_ident(r.name), ', ') from unnest(p.roles) as r (name)),
                      ' using (' || p.qual || ')', ' with check (' || p.with_check || ')')
        from pg_catalog.pg_policies p
        where format('%I.%I', p.schemaname, p.tablename)::regclass = p_table
      ) s))
$$;

insert into supatoss.adopted_tables (table_name, before)
select t.name, supatoss.describe_table(t.name::regclass)
from (values ('public.payments'), ('public.subscriptions'), ('public.webhook_events')) as t (name)
where to_regclass(t.name) is not null;

create function supatoss.is_adopted(p_table text)
returns boolean
language sql stable
set search_path = ''
as $$ select exists (select from supatoss.adopted_tables t where t.table_name = p_table) $$;

-- Locks an adopted table until the end of the transaction. Whoever waits for a lock makes everybody behind it wait:
-- so it waits for a second, lets the others through, and tries again.
create function supatoss.lock_adopted(p_table text, p_mode text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_holders text;
begin
  if not supatoss.is_adopted(p_table) then
    return;
  end if;
  perform set_config('lock_timeout', '1s', true);
  for v_try in 1..10 loop
    begin
      execute format('lock table %s in %s mode', p_table::regclass, p_mode);
      return;
    exception when lock_not_available then
      perform pg_sleep(0.5);
    end;
  end loop;
  select string_agg(format('pid %s (%s, %s since %s)', a.pid, coalesce(nullif(a.application_name, ''), a.usename),
                           a.state, date_trunc('second', a.xact_start)), '; ' order by a.xact_start)
  into v_holders
  from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
  where l.relation = p_table::regclass and l.granted and l.pid <> pg_backend_pid();
  raise exception 'table % is in use, and this file changed nothing: no lock after 10 tries of one second.'
    ' Sessions that hold it: %. Wait until they end, or end them with select pg_terminate_backend(pid),'
    ' then push again: what is done already is not done twice.', p_table, coalesce(v_holders, 'unknown')
    using errcode = 'lock_not_available';
end;
$$;

-- PostgreSQL changes no type of a column that a view reads. Drops the views that read these columns, and the views
-- that read those, and returns all that makes them again as they were, innermost first.
create function supatoss.take_views(p_table regclass, p_columns smallint[])
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_views jsonb;
begin
  with recursive readers as (
    select r.ev_class as view, 1 as depth
    from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on r.oid = d.objid
    where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.refobjid = p_table and d.refobjsubid = any (p_columns) and r.ev_class <> p_table
    union
    select r.ev_class, o.depth + 1
    from readers o
    join pg_catalog.pg_depend d on d.refobjid = o.view and d.refclassid = 'pg_catalog.pg_class'::regclass
      and d.classid = 'pg_catalog.pg_rewrite'::regclass
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    where r.ev_class <> o.view
  ),
  views as (select o.view, max(o.depth) as depth from readers o group by o.view)
  select jsonb_agg(jsonb_build_object(
    'name', v.view::regclass::text,
    'owner', pg_get_userbyid(c.relowner),
    'definition', rtrim(pg_get_viewdef(v.view), ';'),
    'options', (select string_agg(format('%I = %L', o.option_name, o.option_value), ', ')
                from pg_options_to_table(c.reloptions) o),
    'comment', obj_description(v.view, 'pg_class'),
    'comments', (select jsonb_object_agg(a.attname, col_description(v.view, a.attnum)) from pg_catalog.pg_attribute a
                 where a.attrelid = v.view and a.attnum > 0 and col_description(v.view, a.attnum) is not null),
    'triggers', (select jsonb_agg(pg_get_triggerdef(t.oid)) from pg_catalog.pg_trigger t
                 where t.tgrelid = v.view and not t.tgisinternal),
    'grants', (
      select jsonb_agg(format(
        'grant %s%s on %s to %s%s', g.privilege_type, g.columns, v.view::regclass,
        case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
        case when g.is_grantable then ' with grant option' end))
      from (
        select x.grantee, x.privilege_type, x.is_grantable, '' as columns from aclexplode(c.relacl) x
        union all
        select x.grantee, x.privilege_type, x.is_grantable, format(' (%I)', a.attname)
        from pg_catalog.pg_attribute a, aclexplode(a.attacl) x where a.attrelid = v.view
      ) g
      where g.grantee <> c.relowner)) order by v.depth, v.view)
  into v_views
  from views v join pg_catalog.pg_class c on c.oid = v.view;
  for v_place in reverse coalesce(jsonb_array_length(v_views), 0) - 1 .. 0 loop
    execute format('drop view %s', v_views -> v_place ->> 'name');
  end loop;
  return v_views;
end;
$$;

-- Makes views again that take_views has dropped.
create function supatoss.return_views(p_views jsonb)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_view jsonb;
  v_name text;
  v_statement text;
begin
  for v_view in select e.item from jsonb_array_elements(p_views) with ordinality as e (item, place) order by e.place
  loop
    v_name := v_view ->> 'name';
    execute format('create view %s %s as %s', v_name, 'with (' || (v_view ->> 'options') || ')',
                   v_view ->> 'definition');
    -- Default privileges have given it some already.
    for v_statement in
      select distinct format('revoke all on %s from %s', v_name, case when x.grantee = 0 then 'public'
                             else quote_ident(pg_get_userbyid(x.grantee)) end)
      from pg_catalog.pg_class c, aclexplode(c.relacl) x
      where c.oid = v_name::regclass and x.grantee <> c.relowner
      union all select * from jsonb_array_elements_text(nullif(v_view -> 'grants', 'null'))
      union all select * from jsonb_array_elements_text(nullif(v_view -> 'triggers', 'null'))
      union all select format('comment on view %s is %L', v_name, v_view ->> 'comment')
      where v_view ->> 'comment' is not null
      union all select format('comment on column %s.%I is %L', v_name, k.key, k.value)
      from jsonb_each_text(nullif(v_view -> 'comments', 'null')) k
      union all select format('alter view %s owner to %I', v_name, v_view ->> 'owner')
      where v_view ->> 'owner' <> current_user
    loop
      execute v_statement;
    end loop;
  end loop;
end;
$$;

-- Brings the columns of an adopted table to types that we can work with, in one statement and without a rewrite:
-- timestamps get a zone (read in UTC: of all zones this one leaves the stored values as they are; column_zones says
-- which of them were written in another one), and varchars shorter than p_lengths allows are lengthened (null: text).
-- What works otherwise stays.
create function supatoss.adopt_columns(p_table text, p_lengths jsonb)
returns void
language plpgsql
set search_path = ''
set timezone = 'UTC'
as $$
declare
  v_changes text;
  v_columns smallint[];
  v_views jsonb;
begin
  select string_agg(c.change, ', '), array_agg(c.attnum) into v_changes, v_columns
  from (
    select a.attnum, case
      when a.atttypid = 'timestamp'::regtype then
        format('alter column %I type timestamptz', a.attname)
        || case when pg_get_expr(d.adbin, d.adrelid) ~* supatoss.now_pattern()
                then format(', alter column %I set default now()', a.attname) else '' end
      when a.atttypid = 'varchar'::regtype and p_lengths ? a.attname and a.atttypmod > 0
        and (a.atttypmod - 4 < (p_lengths ->> a.attname)::integer or p_lengths -> a.attname = 'null') then
        format('alter column %I type %s', a.attname,
               coalesce('varchar(' || (p_lengths ->> a.attname) || ')', 'text'))
      end as change
    from pg_catalog.pg_attribute a
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = p_table::regclass and a.attnum > 0 and not a.attisdropped
  ) c
  where c.change is not null;
  if v_changes is null then
    return;
  end if;
  v_views := supatoss.take_views(p_table::regclass, v_columns);
  execute format('alter table %s %s', p_table::regclass, v_changes);
  perform supatoss.return_views(v_views);
  update supatoss.adopted_tables a
  set before = a.before || jsonb_build_object('views', (
    select jsonb_agg(jsonb_build_object(
      'name', e.view ->> 'name', 'before', e.view ->> 'definition',
      'after', rtrim(pg_get_viewdef((e.view ->> 'name')::regclass), ';')) order by e.place)
    from jsonb_array_elements(v_views) with ordinality as e (view, place)))
  where a.table_name = p_table;
end;
$$;

-- Defaults that say "now", in whatever zone.
create function supatoss.now_pattern()
returns text
language sql immutable
set search_path = ''
as $$
  select '^\(?(timezone\(''[^'']+''::text, )?(now\(\)|current_timestamp|localtimestamp)'
         '( at time zone ''[^'']+''::text)?\)?$'
$$;

-- Lets a column of an adopted table hold these values too: a check on this column alone is widened. Rows meet what
-- is wider, so nothing is scanned; validate_checks says so later, under a lock that keeps nobody out.
create function supatoss.widen_check(p_table text, p_column text, p_allowed text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_check record;
begin
  if not supatoss.is_adopted(p_table) then
    return;
  end if;
  for v_check in
    select c.conname as name, pg_get_expr(c.conbin, c.conrelid) as text
    from pg_catalog.pg_constraint c
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = p_column
    where c.conrelid = p_table::regclass and c.contype = 'c' and c.conkey = array[a.attnum]
  loop
    execute format('alter table %s drop constraint %I, add constraint %I check ((%s) or %s) not valid',
                   p_table::regclass, v_check.name, v_check.name, v_check.text, p_allowed);
    update supatoss.adopted_tables a
    set before = jsonb_set(a.before, array['widened'], coalesce(a.before -> 'widened', '{}') || (
      select jsonb_build_object(c.conname, pg_get_expr(c.conbin, c.conrelid)) from pg_catalog.pg_constraint c
      where c.conrelid = p_table::regclass and c.conname = v_check.name))
    where a.table_name = p_table;
  end loop;
end;
$$;

create function supatoss.validate_checks(p_table text, p_columns text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_changes text;
begin
  select string_agg(format('validate constraint %I', c.conname), ', ') into v_changes
  from pg_catalog.pg_constraint c
  join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attname = any (p_columns)
  where c.conrelid = p_table::regclass and c.contype = 'c' and not c.convalidated and c.conkey = array[a.attnum];
  if v_changes is not null then
    execute format('alter table %s %s', p_table::regclass, v_changes);  -- all of them in one scan
  end if;
end;
$$;

-- Whether rows are found by this column with an index of the project's own.
create function supatoss.has_index(p_table text, p_column text)
returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid
    join pg_catalog.pg_am m on m.oid = c.relam and m.amname = 'btree'
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attname = p_column
    where i.indrelid = p_table::regclass and i.indisvalid and i.indkey[0] = a.attnum and i.indpred is null)
$$;

-- Whether each value of this column is there once, as `on conflict` needs to know it.
create function supatoss.is_unique(p_table text, p_column text)
returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attname = p_column
    where i.indrelid = p_table::regclass and i.indisunique and i.indimmediate and i.indisvalid and i.indnkeyatts = 1
      and i.indkey[0] = a.attnum and i.indpred is null)
$$;

-- A column that says when a row was written, where there is none: rows from before say nothing.
create function supatoss.add_clock(p_table text, p_column text)
returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (
    select from pg_catalog.pg_attribute a where a.attrelid = p_table::regclass and a.attname = p_column
  ) then
    execute format('alter table %s add column %I timestamptz', p_table::regclass, p_column);
    execute format('alter table %s alter column %I set default now()', p_table::regclass, p_column);
  end if;
end;
$$;

-- Statements that make a table with rows of users as strict as that of a fresh project: users read their own rows,
-- without the hidden columns, and all else is the service's. None when it is.
create function supatoss.strict_form(p_table text, p_hidden text[])
returns setof text
language plpgsql stable
set search_path = ''
as $$
declare
  v_table regclass := p_table;
  v_policy name := 'supatoss_users_read_own_' || split_part(p_table, '.', 2);
  v_is_text boolean;
  v_name name;
  v_wanted text[];
  v_found text[];
begin
  if not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = v_table) then
    return next format('alter table %s enable row level security', v_table);
  end if;
  for v_name in
    select p.polname from pg_catalog.pg_policy p where p.polrelid = v_table and p.polname <> v_policy order by 1
  loop
    return next format('drop policy %I on %s', v_name, v_table);
  end loop;
  if not exists (select from pg_catalog.pg_policy p where p.polrelid = v_table and p.polname = v_policy) then
    select a.atttypid <> 'uuid'::regtype into v_is_text
    from pg_catalog.pg_attribute a where a.attrelid = v_table and a.attname = 'user_id';
    return next format('create policy %I on %s for select to authenticated using (%s)', v_policy, v_table,
                       case when v_is_text then 'user_id::text = (select auth.uid())::text'
                            else 'user_id = (select auth.uid())' end);
  end if;

  select array_agg(g.text order by g.text) into v_found
  from (
    select concat_ws(' ', x.grantee::regrole, x.privilege_type, x.attname) as text
    from (
      select e.grantee, e.privilege_type, null as attname
      from pg_catalog.pg_class c, aclexplode(c.relacl) e where c.oid = v_table
      union all
      select e.grantee, e.privilege_type, a.attname
      from pg_catalog.pg_attribute a, aclexplode(a.attacl) e where a.attrelid = v_table
    ) x
    where x.grantee = 0 or x.grantee in (to_regrole('anon'), to_regrole('authenticated'))
  ) g;
  select array_agg(w.text order by w.text) into v_wanted
  from (
    select 'authenticated SELECT' as text where p_hidden = '{}'
    union all
    select 'authenticated SELECT ' || a.attname from pg_catalog.pg_attribute a
    where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and p_hidden <> '{}'
      and a.attname <> all (p_hidden)
  ) w;
  if v_found is distinct from v_wanted then
    return next format('revoke all on table %s from public, anon, authenticated', v_table);
    return next format('grant select%s on table %s to authenticated', (
      select ' (' || string_agg(quote_ident(a.attname), ', ' order by a.attnum) || ')' from pg_catalog.pg_attribute a
      where a.attrelid = v_table and a.attnum > 0 and not a.attisdropped and p_hidden <> '{}'
        and a.attname <> all (p_hidden)), v_table);
  end if;
end;
$$;

-- An adopted table keeps its grants and policies; `supatoss harden` restricts it later.
create function supatoss.restrict_new(p_table text, p_hidden text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_statement text;
begin
  if not supatoss.is_adopted(p_table) then
    for v_statement in select * from supatoss.strict_form(p_table, p_hidden) loop
      execute v_statement;
    end loop;
  end if;
end;
$$;

select supatoss.close_functions();
