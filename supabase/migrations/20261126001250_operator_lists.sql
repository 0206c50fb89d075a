-- The lists of the operators' page (payments, subscriptions, settlements, alerts, refused deliveries) and its health.
-- squawk-ignore-file require-concurrent-index-creation
create index if not exists subscriptions_created_at_idx on public.subscriptions (created_at);
create index if not exists subscriptions_status_created_at_idx on public.subscriptions (status, created_at);
create index if not exists settlements_occurred_at_idx on public.settlements (occurred_at);
create index if not exists settlements_status_occurred_at_idx on public.settlements (status, occurred_at);
create index if not exists alerts_started_at_idx on supatoss.alerts (started_at);

create function supatoss.subscription_for_operators(s public.subscriptions)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', s.id, 'customer_key', s.customer_key, 'status', s.status, 'tier', s.tier, 'amount', s.amount::text,
    'billing_cycle', s.billing_cycle, 'started_at', s.started_at, 'current_period_start', s.current_period_start,
    'current_period_end', s.current_period_end, 'next_billing_date', s.next_billing_date,
    'canceled_at', s.canceled_at, 'billing_key_issued_at', s.billing_key_issued_at,
    'billing_key_deleted_at', s.billing_key_deleted_at, 'created_at', s.created_at)
$$;

create function supatoss.alert_for_operators(a supatoss.alerts)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'rule', a.rule, 'subject', a.subject, 'details', a.details, 'started_at', a.started_at, 'ended_at', a.ended_at,
    'told_at', a.start_told_at, 'status', case when a.ended_at is null then 'open' else 'ended' end)
$$;

create function supatoss.refused_for_operators(d supatoss.refused_deliveries)
returns jsonb
language sql stable
set search_path = ''
as $$
  select to_jsonb(d) - 'body'
$$;

