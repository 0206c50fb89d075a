-- The CLI runs a file in one transaction, where nothing is built concurrently.
-- squawk-ignore-file require-concurrent-index-creation
-- A file of its own: beside these, an adopted table is read, and only its writers wait.
select supatoss.lock_adopted('public.webhook_events', 'share');
select supatoss.validate_checks('public.webhook_events', 'status');
select supatoss.validate_checks('public.webhook_events', 'proof');

create unique index webhook_events_event_key_key on public.webhook_events (event_key);
create index if not exists webhook_events_created_at_idx on public.webhook_events (created_at desc);
create index if not exists webhook_events_order_id_idx on public.webhook_events (order_id);
create index if not exists webhook_events_payment_key_idx on public.webhook_events (payment_key);
create index if not exists webhook_events_customer_key_idx
  on public.webhook_events ((change ->> 'customer_key')) where change ->> 'kind' = 'billing';
create index if not exists webhook_events_billing_key_idx
  on public.webhook_events ((change ->> 'billing_key')) where change ->> 'kind' = 'billing';
-- All others are of few rows, so that they cost other events nothing. Those that the worker claims:
create index if not exists webhook_events_unfinished_idx
  on public.webhook_events (status, next_attempt_at) where status in ('pending', 'failed');
-- Events that wait until somebody says which order they belong to, by their payment; without it every batch would
-- read all pending events, of which an outage of Toss leaves many.
create index if not exists webhook_events_orphans_idx on public.webhook_events (payment_key)
  where status = 'pending' and reason = 'unknown_order';
-- The age of the backlog.
create index if not exists webhook_events_waiting_idx on public.webhook_events (waiting_since)
  where status = 'pending' and coalesce(reason, '') <> 'toss_disagrees';
-- Oldest waiting, newest failed, and pages of either.
create index if not exists webhook_events_unfinished_created_at_idx
  on public.webhook_events (status, created_at, id) where status in ('pending', 'failed');
-- Alerts: failed events, money first.
create index if not exists webhook_events_failed_money_idx on public.webhook_events (created_at)
  where status = 'failed' and reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
create index if not exists webhook_events_failed_other_idx on public.webhook_events (created_at)
  where status = 'failed'
    and coalesce(reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
-- Retention: rows of ours alone; those that somebody else wrote (no event_key) are not ours to empty.
create index if not exists webhook_events_retention_idx on public.webhook_events (created_at)
  where payload_emptied_at is null and status in ('processed', 'ignored') and event_key is not null;
