-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- Lists of ignored events.
create index if not exists webhook_events_ignored_idx on public.webhook_events (created_at) where status = 'ignored';
