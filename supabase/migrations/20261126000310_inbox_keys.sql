-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

create unique index webhook_events_event_key_key on public.webhook_events (event_key) where event_key is not null;
create index if not exists webhook_events_order_id_idx on public.webhook_events (order_id, occurred_at)
  where order_id is not null;
