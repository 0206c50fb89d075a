-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.payments', 'share');

do $$
begin
  if not supatoss.is_unique('public.payments', 'payment_key') then
    create unique index payments_payment_key_key on public.payments (payment_key);
  end if;
  if not supatoss.is_unique('public.payments', 'order_id') then
    create unique index payments_order_id_key on public.payments (order_id);
  end if;
  -- For the users' own page: an application that has the table has its own. Orders of guests cost it nothing.
  if not supatoss.is_adopted('public.payments') then
    create index payments_user_id_created_at_idx on public.payments (user_id, created_at desc)
      where user_id is not null;
  end if;
end;
$$;
-- The worker looks for overdue deposits, and for the payment of a cancel. A GIN index has an entry for NULL too, so
-- without its condition nearly every payment would pay for an index of cancels. Its entries are written at once: a list
-- of pending ones is worked off by whichever recording finds it full, while all others wait for it.
create index if not exists payments_waiting_idx
  on public.payments (occurred_at) where payment_status = 'WAITING_FOR_DEPOSIT';
create index if not exists payments_cancels_idx
  on public.payments using gin (cancels jsonb_path_ops) with (fastupdate = off) where cancels is not null;
