-- The project's own functions that are told of changes: public.on_payment_changed and public.on_subscription_changed.
-- Each is called in the transaction that makes the change, once a change. supatoss.announced_* remember what was told
-- last, whatever happens to the row meanwhile. If the function raises, what it did is taken back, the row stays as it
-- is, and the event is failed (hook_failed); it is called again when the event is replayed, or with the next event.

create table supatoss.announced_payments (
  order_id text primary key,
  stage text not null,
  state jsonb,
  announced_at timestamptz
);
alter table supatoss.announced_payments enable row level security;
revoke all on table supatoss.announced_payments from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.announced_payments to service_role;
comment on table supatoss.announced_payments is 'What on_payment_changed was told last of each order.';
comment on column supatoss.announced_payments.stage is 'The change that was told last; open: none yet.';
comment on column supatoss.announced_payments.state is 'What the row said then; null: there was none.';

-- What a status means to the project.
create function supatoss.stage_of(p_status text, p_balance numeric)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return case p_status
    when 'WAITING_FOR_DEPOSIT' then 'account_issued'
    when 'DONE' then 'paid'
    when 'PARTIAL_CANCELED' then case when p_balance = 0 then 'refunded' else 'part_refunded' end
    when 'CANCELED' then 'refunded'
    when 'ABORTED' then 'failed'
    when 'FAILED' then 'failed'
    when 'EXPIRED' then 'expired'
    else 'open'
  end;
end;
$$;

-- What a row means to the project. Money counts on Toss's word alone: who may insert an order could write DONE into it.
create function supatoss.payment_stage(p public.payments)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  if supatoss.is_moved(p.payment_status) and not exists (
    select 1 from supatoss.payment_events e
    where e.order_id = p.order_id and supatoss.is_moved(e.status) and e.is_accepted
      and coalesce(e.payment_key = p.payment_key, true)
  ) then
    return 'open';
  end if;
  return supatoss.stage_of(p.payment_status, p.balance_amount);
end;
$$;

-- The columns of a row that changes are about.
create function supatoss.announced_state(p public.payments)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'payment_key', p.payment_key, 'payment_status', p.payment_status, 'payment_method', p.payment_method,
    'approved_at', p.approved_at, 'canceled_at', p.canceled_at, 'failure_code', p.failure_code,
    'failure_message', p.failure_message, 'cancels', p.cancels,
    'balance_amount', coalesce(p.balance_amount, case when p.payment_status = 'DONE' then p.amount end),
    'occurred_at', p.occurred_at);
end;
$$;

