-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.payments', 'share');

-- The operators' list of payments, newest first, of all or of one status. An application that has the table may have
-- the first one.
do $$
begin
  if not supatoss.has_index('public.payments', 'created_at') then
    create index payments_created_at_idx on public.payments (created_at);
  end if;
end;
$$;
create index if not exists payments_status_created_at_idx on public.payments (payment_status, created_at);
