-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- So that a million keys are sorted in memory, by parallel workers where the server has them.
set local maintenance_work_mem = '128MB';
create index if not exists webhook_events_payment_key_idx on public.webhook_events (payment_key);
