-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- Lists of events by what few of them have: a rare type, a reason, the status ignored. Nearly every event is a
-- processed PAYMENT_STATUS_CHANGED without a reason, and pays for none of these.
create index if not exists webhook_events_other_types_idx on public.webhook_events (event_type, created_at)
  where event_type <> 'PAYMENT_STATUS_CHANGED';
create index if not exists webhook_events_reason_idx on public.webhook_events (reason, created_at)
  where reason is not null;
create index if not exists webhook_events_ignored_idx on public.webhook_events (created_at) where status = 'ignored';
