-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

do $$
begin
  if not supatoss.has_index('public.webhook_events', 'created_at') then
    create index webhook_events_created_at_idx on public.webhook_events (created_at desc);
  end if;
end;
$$;
-- Retention: rows of ours alone; those that somebody else wrote (no event_key) are not ours to empty.
create index if not exists webhook_events_retention_idx on public.webhook_events (created_at)
  where payload_emptied_at is null and status in ('processed', 'ignored') and event_key is not null;
