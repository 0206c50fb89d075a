-- What `supatoss uninstall` would remove from a project that has supatoss, and what it would keep. Reads only.
with names as materialized (
  select t.key as ours, t.value as name, t.value::regclass as oid, c.relkind, a.table_name is not null as is_adopted,
         a.before
  from jsonb_each_text(public.supatoss_table_names_v1()) t
  join pg_class c on c.oid = to_regclass(t.value)
  left join supatoss.adopted_tables a on a.table_name = t.value
)
select jsonb_build_object(
  'version', public.supatoss_schema_version(),
  'tables', (
    select jsonb_agg(jsonb_build_object(
      'name', n.name, 'subject', n.ours, 'is_adopted', n.is_adopted, 'times', (
        select coalesce(jsonb_agg(a.attname order by a.attnum), '[]') from pg_attribute a
        where a.attrelid = n.oid and a.attnum > 0 and not a.attisdropped and a.atttypid = 'timestamptz'::regtype
          and n.before #>> array['columns', a.attname, 'type'] like 'timestamp%without time zone')) order by n.name)
    from names n where n.relkind = 'r'),
  'views', (select coalesce(jsonb_agg(n.name order by n.name), '[]') from names n where n.relkind = 'v'),
  'functions', (
    select count(*) from pg_proc p
    where p.pronamespace = 'supatoss'::regnamespace
       or (p.pronamespace = 'public'::regnamespace
           and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'read\_known\_keys\_v_'
                or p.proname like 'supatoss\_%'))),
  'triggers', (
    select count(*) from pg_trigger t join names n on n.oid = t.tgrelid where t.tgname like 'zz\_supatoss\_%'),
  'processes', (
    select coalesce(jsonb_agg(p.name order by p.name), '[]') from supatoss.processes p
    where p.seen_at > now() - p.patience),
  'hooks', (
    select coalesce(jsonb_agg(p.oid::regprocedure::text order by p.proname), '[]') from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in ('on_payment_changed', 'on_subscription_changed')),
  'opened', (
    select coalesce(n.before -> 'access', '[]') from names n where n.ours = 'webhook_events'))
