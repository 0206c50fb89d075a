-- What the operators' page reads. No function here changes anything; none gives out a secret, a billing key, an account or a name.

-- Oldest waiting, newest failed, and pages of either: few rows, so the index is small and costs other events nothing.
create index if not exists webhook_events_unfinished_created_at_idx
  on public.webhook_events (status, created_at, id) where status in ('pending', 'failed');

-- The last p_hours hours, up to now: {now, since, hours: [{hour, status, events, deliveries}], types: [{event_type, events, failed}],
-- pending: {events, oldest}, failed: {events, oldest, reasons: [{reason, events}]}, reconciliation: the last run}. deliveries counts those of events that came
-- first in the hour. Unfinished events are counted up to 1,000: more than that is one number to a person.
create function public.supatoss_ops_overview_v1(p_hours integer)
returns jsonb
language plpgsql stable
set search_path = ''
set timezone = 'UTC'  -- hours begin on whole hours in Korea too
set enable_seqscan = off
as $$
declare
  v_since timestamptz := date_trunc('hour', now()) - make_interval(hours => least(greatest(p_hours, 1), 168) - 1);
  v_reconciliation jsonb;
begin
  if to_regclass('public.reconciliations') is not null then
    execute $query$
      select jsonb_build_object(
               'kind', r.kind, 'status', r.status, 'first_day', r.first_day, 'last_day', r.last_day, 'finished_at', r.finished_at,
               'findings', (select count(*) from public.reconciliation_findings f where f.reconciliation_id = r.id),
               'needs_person', (select count(*) from public.reconciliation_findings f
                                where f.reconciliation_id = r.id and f.outcome = 'needs_person'))
      from public.reconciliations r order by r.created_at desc limit 1
    $query$ into v_reconciliation;
  end if;
  return (
    with recent as materialized (
      select date_trunc('hour', w.created_at) as hour, w.status, w.event_type, count(*) as events, sum(w.delivery_count) as deliveries
      from public.webhook_events w
      where w.created_at >= v_since
      group by grouping sets ((1, w.status), (w.event_type, w.status))
    ),
    failed as materialized (
      select w.reason, w.created_at from public.webhook_events w
      where w.status = 'failed' order by w.created_at desc limit 1000
    ),
    pending as materialized (
      select w.created_at from public.webhook_events w
      where w.status = 'pending' order by w.created_at limit 1000
    )
    select jsonb_build_object(
      'now', now(),
      'since', v_since,
      'reconciliation', v_reconciliation,
      'hours', (select coalesce(jsonb_agg(jsonb_build_object('hour', r.hour, 'status', r.status, 'events', r.events,
                                                             'deliveries', r.deliveries) order by r.hour, r.status), '[]'::jsonb)
                from recent r where r.hour is not null),
      'types', (select coalesce(jsonb_agg(jsonb_build_object('event_type', t.event_type, 'events', t.events, 'failed', t.failed)
                                          order by t.events desc, t.event_type), '[]'::jsonb)
                from (select r.event_type, sum(r.events) as events,
                             coalesce(sum(r.events) filter (where r.status = 'failed'), 0) as failed
                      from recent r where r.hour is null group by r.event_type order by 2 desc, 1 limit 20) t),
      'pending', (select jsonb_build_object('events', count(*), 'oldest', min(p.created_at)) from pending p),
      'failed', (select jsonb_build_object('events', count(*), 'oldest', min(f.created_at)) from failed f)
                || jsonb_build_object('reasons', (
                     select coalesce(jsonb_agg(jsonb_build_object('reason', n.reason, 'events', n.events)
                                               order by n.events desc, n.reason), '[]'::jsonb)
                     from (select f.reason, count(*) as events from failed f group by f.reason) n))));
end;
$$;

create function supatoss.payment_for_operators(p public.payments)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', p.id, 'order_id', p.order_id, 'payment_key', p.payment_key, 'order_name', p.order_name, 'amount', p.amount::text,
    'balance', p.balance_amount::text, 'currency', p.currency, 'method', p.payment_method, 'status', p.payment_status,
    'requested_at', p.requested_at, 'approved_at', p.approved_at, 'canceled_at', p.canceled_at, 'settled_at', p.settled_at,
    'due_at', supatoss.parse_time(p.virtual_account ->> 'dueDate'), 'failure_code', p.failure_code,
    'failure_message', p.failure_message, 'receipt_url', p.receipt_url, 'merchant_id', p.merchant_id,
    'created_at', p.created_at, 'updated_at', p.updated_at,
    'asked_amount', p.application_state ->> 'amount', 'asked_currency', p.application_state ->> 'currency')
$$;

create function supatoss.settlement_for_operators(s public.settlements)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'settlement_key', s.settlement_key, 'kind', s.kind, 'status', s.status, 'order_id', s.order_id, 'payment_key', s.payment_key,
    'amount', s.amount::text, 'pay_out_amount', s.pay_out_amount::text, 'fee', s.fee::text, 'currency', s.currency,
    'sold_date', s.sold_date, 'paid_out_date', s.paid_out_date, 'settled_at', s.settled_at, 'occurred_at', s.occurred_at,
    'failure_code', s.failure_code, 'failure_message', s.failure_message)
