-- What remains to do in a project whose tables were adopted: `supatoss harden` and `supatoss correct-times`.

-- Restricts adopted tables to what a fresh project starts with: [{table, statements, readers}], one for each that is
-- open. readers: policies of other tables that read it with the rights of whoever asks, and would see fewer rows, or
-- raise 42501. With dry_run nothing is executed. It runs with its owner's rights, as the service owns no table.
create function public.supatoss_harden_v1(dry_run boolean)
returns jsonb
language plpgsql
security definer
set search_path = ''
set lock_timeout = '2s'
as $$
declare
  v_table record;
  v_statements text[];
  v_statement text;
  v_open jsonb := '[]'::jsonb;
begin
  for v_table in
    select t.name, t.hidden
    from (values ('public.payments', '{}'::text[]), ('public.subscriptions', '{billing_key, billing_state}'))
         as t (name, hidden)
    where supatoss.is_adopted(t.name)
  loop
    v_statements := array(select * from supatoss.strict_form(v_table.name, v_table.hidden));
    continue when v_statements = '{}';
    v_open := v_open || jsonb_build_array(jsonb_build_object(
      'table', v_table.name, 'statements', v_statements, 'readers', array(
        select distinct format('policy %I on %s', p.polname, p.polrelid::regclass)
        from pg_catalog.pg_depend d join pg_catalog.pg_policy p on p.oid = d.objid
        where d.classid = 'pg_catalog.pg_policy'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = v_table.name::regclass and p.polrelid <> v_table.name::regclass
        order by 1)));
    if not dry_run then
      foreach v_statement in array v_statements loop
        execute v_statement;
      end loop;
    end if;
  end loop;
  return v_open;
end;
$$;

-- How the columns without a zone were written before the adoption: {columns: [{table, column, zone, evidence}], tables:
-- [{table, rows, triggers}]}. rows: how many still have to be corrected. triggers: the project's own that an update
-- runs, for each corrected row too.
create function public.supatoss_old_times_v1()
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_table text;
  v_rows bigint;
  v_tables jsonb := '[]'::jsonb;
begin
  for v_table in select distinct z.table_name from supatoss.column_zones z where z.zone = 'Asia/Seoul' order by 1 loop
    execute format('select count(*) from %s t where t.times_in_utc is null', v_table::regclass) into v_rows;
    v_tables := v_tables || jsonb_build_array(jsonb_build_object(
      'table', v_table, 'rows', v_rows, 'triggers', array(
        select t.tgname::text from pg_catalog.pg_trigger t
        where t.tgrelid = v_table::regclass and not t.tgisinternal and t.tgenabled in ('O', 'A')
          and t.tgtype & 17 = 17 and t.tgtype & 2 = 0 and t.tgattr = '' order by 1)));
  end loop;
  return jsonb_build_object('tables', v_tables, 'columns', (
    select coalesce(jsonb_agg(jsonb_build_object(
             'table', z.table_name, 'column', z.column_name, 'zone', z.zone, 'evidence', z.evidence)
           order by z.table_name, z.column_name), '[]'::jsonb)
    from supatoss.column_zones z));
end;
$$;

-- Corrects rows from before among the next max_rows of a table, in the order of their ids: {corrected, last_id}.
-- last_id is null at the end. Each call locks the rows it corrects until it ends, and waits for none: a row that
-- somebody is writing is left to the next run, so that no webhook can deadlock with this.
create function public.supatoss_correct_times_v1(table_name text, after_id text, max_rows integer)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_type text;
  v_last_id text;
  v_corrected integer;
begin
  if not exists (
    select from supatoss.column_zones z where z.table_name = $1 and z.zone = 'Asia/Seoul'
  ) then
    raise exception 'nothing is to be corrected in %', $1 using errcode = 'invalid_parameter_value';
  end if;
  select format_type(a.atttypid, a.atttypmod) into v_type
  from pg_catalog.pg_attribute a where a.attrelid = $1::regclass and a.attname = 'id';
  execute format(
    'select (array_agg(n.id order by n.id desc))[1]::text'
    ' from (select t.id from %1$s t where $1 is null or t.id > $1::%2$s order by t.id limit $2) n',
    $1::regclass, v_type)
  into v_last_id using after_id, least(greatest(max_rows, 1), 10000);
  perform set_config('supatoss.correcting', 'on', true);
  execute format(
    'with old as (select t.id from %1$s t where t.times_in_utc is null and ($1 is null or t.id > $1::%2$s)'
    '             and t.id <= $2::%2$s order by t.id for update skip locked),'
    '     corrected as (update %1$s t set times_in_utc = true from old o where t.id = o.id returning 1)'
    ' select count(*) from corrected', $1::regclass, v_type)
  into v_corrected using after_id, v_last_id;
  perform set_config('supatoss.correcting', 'off', true);
  return jsonb_build_object('corrected', v_corrected, 'last_id', v_last_id);
end;
$$;

select supatoss.close_functions();
