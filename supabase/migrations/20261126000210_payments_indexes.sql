-- The CLI runs a file in one transaction, where nothing is built concurrently.
-- squawk-ignore-file require-concurrent-index-creation
-- A file of its own: beside these, an adopted table is read, and only its writers wait.
select supatoss.lock_adopted('public.payments', 'share');
select supatoss.validate_checks('public.payments', 'payment_status');

do $$
begin
  if not supatoss.is_unique('public.payments', 'payment_key') then
    create unique index payments_payment_key_key on public.payments (payment_key);
  end if;
  if not supatoss.is_unique('public.payments', 'order_id') then
    create unique index payments_order_id_key on public.payments (order_id);
  end if;
  -- For the users' own page: an application that has the table has its own.
  if not supatoss.is_adopted('public.payments') then
    create index payments_user_id_created_at_idx on public.payments (user_id, created_at desc);
  end if;
end;
$$;
-- The worker looks for overdue deposits, and for the payment of a cancel. A GIN index has an entry for NULL too, so
-- without its condition nearly every payment would pay for an index of cancels.
create index if not exists payments_waiting_idx
  on public.payments (occurred_at) where payment_status = 'WAITING_FOR_DEPOSIT';
create index if not exists payments_cancels_idx
  on public.payments using gin (cancels jsonb_path_ops) where cancels is not null;
-- Reconciliation: which payments moved money in some days. BRIN costs a write nothing, and rows lie in the order of
-- their days.
create index if not exists payments_money_at_idx on public.payments using brin ((coalesce(approved_at, created_at)));
create index if not exists payments_canceled_at_idx on public.payments (canceled_at) where canceled_at is not null;
create index if not exists payments_partial_cancels_idx
  on public.payments (payment_key) where payment_status = 'PARTIAL_CANCELED';
-- Alerts. The first is empty as long as all is well; of cancelled payments, a few per cent, the last day is looked
-- through.
create index if not exists payments_unapproved_idx on public.payments (order_id)
  where payment_status = 'DONE' and approved_at is null;
create index if not exists payments_cancelled_idx on public.payments (updated_at) where cancels is not null;
