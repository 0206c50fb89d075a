-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- The age of the backlog.
create index if not exists webhook_events_waiting_idx on public.webhook_events (waiting_since)
  where status = 'pending' and coalesce(reason, '') <> 'toss_disagrees';
-- Oldest waiting, newest failed, and pages of either.
create index if not exists webhook_events_unfinished_created_at_idx
  on public.webhook_events (status, created_at, id) where status in ('pending', 'failed');