-- One page of a list, newest first. query: {list, status, search, amount, from (inclusive), until (exclusive), after:
-- {at, id}, limit (at most 500)}; what is absent does not narrow. Answers {rows, next, searched_until}: next is where
-- the page behind begins, null at the end.
--
-- A search that is a key in full is looked up; else, of the rows that the other conditions leave, the next 20,000 are
-- looked through for a part of a name or an amount, and searched_until says how far that was, if there are more.
create function public.supatoss_ops_list_v1(query text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_query jsonb := query::jsonb;
  v_limit integer := least(greatest(coalesce((v_query ->> 'limit')::integer, 50), 1), 500);
  v_search text := v_query ->> 'search';
  v_table text;
  v_at text;       -- when a row came to be
  v_status text;   -- an expression over t
  v_keys text[];   -- columns with an index, that a search may name in full
  v_parts text[];  -- columns that a search may name in part
  v_amounts text[] := '{}';
  v_item text;
  v_where text;
  v_exact text;
  v_found text := 'true';
  v_is_exact boolean := false;
  v_answer jsonb;
begin
  case v_query ->> 'list'
  when 'payments' then
    v_table := 'public.payments'; v_at := 'created_at'; v_status := 't.payment_status';
    v_keys := '{order_id,payment_key}'; v_parts := '{order_id,order_name}'; v_amounts := '{amount}';
    v_item := 'supatoss.payment_for_operators(f.item)';
  when 'subscriptions' then
    v_table := 'public.subscriptions'; v_at := 'created_at'; v_status := 't.status';
    v_keys := '{customer_key}'; v_parts := '{customer_key,tier}'; v_amounts := '{amount}';
    v_item := 'supatoss.subscription_for_operators(f.item)';
  when 'settlements' then
    v_table := 'public.settlements'; v_at := 'occurred_at'; v_status := 't.status';
    v_keys := '{order_id,payment_key,settlement_key,transaction_key}'; v_parts := '{order_id,seller_id,reference}';
    v_amounts := '{amount,pay_out_amount}';
    v_item := 'supatoss.settlement_for_operators(f.item)';
  when 'alerts' then
    v_table := 'supatoss.alerts'; v_at := 'started_at';
    v_status := 'case when t.ended_at is null then ''open'' else ''ended'' end';
    v_keys := '{}'; v_parts := '{rule,subject}';
    v_item := 'supatoss.alert_for_operators(f.item)';
  when 'refused' then
    v_table := 'supatoss.refused_deliveries'; v_at := 'received_at'; v_status := 't.reason';
    v_keys := '{}'; v_parts := '{source_address,event_type}';
    v_item := 'supatoss.refused_for_operators(f.item)';
  else
    raise exception 'there is no list %', v_query ->> 'list' using errcode = 'check_violation';
  end case;

  -- Only what is asked for stands in the statement, as literals: so the planner sees which index fits.
  v_where := format('t.%I is not null', v_at);
  if v_query ->> 'status' is not null then
    v_where := v_where || format(' and %s = %L', v_status, v_query ->> 'status');
  end if;
  if v_query ->> 'from' is not null then
    v_where := v_where || format(' and t.%I >= %L::timestamptz', v_at, v_query ->> 'from');
  end if;
  if v_query ->> 'until' is not null then
    v_where := v_where || format(' and t.%I < %L::timestamptz', v_at, v_query ->> 'until');
  end if;
  if v_search is not null then
    select string_agg(format('t.%I = %L', k.name, v_search), ' or ') into v_exact from unnest(v_keys) as k (name);
    if v_exact is not null then
      execute format('select exists (select from %s t where %s and (%s))', v_table, v_where, v_exact) into v_is_exact;
    end if;
    if v_is_exact then
      v_where := v_where || format(' and (%s)', v_exact);
    else
      select string_agg(format('strpos(lower(t.%I), lower(%L)) > 0', p.name, v_search), ' or ') into v_found
      from unnest(v_parts) as p (name);
      if v_query ->> 'amount' is not null and cardinality(v_amounts) > 0 then
        v_found := v_found || (select string_agg(format(' or t.%I = %L::numeric', a.name, v_query ->> 'amount'), '')
                               from unnest(v_amounts) as a (name));
      end if;
    end if;
  end if;
  if v_query -> 'after' ->> 'id' is not null then
    v_where := v_where || format(' and (t.%I, t.id) < (%L::timestamptz, %L)', v_at,
                                 v_query -> 'after' ->> 'at', v_query -> 'after' ->> 'id');
  end if;

  execute format($list$
    with looked as materialized (
      select t.%1$I as at, t.id, %2$s as is_found from %3$s t
      where %4$s order by t.%1$I desc, t.id desc limit %5$s
    ),
    chosen as (
      select l.at, l.id, row_number() over (order by l.at desc, l.id desc) as place
      from looked l where l.is_found order by l.at desc, l.id desc limit %6$s + 1
    ),
    found as (
      select c.*, t as item from chosen c join %3$s t on t.id = c.id
    )
    select jsonb_build_object(
      'rows', (select coalesce(jsonb_agg(%7$s order by f.place), '[]'::jsonb) from found f where f.place <= %6$s),
      'next', coalesce(
        (select jsonb_build_object('at', f.at, 'id', f.id) from found f
         where f.place = %6$s and exists (select from found g where g.place > %6$s)),
        (select jsonb_build_object('at', l.at, 'id', l.id) from looked l
         where %8$L::boolean and (select count(*) from looked) = %5$s order by l.at, l.id limit 1)),
      'searched_until', (
        select min(l.at) from looked l where %8$L::boolean
        having count(*) = %5$s and (select count(*) from found) <= %6$s))
    $list$, v_at, v_found, v_table, v_where, case when v_found = 'true' then v_limit + 1 else 20000 end, v_limit,
    v_item, v_found <> 'true') into v_answer;
  return v_answer;
end;
$$;

-- How the whole is: {now, processes: [{name, since, seen_at, is_gone}], newest_event_at, oldest_waiting_seconds,
-- pending, failed, open_alerts, untold_alerts, reconciled_at}. processes: the 50 that were heard of last. Numbers are
-- counted up to 1,000.
create function public.supatoss_ops_health_v1()
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'now', now(),
    'processes', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'name', p.name, 'since', p.created_at, 'seen_at', p.seen_at,
               'is_gone', p.seen_at < now() - p.patience) order by p.seen_at desc, p.name), '[]'::jsonb)
      from (select * from supatoss.processes order by seen_at desc limit 50) p),
    'newest_event_at', (
      select w.created_at from public.webhook_events w
      where w.created_at is not null and w.event_type not like 'supatoss.%' order by w.created_at desc limit 1),
    'oldest_waiting_seconds', public.supatoss_oldest_waiting_seconds_v1(),
    'pending', (select count(*) from (
                  select from public.webhook_events w where w.status = 'pending' limit 1000) c),
    'failed', (select count(*) from (
                 select from public.webhook_events w where w.status = 'failed' limit 1000) c),
    'open_alerts', (select count(*) from (select from supatoss.alerts a where a.ended_at is null limit 1000) c),
    'untold_alerts', (
      select count(*) from (
        select from supatoss.alerts a
        where (a.start_told_at is null or (a.ended_at is not null and a.end_told_at is null))
          and (a.ended_at is null or a.ended_at > now() - interval '1 day') limit 1000) c),
    'reconciled_at', (
      select max(r.finished_at) from supatoss.reconciliations r where r.status = 'finished'))
$$;

select supatoss.close_functions();
