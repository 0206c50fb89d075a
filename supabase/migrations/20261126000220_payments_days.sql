-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.payments', 'share');

-- Reconciliation: which payments moved money in some days. BRIN costs a write nothing, and rows lie in the order of
-- their days.
create index if not exists payments_money_at_idx on public.payments using brin ((coalesce(approved_at, created_at)));
create index if not exists payments_canceled_at_idx on public.payments (canceled_at) where canceled_at is not null;