-- Before orders are folded for the first time since there is a function to tell: what is so already is not told.
create function supatoss.remember_payments(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into supatoss.announced_payments (order_id, stage, state)
  select o.order_id, case when p.projected_state is null then 'open' else supatoss.payment_stage(p) end,
         case when p.order_id is not null then supatoss.announced_state(p) end
  from unnest(p_order_ids) as o (order_id) left join public.payments p on p.order_id = o.order_id
  on conflict (order_id) do nothing;
end;
$$;

-- The changes that lead from what was told last to the row. A change that nobody was told of is told before the one
-- that follows from it: paid goes before part_refunded, and money goes back before an order that held it fails. But an
-- order whose money is back already is never said to be paid.
create function supatoss.payment_changes(p_told supatoss.announced_payments, p public.payments)
returns text[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_stage text := supatoss.payment_stage(p);
  v_was_paid boolean := p_told.stage in ('paid', 'part_refunded');
  v_is_other boolean := p_told.state ->> 'payment_key' is distinct from p.payment_key;
begin
  return case v_stage
    when 'open' then '{}'::text[]
    when 'paid' then case when v_was_paid then '{}'::text[] else '{paid}' end
    when 'part_refunded' then case
      when not v_was_paid then '{paid,part_refunded}'::text[]
      when p_told.stage = 'paid' then '{part_refunded}'
      when not v_is_other and p.balance_amount < (p_told.state ->> 'balance_amount')::numeric then '{part_refunded}'
      else '{}' end
    when 'refunded' then case
      when v_was_paid then '{refunded}'::text[]
      when p_told.stage in ('refunded', 'canceled') then '{}'
      else '{canceled}' end
    -- The others say that there is no money.
    else case
      when v_was_paid and v_stage = 'account_issued' and not v_is_other then '{deposit_reversed}'::text[]
      when v_was_paid then array['deposit_reversed', v_stage]
      when p_told.stage in (v_stage, 'refunded', 'canceled') and not v_is_other then '{}'
      else array[v_stage] end
  end;
end;
$$;

-- The row after a change that another one follows.
create function supatoss.payment_between(p_change text, p public.payments)
returns public.payments
language plpgsql stable
set search_path = ''
as $$
begin
  if p_change = 'paid' then
    p.payment_status := 'DONE';
    p.balance_amount := p.amount;
  else
    p.payment_status := 'WAITING_FOR_DEPOSIT';
    p.balance_amount := null;
    p.approved_at := null;
    p.failure_code := null;
    p.failure_message := null;
  end if;
  p.cancels := null;
  p.canceled_at := null;
  return p;
end;
$$;

-- Runs what triggers have deferred now, so that what it raises is told apart, or defers again what may be deferred.
-- Never in a transaction of the application's own (it is inside its insert there): what waits for its end is its own.
create function supatoss.check_deferred(p_now boolean)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  if pg_trigger_depth() > 0 then
    return;
  elsif p_now then
    set constraints all immediate;
  else
    set constraints all deferred;
  end if;
end;
$$;

-- Marks an event: the project's function raised p_error.
create function supatoss.fail_hook(p_event uuid, p_error text)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.webhook_events w
  set status = 'failed', processed = false, processed_at = null, reason = 'hook_failed', last_error = p_error
  where w.id = p_event;
end;
$$;

-- The events that failed with the project's function are well when it has been told all.
create function supatoss.mend_hooks(p_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.webhook_events w
  set status = 'processed', processed = true, processed_at = now(), reason = null, last_error = null
  where w.id = any (p_ids) and w.status = 'failed' and w.reason = 'hook_failed';
end;
$$;

-- Tells the project of one order's changes.
create function supatoss.announce_payment(p_told supatoss.announced_payments, p public.payments)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_changes text[] := supatoss.payment_changes(p_told, p);
  v_before public.payments;
  v_after public.payments;
  v_change text;
  v_context text;
begin
  if v_changes = '{}' then
    -- Another payment of the order holds its money now, which changes nothing for the project.
    if p_told.stage in ('paid', 'part_refunded') and p_told.state ->> 'payment_key' <> p.payment_key
       and supatoss.payment_stage(p) in ('paid', 'part_refunded') then
      update supatoss.announced_payments a
      set stage = supatoss.payment_stage(p), state = supatoss.announced_state(p) where a.order_id = p.order_id;
    end if;
    return;
  end if;
  if p_told.state is not null then
    v_before := jsonb_populate_record(p, p_told.state);
  end if;
  -- What triggers have deferred is no fault of the project's function.
  perform supatoss.check_deferred(true);
  begin
    perform supatoss.check_deferred(false);
    foreach v_change in array v_changes loop
      v_after := case when v_change = v_changes[cardinality(v_changes)] then p
                      else supatoss.payment_between(v_change, p) end;
      execute 'select public.on_payment_changed($1, $2, $3)' using v_change, v_before, v_after;
      v_before := v_after;
    end loop;
    perform supatoss.check_deferred(true);
    update supatoss.announced_payments a
    set stage = case v_change when 'deposit_reversed' then 'account_issued' else v_change end,
        state = supatoss.announced_state(p), announced_at = now()
    where a.order_id = p.order_id;
    perform supatoss.mend_hooks(array(
      select w.id from public.webhook_events w
      where w.order_id = p.order_id and w.status = 'failed' and w.reason = 'hook_failed'));
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    perform supatoss.fail_hook(
      (select w.id from public.webhook_events w
       where w.order_id = p.order_id and w.change ->> 'kind' = 'payment'
         and (w.status = 'processed' or (w.status = 'failed' and w.reason = 'hook_failed'))
       -- One event says it for its order: the first that failed so, else the one that is being processed.
       order by w.status = 'failed' desc, w.processed_at desc nulls last, w.last_delivered_at desc, w.id desc limit 1),
      format('on_payment_changed(%L): %s', v_change, supatoss.describe_refusal(sqlerrm, sqlstate, v_context)));
  end;
  perform supatoss.check_deferred(false);
end;
$$;

-- Tells the project what has changed of these orders.
create function supatoss.announce_payments(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_order record;
begin
  for v_order in
    select a as told, p as payment
    from supatoss.announced_payments a join public.payments p on p.order_id = a.order_id
    where a.order_id = any (p_order_ids) order by a.order_id
  loop
    perform supatoss.announce_payment(v_order.told, v_order.payment);
  end loop;
end;
$$;

select supatoss.close_functions();
