-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.payments', 'share');

-- Alerts. The first is empty as long as all is well; of cancelled payments, a few per cent, the last day is looked
-- through.
create index if not exists payments_unapproved_idx on public.payments (order_id)
  where payment_status = 'DONE' and approved_at is null;
create index if not exists payments_cancelled_idx on public.payments (updated_at) where cancels is not null;
