-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- Alerts: failed events, money first.
create index if not exists webhook_events_failed_money_idx on public.webhook_events (created_at)
  where status = 'failed' and reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
create index if not exists webhook_events_failed_other_idx on public.webhook_events (created_at)
  where status = 'failed'
    and coalesce(reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
