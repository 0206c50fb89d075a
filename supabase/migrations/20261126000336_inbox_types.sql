-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- Lists of events of a rare type. Nearly every event is a PAYMENT_STATUS_CHANGED, and pays nothing for this.
create index if not exists webhook_events_other_types_idx on public.webhook_events (event_type, created_at)
  where event_type <> 'PAYMENT_STATUS_CHANGED';
