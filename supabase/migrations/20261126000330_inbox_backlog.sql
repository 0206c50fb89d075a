-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- Of few rows, so that they cost other events nothing. Those that the worker claims:
create index if not exists webhook_events_unfinished_idx
  on public.webhook_events (status, next_attempt_at) where status in ('pending', 'failed');
-- Events that wait until somebody says which order they belong to, by their payment; without it every batch would
-- read all pending events, of which an outage of Toss leaves many.
create index if not exists webhook_events_orphans_idx on public.webhook_events (payment_key)
  where status = 'pending' and reason = 'unknown_order';
