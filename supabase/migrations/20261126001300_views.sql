-- For the SQL Editor: how the inbox is, what needs a person, and the story of an order. Rights are those of who asks
-- (security_invoker), and nobody but the service and the project's owner may ask. Payloads, secrets and keys are not
-- in them.
create view public.webhook_health with (security_invoker = true) as
select
  now() as read_at,
  (select max(w.created_at) from public.webhook_events w) as newest_event_at,
  r.of_hour as events_last_hour,
  r.of_day as events_last_day,
  (select count(*) from public.webhook_events w where w.status = 'failed') as failed,
  (select count(*) from public.webhook_events w where w.status = 'pending') as pending,
  (select extract(epoch from now() - min(w.waiting_since))::bigint
   from public.webhook_events w
   where w.status = 'pending' and coalesce(w.reason, '') <> 'toss_disagrees') as oldest_waiting_seconds,
  (select count(*) from supatoss.alerts a where a.ended_at is null) as open_alerts,
  (select max(c.finished_at) from supatoss.reconciliations c where c.status = 'finished') as last_reconciled_at
from (
  select count(*) filter (where w.created_at > now() - interval '1 hour') as of_hour, count(*) as of_day
  from public.webhook_events w where w.created_at > now() - interval '1 day') r
-- Counts of rows that one may not see are still counts: where somebody granted the view, it is empty.
where current_user not in ('anon', 'authenticated');

-- One row an event that needs a person, with what the order has now.
create view public.webhook_failures with (security_invoker = true) as
select
  w.id, w.created_at, w.event_type, w.reason, w.last_error, w.order_id, w.payment_key, w.proof, w.delivery_count,
  w.change ->> 'status' as reported_status,
  (w.change ->> 'amount')::numeric as reported_amount,
  -- Not p.amount: the project could not change the type of that column any more.
  (to_jsonb(p) ->> 'amount')::numeric as stored_amount,
  p.currency,
  p.payment_status
from public.webhook_events w
left join public.payments p on p.order_id = w.order_id
where w.status = 'failed';

-- One row an event of an order. Ask for one order_id, in the order of occurred_at.
create view public.payment_timeline with (security_invoker = true) as
select
  w.order_id, w.occurred_at, w.created_at as recorded_at, w.event_type,
  w.change ->> 'status' as reported_status,
  (w.change ->> 'amount')::numeric as reported_amount,
  (w.change ->> 'balance')::numeric as reported_balance,
  w.payment_key, w.proof, w.status as event_status, w.reason, w.last_error, w.delivery_count, w.id as event_id,
  p.payment_status as payment_status_now,
  p.payment_key = w.payment_key as is_shown_attempt
from public.webhook_events w
left join public.payments p on p.order_id = w.order_id
where w.order_id is not null;

revoke all on table public.webhook_health, public.webhook_failures, public.payment_timeline from public, anon,
authenticated;
grant select on table public.webhook_health, public.webhook_failures, public.payment_timeline to service_role;

comment on view public.webhook_health is 'One row: how the inbox is now. docs/sql-editor.md';
comment on view public.webhook_failures is 'One row an event that needs a person. docs/sql-editor.md';
comment on view public.payment_timeline is 'One row an event of an order: filter by order_id. docs/sql-editor.md';