$$;

-- What find_webhook_events_v1 leaves out of an event, and the rows it is about, as they are now:
-- {transmission, payment, settlements, subscriptions}.
create function public.supatoss_ops_rows_v1(p_event_id uuid)
returns jsonb
language sql stable
set search_path = ''
set enable_seqscan = off
as $$
  select jsonb_build_object(
    'transmission', jsonb_build_object(
      'id', w.transmission_id, 'time', w.transmission_time, 'retried_count', w.transmission_retried_count),
    'payment', (
      select supatoss.payment_for_operators(p) from public.payments p where p.order_id = w.order_id),
    'settlements', (
      select coalesce(jsonb_agg(supatoss.settlement_for_operators(s) order by s.occurred_at, s.settlement_key), '[]'::jsonb)
      from public.settlements s where w.change ->> 'kind' = 'settlement' and s.settlement_key = w.change ->> 'settlement_key'),
    'subscriptions', (
      select coalesce(jsonb_agg(s.item order by s.started_at desc), '[]'::jsonb)
      from (
        select jsonb_build_object(
                 'id', s.id, 'customer_key', s.customer_key, 'status', s.status, 'tier', s.tier, 'started_at', s.started_at,
                 'current_period_end', s.current_period_end, 'canceled_at', s.canceled_at, 'next_billing_date', s.next_billing_date,
                 'amount', s.amount::text, 'billing_key_issued_at', s.billing_key_issued_at,
                 'billing_key_deleted_at', s.billing_key_deleted_at, 'uses_this_key', s.billing_key = w.change ->> 'billing_key'
               ) as item, s.started_at
        from public.subscriptions s
        where w.change ->> 'kind' = 'billing'
          and (s.customer_key = w.change ->> 'customer_key' or s.billing_key = w.change ->> 'billing_key')
        order by s.started_at desc limit 20
      ) s))
  from public.webhook_events w where w.id = p_event_id
$$;

-- An order's story: {payment, settlements, events: oldest occurrence first, at most 200, the newest of them, has_more}.
create function public.supatoss_ops_payment_v1(p_order_id text)
returns jsonb
language plpgsql stable
set search_path = ''
set enable_seqscan = off
as $$
begin
  return (
    with told as (
      select w.* from public.webhook_events w
      where w.order_id = p_order_id
      order by w.occurred_at desc nulls last, w.event_key collate "C" desc limit 201
    ),
    numbered as (
      select t.*, row_number() over (order by t.occurred_at desc nulls last, t.event_key collate "C" desc) as place from told t
    )
    select jsonb_build_object(
      'payment', (select supatoss.payment_for_operators(p) from public.payments p where p.order_id = p_order_id),
      'settlements', (
        select coalesce(jsonb_agg(supatoss.settlement_for_operators(s) order by s.occurred_at, s.settlement_key), '[]'::jsonb)
        from (
          select s.* from public.settlements s where s.order_id = p_order_id
          union
          select s.* from public.payments p join public.settlements s on s.payment_key = p.payment_key
          where p.order_id = p_order_id
          limit 50
        ) s),
      'events', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', n.id, 'event_type', n.event_type, 'status', n.status, 'reason', n.reason, 'last_error', n.last_error,
                 'proof', n.proof, 'payment_key', n.payment_key, 'occurred_at', n.occurred_at, 'created_at', n.created_at,
                 'delivery_count', n.delivery_count, 'kind', n.change ->> 'kind', 'payment_status', n.change ->> 'status',
                 'amount', n.change ->> 'amount', 'balance', n.change ->> 'balance', 'currency', n.change ->> 'currency',
                 'method', n.change ->> 'method', 'is_first', n.change ->> 'is_first' = 'true',
                 'failure_code', n.change ->> 'failure_code', 'failure_message', n.change ->> 'failure_message',
                 'settlement_key', n.change ->> 'settlement_key', 'cancels', (
                   select coalesce(jsonb_agg(jsonb_build_object(
                            'key', c.item ->> 'transactionKey', 'amount', c.item ->> 'cancelAmount', 'reason', c.item ->> 'cancelReason',
                            'at', c.item ->> 'canceledAt', 'status', c.item ->> 'cancelStatus') order by c.item ->> 'canceledAt'),
                          '[]'::jsonb)
                   from jsonb_array_elements(case jsonb_typeof(n.change -> 'cancels') when 'array' then n.change -> 'cancels'
                                             else '[]'::jsonb end) as c (item)))
               order by n.place desc), '[]'::jsonb)
        from numbered n where n.place <= 200),
      'has_more', exists (select 1 from numbered n where n.place > 200)));
end;
$$;

select supatoss.close_functions();
