-- Refuses to begin where the files after this one would stop half-way, or would store nothing afterwards. One message
-- names every obstacle with its remedies; nothing has been changed then. `supatoss doctor --adopt` runs this text too.
-- (One list, so one long file.)
--
-- An obstacle is (place, what, remedies, question, attempt). place orders the list. Remedies are lines: those that
-- begin with "run: " are SQL for before the push; those with "after the push: " too, from the last obstacle to the
-- first. An entry with a question is an obstacle only if that query answers a text, which takes the place of {}; one
-- with an attempt only if that statement fails. Attempts are made on an empty copy of the table, and taken back.
do $preflight$
declare
  v_entry record;
  v_answer text;
  v_obstacles text[] := '{}';
  v_search_path text := current_setting('search_path');
begin
  perform set_config('search_path', 'pg_catalog', true);  -- names are written with their schema then
  if to_regprocedure('public.supatoss_schema_version()') is not null then
    raise exception using errcode = 'SUPA0', message =
      E'supatoss: nothing was changed. 1 obstacle:\n1. supatoss is installed in this project already\n   → record its'
      ' files as applied, if they are not: npx supabase@3.1.0 migration repair --status applied <their versions>';
  end if;

  for v_entry in
    with recursive
    -- Tables that an application may have already. elsewhere: how to keep ours beside one of another shape.
    existing as materialized (
      select t.name, c.oid, c.relkind, c.relowner, c.relreplident, c.reloftype, c.reltype,
             'keep ours beside it: supatoss migrations copy DIR ' || t.option as elsewhere
      from (values ('public.payments', '--schema toss'),
                   ('public.subscriptions', '--table subscriptions=toss_subscriptions'),
                   ('public.webhook_events', '--table webhook_events=toss_webhook_events')) as t (name, option)
      join pg_class c on c.oid = to_regclass(t.name)
    ),
    -- The columns that our functions use. use: key (we write it, and nothing works without it), id (nothing works
    -- without it), always (we write a value), maybe (we write a value or null), never (we don't write it), own (ours
    -- alone). length: our files lengthen a varchar that is shorter (0: to text).
    expected as (
      select e.name, string_to_table(e.columns, ' ') as column_name, e.type, e.use, e.length
      from (values
        ('public.payments', 'order_id', 'text', 'key', 100),
        ('public.payments', 'payment_key', 'text', 'key', 200),
        ('public.payments', 'payment_status', 'text', 'key', 20),
        ('public.payments', 'amount', 'numeric', 'key', null),
        ('public.payments', 'order_name', 'text', 'always', 100),
        ('public.payments', 'currency', 'text', 'always', 0),
        ('public.payments', 'payment_method', 'text', 'maybe', 50),
        ('public.payments', 'failure_code', 'text', 'maybe', 0),
        ('public.payments', 'failure_message', 'text', 'maybe', 0),
        ('public.payments', 'receipt_url', 'text', 'maybe', 0),
        ('public.payments', 'requested_at approved_at canceled_at', 'timestamptz', 'maybe', null),
        ('public.payments', 'metadata', 'jsonb', 'maybe', null),
        ('public.payments', 'created_at updated_at', 'timestamptz', 'never', null),
        ('public.payments', 'id', 'uuid', 'id', null),
        ('public.payments', 'user_id product_id', null, 'never', null),
        ('public.payments', 'balance_amount', 'numeric', 'own', null),
        ('public.payments', 'cancels virtual_account application_state', 'jsonb', 'own', null),
        ('public.payments', 'merchant_id projected_state projected_price', 'text', 'own', null),
        ('public.payments', 'settled_at occurred_at', 'timestamptz', 'own', null),
        ('public.payments', 'times_in_utc', 'boolean', 'own', null),
        ('public.subscriptions', 'billing_key', 'text', 'key', 0),
        ('public.subscriptions', 'customer_key', 'text', 'key', 300),
        ('public.subscriptions', 'status', 'text', 'key', 20),
        ('public.subscriptions', 'amount', 'numeric', 'always', null),
        ('public.subscriptions', 'tier', 'text', 'always', 20),
        ('public.subscriptions', 'billing_cycle', 'text', 'always', 20),
        ('public.subscriptions', 'started_at current_period_start current_period_end', 'timestamptz', 'always', null),
        ('public.subscriptions', 'canceled_at', 'timestamptz', 'maybe', null),
        ('public.subscriptions', 'created_at updated_at next_billing_date', 'timestamptz', 'never', null),
        ('public.subscriptions', 'id', 'uuid', 'id', null),
        ('public.subscriptions', 'user_id product_id', null, 'never', null),
        ('public.subscriptions', 'billing_key_issued_at billing_key_deleted_at', 'timestamptz', 'own', null),
        ('public.subscriptions', 'billing_state', 'jsonb', 'own', null),
        ('public.subscriptions', 'times_in_utc', 'boolean', 'own', null),
        ('public.webhook_events', 'event_type', 'text', 'key', 0),
        ('public.webhook_events', 'payload', 'jsonb', 'key', null),
        ('public.webhook_events', 'payment_key', 'text', 'maybe', 0),
        ('public.webhook_events', 'processed', 'boolean', 'always', null),
        ('public.webhook_events', 'processed_at', 'timestamptz', 'maybe', null),
        ('public.webhook_events', 'created_at', 'timestamptz', 'never', null),
        ('public.webhook_events', 'id', 'uuid', 'id', null),
        ('public.webhook_events', 'order_id', 'text', 'own', null),
        ('public.webhook_events', 'event_key status reason proof occurred_at change claim attempts next_attempt_at'
         ' last_error transmission_id transmission_time transmission_retried_count transmission_user_agent'
         ' later_deliveries delivery_count last_delivered_at lease_token lease_until payload_emptied_at traceparent'
         ' waiting_since times_in_utc', null, 'own', null)
      ) as e (name, columns, type, use, length)
    ),
    columns as materialized (
      select t.name, t.oid, t.elsewhere, a.attnum, a.attname::text as column_name, a.attnotnull, a.attgenerated,
             a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod) as type_name,
             coalesce(pg_get_expr(d.adbin, d.adrelid), case when a.attidentity <> '' then 'identity' end) as value,
             e.type, coalesce(e.use, 'never') as use, e.length,
             e.type is null or a.atttypid = any (case
               when e.column_name = 'currency' then '{text,varchar,bpchar}'::regtype[]
               when e.type = 'text' then '{text,varchar}'::regtype[]
               when e.type = 'numeric' then '{numeric,integer,bigint}'::regtype[]
               when e.type = 'timestamptz' and t.name = 'public.payments' then '{timestamptz,timestamp}'::regtype[]
               when e.type = 'timestamptz' then '{timestamptz,timestamp,date}'::regtype[]
               else array[e.type::regtype] end) as fits
      from existing t
      join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      left join expected e on e.name = t.name and e.column_name = a.attname
    ),
    -- Which of them are the guide's at all. Of the others nothing more is said.
    shaped as materialized (
      select t.*, case
        when t.reloftype <> 0 then 'is a table of a type'
        when t.relkind <> 'r' then 'is ' || case t.relkind when 'v' then 'a view' when 'm' then 'a materialized view'
          when 'p' then 'partitioned' when 'f' then 'a foreign table' else 'no table' end
        else 'is of another shape: ' || nullif(concat_ws('; ',
          'it has no ' || (
            select string_agg(e.column_name, ', ') from expected e
            where e.name = t.name and e.use in ('key', 'id')
              and not exists (select from columns c where c.oid = t.oid and c.column_name = e.column_name)),
          (select string_agg(format('%s is %s', c.column_name, c.type_name), ', ') from columns c
           where c.oid = t.oid and c.use in ('key', 'id') and not c.fits),
          'it has its own ' || (
            select string_agg(c.column_name, ', ') from columns c
            where c.oid = t.oid and c.use = 'own' and (
              (c.name = 'public.webhook_events' and c.column_name <> 'order_id')
              or c.column_name in ('application_state', 'projected_state', 'projected_price', 'billing_state',
                                   'times_in_utc')))),
          '') end as misfit
      from existing t
    ),
    known as materialized (select * from shaped where misfit is null),
    -- Columns whose type our files change, and what hangs on them.
    changing as materialized (
      select c.* from columns c join known t on t.oid = c.oid
      where c.atttypid = 'timestamp'::regtype
         or (c.atttypid = 'varchar'::regtype and c.atttypmod > 0 and (c.length = 0 or c.atttypmod - 4 < c.length))
    ),
    hanging as materialized (
      -- in_utc: what an expression that read the time without a zone is to read in the place of times.
      select d.classid, d.objid, c.oid, c.name, string_agg(distinct c.column_name, ', ') as column_names,
             format('\m(%s)\M', string_agg(distinct c.column_name, '|') filter (
               where c.atttypid = 'timestamp'::regtype)) as times, '(\1 at time zone ''UTC'')' as in_utc
      from changing c
      join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = c.attnum
      where d.deptype in ('n', 'a')
      group by d.classid, d.objid, c.oid, c.name
    ),
    views (oid, relkind, depth) as (
      select r.ev_class, c.relkind, 1
      from hanging h join pg_rewrite r on h.classid = 'pg_rewrite'::regclass and r.oid = h.objid
      join pg_class c on c.oid = r.ev_class and c.relkind in ('v', 'm')
      union
      select r.ev_class, c.relkind, v.depth + 1
      from views v
      join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = v.oid
        and d.classid = 'pg_rewrite'::regclass
      join pg_rewrite r on r.oid = d.objid
      join pg_class c on c.oid = r.ev_class and c.relkind in ('v', 'm')
      where r.ev_class <> v.oid and v.depth < 32
    ),
    deepest as (select v.oid, v.relkind, max(v.depth) as depth from views v group by v.oid, v.relkind),
    -- Rows as our functions write them.
    samples as (
      select 'public.payments' as name, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               '_', s.status || ', ' || m.method, 'order_id', 'order-20260101-000001', 'payment_key', 'tviva20260101',
               'order_name', '주문', 'amount', '9900', 'currency', 'KRW', 'payment_status', s.status,
               'payment_method', m.method, 'requested_at', now(),
               'approved_at', case when s.status in ('DONE', 'PARTIAL_CANCELED', 'CANCELED') then now() end,
               'canceled_at', case when s.status = 'CANCELED' then now() end,
               'failure_code', case when s.status = 'ABORTED' then 'REJECT_CARD_COMPANY' end))) as rows
      from unnest(array['READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'DONE', 'PARTIAL_CANCELED', 'CANCELED',
                        'ABORTED', 'EXPIRED', 'FAILED']) as s (status),
           unnest(array['카드', '가상계좌', '간편결제', '휴대폰', '계좌이체', '문화상품권',
                        '도서문화상품권', '게임문화상품권']) as m (method)
      union all
      select 'public.subscriptions', jsonb_agg(jsonb_build_object(
               '_', s.status || ', tier UNASSIGNED, amount 0', 'billing_key', 'billing', 'customer_key', 'customer-1',
               'status', s.status, 'tier', 'UNASSIGNED', 'billing_cycle', 'monthly', 'amount', '0',
               'started_at', now(), 'current_period_start', now(), 'current_period_end', now() + interval '1 month'))
      from unnest(array['ACTIVE', 'CANCELED']) as s (status)
      union all
      select 'public.webhook_events', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               '_', s.type, 'event_type', s.type, 'payment_key', s.payment_key, 'payload', '{}', 'processed', 'true',
               'processed_at', now())))
      from (values ('PAYMENT_STATUS_CHANGED', 'tviva20260101'), ('DEPOSIT_CALLBACK', 'tviva20260101'),
                   ('CANCEL_STATUS_CHANGED', 'tviva20260101'), ('BILLING_DELETED', null), ('BILLING_KEY_ISSUED', null),
                   ('SETTLEMENT_COMPLETED', null), ('payout.changed', null),
                   ('supatoss.observation', 'tviva20260101')) as s (type, payment_key)
    ),
    -- A check on payment_status alone is widened by our files, so it refuses nothing.
    checks as materialized (
      select t.name, t.oid, t.elsewhere, k.conname, pg_get_expr(k.conbin, k.conrelid) as condition,
             exists (select from columns c where c.oid = t.oid and c.column_name = 'payment_status'
                       and k.conkey = array[c.attnum]) as is_widened
      from known t join pg_constraint k on k.conrelid = t.oid and k.contype = 'c'
    ),
    statuses as materialized (
      select c.* from columns c join known t on t.oid = c.oid
      where (c.name, c.column_name) in (('public.payments', 'payment_status'), ('public.subscriptions', 'status'))
    ),
    unique_keys as materialized (
      select t.name, t.oid, t.elsewhere, i.indexrelid, i.indimmediate, k.conname,
             array(select coalesce(c.column_name, '') from unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as n
                   (number, place)
                   left join columns c on c.oid = t.oid and c.attnum = n.number order by n.place) as column_names,
             i.indpred is null and i.indisvalid as is_whole
      from known t
      join pg_index i on i.indrelid = t.oid and i.indisunique
      left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u')
    ),
    obstacle (place, what, remedies, question, attempt) as (

      -- The database.
      select 10, 'the server is PostgreSQL ' || current_setting('server_version') || '; 15 is the oldest that works',
             array['upgrade the project: Project Settings > Infrastructure'], null, null
      where current_setting('server_version_num')::integer < 150000
      union all
      select 10, format('the role %s is missing', r.name),
             array[format('run: create role %s nologin noinherit%s;', r.name,
                          case r.name when 'service_role' then ' bypassrls' else '' end)], null, null
      from unnest(array['anon', 'authenticated', 'service_role']) as r (name)
      -- Supabase Lite on PGlite makes them when a file first names them outside of a text.
      where not exists (select from pg_roles p where p.rolname = r.name) and version() !~ 'emcc'
      union all
      select 10, 'the function auth.uid() is missing: this is not a Supabase project, or not yet',
             array['push to a Supabase project'], null, null
      where not exists (select from pg_proc p where p.proname = 'uid' and p.pronamespace = to_regnamespace('auth'))
      union all
      select 10, format('%s may not create a schema in this database', current_user),
             array[format('as its owner: grant create on database %I to %I;', current_database(), current_user)],
             null, null
      where not has_database_privilege(current_database(), 'CREATE')
      union all
      select 10, format('%s may not create tables in the schema %s', current_user, n.nspname),
             array[format('as its owner: grant create on schema %I to %I;', n.nspname, current_user)], null, null
      from pg_namespace n
      where n.nspname = split_part('public.payments', '.', 1) and not has_schema_privilege(n.oid, 'CREATE')

      -- Names that we need.
      union all
      select 20, format('a schema supatoss is there already, of %s', n.nspowner::regrole),
             array['run: alter schema supatoss rename to supatoss_before;'], null, null
      from pg_namespace n where n.nspname = 'supatoss'
      union all
      select 20, format('%s is there already, and is not ours', t.name),
             array[format('keep ours beside it: supatoss migrations copy DIR --table %s=toss_%1$s',
                          split_part(t.name, '.', 2))], null, null
      from unnest(array['public.settlements', 'public.webhook_health', 'public.webhook_failures',
                        'public.payment_timeline']) as t (name)
      where (to_regclass(t.name) is not null or to_regtype(t.name) is not null)
        -- `supatoss uninstall` has left it.
        and coalesce(obj_description(to_regclass(t.name), 'pg_class'), '') not like 'Kept by supatoss uninstall%'
      union all
      select 20, format('a type %s is there already', t.name),
             array[format('run: alter type %s rename to %s_before;', t.name, split_part(t.name, '.', 2))], null, null
      from unnest(array['public.payments', 'public.subscriptions', 'public.webhook_events']) as t (name)
      where to_regclass(t.name) is null and to_regtype(t.name) is not null
      union all
      select 20, format('the function %s has a name of ours', p.oid::regprocedure),
             array[format('run: alter function %s rename to %I;', p.oid::regprocedure, 'own_' || p.proname)], null, null
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace
        and (p.proname like '%\_webhook\_event%\_v_' or p.proname like 'read\_known\_keys\_v_'
             or p.proname like 'supatoss\_%')
      union all
      -- An index of ours is not made where its name is taken, and rows are written by the help of these.
      select 20, format('the name %s is taken by something that is no unique index on %s (%s)', n.index, n.name,
                        n.column_name),
             array[format(case c.relkind when 'r' then 'run: alter table %s rename to %I;'
                                         else 'run: alter index %s rename to %I;' end,
                          c.oid::regclass, c.relname || '_before')], null, null
      from (values ('public.payments', 'payments_order_id_key', 'order_id'),
                   ('public.payments', 'payments_payment_key_key', 'payment_key'),
                   ('public.webhook_events', 'webhook_events_event_key_key', 'event_key')
           ) as n (name, index, column_name)
      join pg_class c on c.oid = to_regclass(split_part(n.name, '.', 1) || '.' || n.index)
      where not exists (select from unique_keys u where u.indexrelid = c.oid and u.is_whole
                          and u.column_names = array[n.column_name])
        and not exists (select from pg_index i join shaped t on t.oid = i.indrelid
                        where i.indexrelid = c.oid and t.misfit is not null)

      -- The shape of the tables.
      union all
      select 30, t.name || ' ' || t.misfit, array[t.elsewhere], null, null from shaped t where t.misfit is not null
      union all
      select 31, format('%s is a part of another table, or has parts', t.name), array[t.elsewhere], null, null
      from known t where exists (select from pg_inherits i where t.oid in (i.inhrelid, i.inhparent))
      union all
      select 31, format('%s belongs to %s, and %s may not change it', t.name, t.relowner::regrole, current_user),
             array[format('as its owner: alter table %s owner to %I;', t.name, current_user)], null, null
      from known t where not pg_has_role(current_user, t.relowner, 'USAGE')
      union all
      select 33, format('%s.%s is %s', c.name, c.column_name, c.type_name),
             array[case when c.type = 'jsonb' and c.atttypid in ('text'::regtype, 'json'::regtype, 'varchar'::regtype)
                     and c.value is null
                   then format('run: alter table %s alter column %I type jsonb using %I::jsonb;', c.name, c.column_name,
                               c.column_name) end, c.elsewhere], null, null
      from columns c join known t on t.oid = c.oid
      where not c.fits

      -- What hangs on a column whose type changes.
      union all
      select 40 - v.depth, format('the materialized view %s reads columns whose type changes', v.oid::regclass),
             array[format('run: drop materialized view %s;', v.oid::regclass),
                   format('after the push: create materialized view %s as %s', v.oid::regclass,
                          regexp_replace(pg_get_viewdef(v.oid), '\s+', ' ', 'g'))]
             || array(select 'after the push: ' || pg_get_indexdef(i.indexrelid) || ';' from pg_index i
                      where i.indrelid = v.oid),
             null, null
      from deepest v where v.relkind = 'm'
      union all
      -- Our files make plain views again, with their grants and triggers, and nothing else that hangs on them.
      select 40, format('the view %s reads columns whose type changes, and %s depends on it', v.oid::regclass,
                        pg_describe_object(d.classid, d.objid, 0)),
             array['drop the latter before the push, and create it again afterwards'], null, null
      from deepest v
      join pg_type y on y.typrelid = v.oid
      join pg_depend d on (d.refclassid = 'pg_class'::regclass and d.refobjid = v.oid)
        or (d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray))
      left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
      where v.relkind = 'v' and d.deptype in ('n', 'a') and d.classid <> 'pg_trigger'::regclass
        and (r.oid is null or r.rulename <> '_RETURN' or r.ev_class not in (select e.oid from deepest e))
      group by v.oid, d.classid, d.objid
      union all
      select 41, format('the rule %s on %s reads %s', r.rulename, r.ev_class::regclass, h.column_names),
             array[format('run: drop rule %I on %s;', r.rulename, r.ev_class::regclass),
                   'after the push: ' || regexp_replace(pg_get_ruledef(r.oid), '\s+', ' ', 'g')], null, null
      from hanging h join pg_rewrite r on h.classid = 'pg_rewrite'::regclass and r.oid = h.objid
      where r.rulename <> '_RETURN'
      union all
      select 41, format('the trigger %s on %s names %s', g.tgname, g.tgrelid::regclass, h.column_names),
             array[format('run: drop trigger %I on %s;', g.tgname, g.tgrelid::regclass),
                   'after the push: ' || pg_get_triggerdef(g.oid) || ';'], null, null
      from hanging h join pg_trigger g on h.classid = 'pg_trigger'::regclass and g.oid = h.objid
      where not g.tgisinternal
      union all
      select 41, format('the policy %s on %s reads %s', p.policyname, o.polrelid::regclass, h.column_names),
             array[format('run: drop policy %I on %s;', p.policyname, o.polrelid::regclass),
                   format('after the push: create policy %I on %s as %s for %s to %s%s%s;', p.policyname,
                          o.polrelid::regclass, p.permissive, p.cmd, array_to_string(p.roles, ', '),
                          ' using (' || p.qual || ')', ' with check (' || p.with_check || ')')], null, null
      from hanging h
      join pg_policy o on h.classid = 'pg_policy'::regclass and o.oid = h.objid
      join pg_class c on c.oid = o.polrelid
      join pg_policies p on p.schemaname::regnamespace = c.relnamespace and p.tablename = c.relname
        and p.policyname = o.polname
      union all
      select 41, format('the column %s.%s is generated from %s', d.adrelid::regclass, a.attname, h.column_names),
             array[format('run: alter table %s drop column %I;', d.adrelid::regclass, a.attname),
                   format('after the push: alter table %s add column %I %s generated always as (%s) stored;',
                          d.adrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
                          regexp_replace(pg_get_expr(d.adbin, d.adrelid), h.times, h.in_utc, 'g'))], null, null
      from hanging h
      join pg_attrdef d on h.classid = 'pg_attrdef'::regclass and d.oid = h.objid
      join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated <> ''
      union all
      select 41, format('the function %s names %s of %s in its body', h.objid::regprocedure, h.column_names, h.name),
             array[format('run: drop function %s;', h.objid::regprocedure),
                   'create it again after the push, as your own migration has it'], null, null
      from hanging h where h.classid = 'pg_proc'::regclass
      union all
      select 41, format('the publication %s names columns of %s, or has a condition on them', p.pubname, h.name),
             array[format('run: alter publication %I drop table %s;', p.pubname, h.name),
                   format('after the push: alter publication %I add table %s%s%s;', p.pubname, h.name,
                          (select ' (' || string_agg(quote_ident(a.attname), ', ') || ')' from pg_attribute a
                           where a.attrelid = r.prrelid and a.attnum = any (r.prattrs)),
                          ' where (' || regexp_replace(
                            pg_get_expr(r.prqual, r.prrelid), h.times, h.in_utc, 'g') || ')')], null, null
      from hanging h
      join pg_publication_rel r on h.classid = 'pg_publication_rel'::regclass and r.oid = h.objid
      join pg_publication p on p.oid = r.prpubid
      union all
      select 42, format('the index %s does not work with a time that has a zone: {}', h.objid::regclass),
             array[coalesce((select format('run: alter table %s drop constraint %I;', h.name, k.conname)
                             from pg_constraint k where k.conindid = h.objid and k.conrelid = h.oid),
                            format('run: drop index %s;', h.objid::regclass)),
                   'after the push: ' || regexp_replace(
                     coalesce((select format('alter table %s add constraint %I %s', h.name, k.conname,
                                             pg_get_constraintdef(k.oid))
                               from pg_constraint k where k.conindid = h.objid and k.conrelid = h.oid),
                              pg_get_indexdef(h.objid)), h.times, h.in_utc, 'g') || ';'], null,
             format('create temporary table supatoss_copy (like %s); %s; alter table supatoss_copy %s;', h.name,
                    regexp_replace(pg_get_indexdef(h.objid), ' INDEX .+? ON .+? USING ',
                                   ' INDEX ON supatoss_copy USING '),
                    (select string_agg(format('alter column %I type timestamptz', c.column_name), ', ') from changing c
                     where c.oid = h.oid and c.atttypid = 'timestamp'::regtype))
      from hanging h join pg_class c on c.oid = h.objid and c.relkind = 'i'
      where h.classid = 'pg_class'::regclass
      union all
      select 42, format('the statistics %s are of an expression with %s', s.stxname, h.column_names),
             array[format('run: drop statistics %s.%I;', s.stxnamespace::regnamespace, s.stxname),
                   'after the push: ' || regexp_replace(pg_get_statisticsobjdef(s.oid), h.times, h.in_utc, 'g') || ';'],
             null, null
      from hanging h join pg_statistic_ext s on h.classid = 'pg_statistic_ext'::regclass and s.oid = h.objid
      where s.stxexprs is not null
      union all
      select 42, format('the column %s.%s holds rows of %s', a.attrelid::regclass, a.attname, t.name),
             array[format('change its type to jsonb, or %s', t.elsewhere)], null, null
      from known t
      join pg_type y on y.oid = t.reltype
      join pg_attribute a on a.atttypid in (y.oid, y.typarray) and not a.attisdropped and a.attnum > 0
      join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'm', 'f')

      -- What would refuse the rows that we write.
      union all
      select 50, format('%s.%s is not null, and an event may have no value for it', c.name, c.column_name),
             array[case
               when exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary
                              and c.attnum = any (i.indkey)) and c.type_name = 'uuid'
                 then format('run: alter table %s alter column %I set default gen_random_uuid();', c.name,
                             c.column_name)
               when not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary
                                  and c.attnum = any (i.indkey))
                 then format('run: alter table %s alter column %I drop not null;', c.name, c.column_name) end,
               c.elsewhere], null, null
      from columns c join known t on t.oid = c.oid
      where c.attnotnull and c.attgenerated = ''
        and (c.use in ('maybe', 'own') or (c.use in ('never', 'id') and c.value is null))
      union all
      select 50, format('%s.%s is generated, so it cannot be written', c.name, c.column_name), array[c.elsewhere],
             null, null
      from columns c join known t on t.oid = c.oid
      where c.attgenerated <> '' and c.use in ('key', 'always', 'maybe', 'own')
      union all
      select 51, format('%s (%s) refers to %s, and events come with values that are not there', t.name, n.names,
                        k.confrelid::regclass),
             array[format('run: alter table %s drop constraint %I;', t.name, k.conname), t.elsewhere], null, null
      from known t
      join pg_constraint k on k.conrelid = t.oid and k.contype = 'f'
      cross join lateral (
        select string_agg(c.column_name, ', ') as names,
               bool_and(c.use in ('key', 'always', 'maybe', 'own')) as is_written
        from columns c where c.oid = t.oid and c.attnum = any (k.conkey)) n
      where n.is_written
      union all
      select 51, format('%s allows one row for each (%s), and events come with the same again', u.name,
                        array_to_string(array_replace(u.column_names, '', 'expression'), ', ')),
             array[case when u.conname is null then format('run: drop index %s;', u.indexrelid::regclass)
                        else format('run: alter table %s drop constraint %I;', u.name, u.conname) end, u.elsewhere],
             null, null
      from unique_keys u
      where u.is_whole
        and not exists (
          select from unnest(u.column_names) as n (column_name)
          left join columns c on c.oid = u.oid and c.column_name = n.column_name
          where n.column_name <> '' and (
            coalesce(c.use, 'never') in ('never', 'id', 'own')
            or (u.name, n.column_name) in (('public.payments', 'order_id'), ('public.payments', 'payment_key'),
                                           ('public.subscriptions', 'billing_key'))))
      union all
      select 51, format('the trigger %s of %s copies whole rows (new.* or old.*), and ours have columns more', g.tgname,
                        t.name),
             array[format('name the columns in the function %s', p.oid::regprocedure), t.elsewhere], null, null
      from known t
      join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
      join pg_proc p on p.oid = g.tgfoid and p.prosrc ~* 'insert\s+into[^;]*(,|select|values\s*\()\s*(new|old)\.\*'
      union all
      select 51, format('the unique constraint %s of %s is deferrable', u.conname, u.name),
             array[format('run: alter table %s drop constraint %I, add constraint %I unique (%s);', u.name, u.conname,
                          u.conname, array_to_string(u.column_names, ', '))], null, null
      from unique_keys u
      where not u.indimmediate and u.name = 'public.payments' and u.column_names = array['order_id']
      union all
      select 51, format('%s has no primary key and is in the publication %s: its rows cannot be updated', t.name,
                        string_agg(p.pubname, ', ')),
             array[format('run: alter table %s replica identity full;', t.name)], null, null
      from known t
      join pg_publication_tables p on to_regclass(format('%I.%I', p.schemaname, p.tablename)) = t.oid
      where t.relreplident = 'n' or (t.relreplident = 'd' and not exists (
        select from pg_index i where i.indrelid = t.oid and i.indisprimary))
      group by t.name
      union all
      select 52, format('the check %s of %s refuses what Toss reports: {}', k.conname, k.name),
             array[format('run: alter table %s drop constraint %I;', k.name, k.conname), k.elsewhere],
             format('select supatoss_row ->> ''_'' from jsonb_array_elements(%L) as s (supatoss_row)'
                    ' cross join lateral (select %s) as r where not (%s) limit 1', s.rows, (
               select string_agg(format(
                        case when c.use in ('key', 'always', 'maybe') then '(supatoss_row ->> %1$L)::%2$s as %3$I'
                             when c.value is null or c.attgenerated <> '' or c.value ~ 'nextval|identity'
                               then 'null::%2$s as %3$I'
                             else '(%4$s)::%2$s as %3$I' end,
                        c.column_name, c.type_name, c.column_name, c.value), ', ')
               from columns c where c.oid = k.oid), k.condition), null
      from checks k join samples s on s.name = k.name
      where not k.is_widened
      union all
      select 53, format('%s.%s has words of its own: %s', c.name, c.column_name, coalesce(
                        string_agg(distinct l.word, ', ') filter (where l.word ~ '[a-z]'), 'DONE is not one of them')),
             array[c.elsewhere], null, null
      from statuses c
      left join checks k on k.oid = c.oid and k.is_widened
      cross join lateral (
        select m.match[1] as word
        from regexp_matches(concat_ws(' ', k.condition, c.value), '''([^'']*)''', 'g') as m (match)) l
      group by c.name, c.column_name, c.elsewhere, k.condition
      having bool_or(l.word ~ '[a-z]') or (k.condition is not null and not bool_or(l.word = 'DONE'))

      -- What the rows hold.
      union all
      select 60, format('%s.%s has values of its own: {}', c.name, c.column_name), array[c.elsewhere],
             format('select string_agg(distinct quote_literal(v.value), '', '') from (select %I::text as value from %s'
                    ' where %1$I::text ~ ''[a-z]'' limit 20) v', c.column_name, c.name), null
      from statuses c
      union all
      select 60, format('several rows of public.payments have the same %s: {}', c.column_name),
             array[format('keep one of them, give the others a value of their own: select * from %s where %I in (select'
                          ' %2$I from %1$s group by 1 having count(*) > 1) order by %2$I;', c.name, c.column_name),
                   c.elsewhere],
             format('select string_agg(v.value, '', '') from (select %I as value from %s where %1$I is not null'
                    ' group by 1 having count(*) > 1 limit 5) v', c.column_name, c.name), null
      from columns c join known t on t.oid = c.oid
      where c.name = 'public.payments' and c.column_name in ('order_id', 'payment_key')
        and not exists (select from unique_keys u where u.oid = c.oid and u.is_whole
                          and u.column_names = array[c.column_name])
    )
    select * from obstacle order by place, what
  loop
    v_answer := null;
    begin
      if v_entry.question is not null then
        execute v_entry.question into v_answer;
      elsif v_entry.attempt is not null then
        execute v_entry.attempt;
        raise exception using errcode = 'SUPA1';
      end if;
    exception
      when sqlstate 'SUPA1' then null;
      when insufficient_privilege then null;  -- a table of somebody else is in the list already
      when others then v_answer := sqlerrm;
    end;
    if (v_entry.question is null and v_entry.attempt is null) or v_answer is not null then
      v_obstacles := v_obstacles || concat_ws(E'\n   → ', replace(v_entry.what, '{}', coalesce(v_answer, '')),
                                              array_to_string(v_entry.remedies, E'\n   → '));
    end if;
  end loop;

  if v_obstacles <> '{}' then
    raise exception using errcode = 'SUPA0', message = (
      select format('supatoss: nothing was changed. %s obstacle%s:', cardinality(v_obstacles),
                    case when cardinality(v_obstacles) > 1 then 's' else '' end)
             || string_agg(E'\n' || o.place || '. ' || o.text, '' order by o.place)
      from unnest(v_obstacles) with ordinality as o (text, place));
  end if;

  -- Nothing stands in the way, but some things are worth knowing.
  for v_entry in
    select format('%s looks as if it holds Toss payments: ours are kept beside it, in public.payments, and nothing'
                  ' changes in it', c.oid::regclass) as what,
           'write a function on_payment_changed: it is called for every change (docs/reacting.md); to keep our tables'
           ' out of the schema public: supatoss migrations copy DIR --schema toss' as advice
    from pg_class c
    where c.relkind in ('r', 'p') and not c.relispartition
      and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema|supatoss)'
      and c.oid is distinct from to_regclass('public.payments')
      and c.oid is distinct from to_regclass('public.webhook_events')
      and exists (select from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
                    and lower(replace(a.attname, '_', '')) in ('paymentkey', 'tosspaymentkey'))
      and exists (select from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
                    and lower(replace(a.attname, '_', '')) in ('orderid', 'tossorderid', 'tosspaymentkey'))
    union all
    select format('the function %s answers with times that have no zone', p.oid::regprocedure),
           'if they are columns of payments, subscriptions or webhook_events, change its timestamp to timestamptz after'
           ' the push'
    from pg_proc p join pg_language l on l.oid = p.prolang
    where l.lanname = 'plpgsql' and 'timestamp'::regtype::oid = any (p.proallargtypes)
      and p.prosrc ~ '\m(payments|subscriptions|webhook_events)\M'
      and (to_regclass('public.payments') is not null or to_regclass('public.subscriptions') is not null
           or to_regclass('public.webhook_events') is not null)
    union all
    select format('%s refers to %s (payment_key): a placeholder is replaced by Toss''s key, and that is refused while'
                  ' a row refers to it', k.conrelid::regclass, k.confrelid::regclass),
           format('let the reference follow: alter table %s drop constraint %I, add constraint %2$I %s on update'
                  ' cascade;', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
    from pg_constraint k
    join pg_attribute a on a.attrelid = k.confrelid and k.confkey = array[a.attnum] and a.attname = 'payment_key'
    where k.contype = 'f' and k.confrelid = to_regclass('public.payments') and k.confupdtype in ('a', 'r')
    union all
    select format('the event trigger %s runs at the statements of our files', e.evtname),
           format('if it refuses them, switch it off for the push: alter event trigger %I disable;', e.evtname)
    from pg_event_trigger e join pg_roles r on r.oid = e.evtowner
    where e.evtenabled <> 'D' and not r.rolsuper
  loop
    raise warning using message = 'supatoss: ' || v_entry.what || E'\n   → ' || v_entry.advice;
  end loop;
  perform set_config('search_path', v_search_path, true);
end;
$preflight$;
