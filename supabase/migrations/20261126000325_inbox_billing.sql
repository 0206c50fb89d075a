-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

create index if not exists webhook_events_customer_key_idx
  on public.webhook_events ((change ->> 'customer_key')) where change ->> 'kind' = 'billing';
create index if not exists webhook_events_billing_key_idx
  on public.webhook_events ((change ->> 'billing_key')) where change ->> 'kind' = 'billing';
