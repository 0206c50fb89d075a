-- What the rules of alerts look at. Every look is by a small partial index, so that it stays cheap beside ten million rows:
-- failed events are few, and stand in these two indexes alone, money first.
create index if not exists webhook_events_failed_money_idx on public.webhook_events (created_at)
  where status = 'failed' and reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
create index if not exists webhook_events_failed_other_idx on public.webhook_events (created_at)
  where status = 'failed'
    and coalesce(reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
-- Empty as long as all is well.
create index if not exists payments_unapproved_idx on public.payments (order_id)
  where payment_status = 'DONE' and approved_at is null;
-- Cancelled payments are few per cent; the last day of them is looked through.
create index if not exists payments_cancelled_idx on public.payments (updated_at) where cancels is not null;

-- {read_at, oldest_waiting_seconds, failed: [{id, reason, order_id, error}], has_more_failed, unapproved: [order_id],
-- overcancelled: [{order_id, amount, canceled}], newest_event_at, recent_events}. Lists are oldest first and hold at most
-- max_items; recent_events counts, up to 20, the events of the seven days before the newest one.
create function public.supatoss_read_alert_facts_v1(max_items integer)
returns jsonb
language sql stable
set search_path = ''
set enable_seqscan = off
as $$
  with money as (
    select w.id, w.reason, w.order_id, w.last_error, w.created_at from public.webhook_events w
    where w.status = 'failed' and w.reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge')
    order by w.created_at limit max_items + 1
  ),
  other as (
    -- Messages of the database can hold values of rows, so these events' errors stay where they are.
    select w.id, w.reason, w.order_id, null::text as last_error, w.created_at from public.webhook_events w
    where w.status = 'failed'
      and coalesce(w.reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge')
    order by w.created_at limit max_items + 1
  ),
  failed as (
    (select * from money order by created_at limit max_items) union all (select * from other order by created_at limit max_items)
  ),
  cancelled as (
    select p.order_id, p.amount,
           (select sum((c.item ->> 'cancelAmount')::numeric)
            from jsonb_array_elements(case when jsonb_typeof(p.cancels) = 'array' then p.cancels end) as c (item)
            where coalesce(c.item ->> 'cancelStatus', 'DONE') = 'DONE' and c.item ->> 'cancelAmount' ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$') as canceled
    from public.payments p
    where p.cancels is not null and p.updated_at > now() - interval '1 day'
    order by p.updated_at desc limit 5000
  ),
  -- An alert stays open for as long as it is true, longer than a day too.
  noted as (
    select p.order_id, p.amount, (select sum((c.item ->> 'cancelAmount')::numeric)
            from jsonb_array_elements(case when jsonb_typeof(p.cancels) = 'array' then p.cancels end) as c (item)
            where coalesce(c.item ->> 'cancelStatus', 'DONE') = 'DONE' and c.item ->> 'cancelAmount' ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$') as canceled
    from public.alerts a join public.payments p on p.order_id = a.subject
    where a.rule = 'cancels_above_total' and a.ended_at is null
  ),
  overcancelled as (
    select order_id, amount, canceled from cancelled where canceled > amount
    union
    select order_id, amount, canceled from noted where canceled > amount
    order by order_id limit max_items
  ),
  newest as (
    select w.created_at from public.webhook_events w
    where w.created_at is not null and w.event_type not like 'supatoss.%' order by w.created_at desc limit 1
  )
  select jsonb_build_object(
    'read_at', now(),
    'oldest_waiting_seconds', public.supatoss_oldest_waiting_seconds_v1(),
    'failed', (select coalesce(jsonb_agg(jsonb_build_object(
                 'id', f.id, 'reason', f.reason, 'order_id', f.order_id, 'error', f.last_error) order by f.created_at, f.id), '[]'::jsonb)
               from failed f),
    'has_more_failed', (select count(*) > max_items from money) or (select count(*) > max_items from other),
    'unapproved', (select coalesce(jsonb_agg(u.order_id order by u.order_id), '[]'::jsonb) from (
                     select p.order_id from public.payments p
                     where p.payment_status = 'DONE' and p.approved_at is null and p.projected_state is not null
                     order by p.order_id limit max_items) u),
    'overcancelled', (select coalesce(jsonb_agg(jsonb_build_object(
                        'order_id', o.order_id, 'amount', o.amount::text, 'canceled', o.canceled::text)), '[]'::jsonb)
                      from overcancelled o),
    'newest_event_at', (select n.created_at from newest n),
    'recent_events', (select count(*) from (
                        select 1 from public.webhook_events w, newest n
                        where w.created_at > n.created_at - interval '7 days' and w.created_at <= n.created_at limit 20) r))
$$;

select supatoss.close_functions();
