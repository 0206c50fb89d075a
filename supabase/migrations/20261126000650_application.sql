-- The application's insert wins (design rule 12). An order or a subscription that only webhooks have made so far makes
-- room for the application's own row, which then learns what Toss has reported. Before the insert the row of the
-- webhooks goes; after it the events are folded again. (An insert that became an update would return no row, which the
-- application takes for an error.)
--
-- The application's transaction keeps the order's lock until it ends: a webhook of the order waits for it, as it waits
-- for a webhook that is being recorded. It runs as whoever inserts, a signed-in user too, hence security definer. Plans
-- are made once a connection, and must suit large tables (see recording.sql).

-- Waits for whoever records something about these subjects. A transaction does so for its first 250 rows only: all
-- sessions share a table of some thousand locks, and an import may have a million rows.
create function supatoss.lock_inserted(p_subjects text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_locked integer := coalesce(nullif(current_setting('supatoss.inserted', true), ''), '0')::integer + 1;
begin
  if v_locked > 250 then
    return;
  end if;
  perform set_config('supatoss.inserted', v_locked::text, true);
  perform pg_advisory_xact_lock(l.lock)
  from (select hashtextextended(s.subject, 20261123) as lock from unnest(p_subjects) as s (subject) order by 1) l;
end;
$$;

-- The columns of other tables that refer to the id of this one.
create function supatoss.children_of(p_table regclass)
returns table (child regclass, child_column name)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select c.conrelid::regclass, a.attname
  from pg_catalog.pg_constraint c
  join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
  join pg_catalog.pg_attribute i on i.attrelid = c.confrelid and i.attnum = c.confkey[1]
  where c.contype = 'f' and c.confrelid = p_table and c.conparentid = 0 and cardinality(c.conkey) = 1
    and i.attname = 'id';
end;
$$;

create function supatoss.has_children(p_table regclass, p_id text)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_child record;
  v_has_any boolean;
begin
  for v_child in select * from supatoss.children_of(p_table) loop
    execute format('select exists (select from %s where %I = %L)', v_child.child, v_child.child_column, p_id)
    into v_has_any;
    if v_has_any then
      return true;
    end if;
  end loop;
  return false;
end;
$$;

-- What a trigger or a hook of the merchant hung on the row of the webhooks, it finds on the application's row.
create function supatoss.move_children(p_table regclass, p_from text, p_to text)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_child record;
begin
  for v_child in select * from supatoss.children_of(p_table) loop
    begin
      execute format('update %s set %I = %L where %I = %L',
                     v_child.child, v_child.child_column, p_to, v_child.child_column, p_from);
    exception when unique_violation then
      -- The application's row has made its own.
      execute format('delete from %s where %I = %L', v_child.child, v_child.child_column, p_from);
    end;
  end loop;
end;
$$;

-- What the fold of these events could not write in the application's transaction, the worker tries again if time may
-- cure it; else it is for a person. The latest event stands for all: whichever comes next folds them all.
create function supatoss.defer_fold(p_order_id text, p_customer_key text, p_is_passing boolean, p_error text)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_is_passing boolean := p_is_passing and p_customer_key is null;
begin
  update public.webhook_events w
  set status = case when v_is_passing then 'pending' else 'failed' end, processed = false, processed_at = null,
      reason = case when not v_is_passing then 'refused_by_database' end,
      last_error = p_error,
      attempts = 0, waiting_since = now(), next_attempt_at = case when v_is_passing then now() end
  where w.id = (
    select e.id from public.webhook_events e
    where e.status = 'processed'
      and case when p_customer_key is null then e.order_id = p_order_id and e.change ->> 'kind' = 'payment'
               else e.change ->> 'kind' = 'billing' and e.change ->> 'customer_key' = p_customer_key end
    order by e.occurred_at desc nulls last, e.event_key collate "C" desc limit 1);
end;
$$;

-- Takes out the row that only webhooks have made of an order: the application has never said what it costs. It is found
-- under its payment, too: where the application has that in another order than Toss says, a person has to look.
create function supatoss.take_over_payment()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, extensions, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_made record;
begin
  perform supatoss.lock_inserted(array['order:' || new.order_id, 'payment:' || new.payment_key]);
  for v_made in
    select p.id, p.order_id, p.order_id = new.order_id as is_same_order from public.payments p
    where (p.order_id = new.order_id or p.payment_key = new.payment_key)
      and p.projected_state is not null and p.application_state -> 'amount' is null
      and p.projected_price = supatoss.payment_price(p)
    for update
  loop
    if not v_made.is_same_order then
      update public.webhook_events w
      set status = 'failed', processed = false, processed_at = null, reason = 'refused_by_database',
          last_error = format('the application has this payment in order %s', new.order_id)
      where w.payment_key = new.payment_key and w.order_id = v_made.order_id and w.status = 'processed'
        and w.change ->> 'kind' = 'payment';
    end if;
    begin
      if not supatoss.has_children('public.payments', v_made.id::text) then
        delete from public.payments p where p.id = v_made.id;
        continue;
      end if;
    exception when others then
      null;  -- A project may forbid that payments are deleted.
    end;
    -- It goes when its children have moved to the new row.
    update public.payments p
    set order_id = supatoss.parked_name(new.id::text, v_made.is_same_order),
        payment_key = supatoss.parked_name(new.id::text, v_made.is_same_order)
    where p.id = v_made.id;
  end loop;
  return new;
end;
$$;

-- Under which order id a row waits until its children have moved.
create function supatoss.parked_name(p_id text, p_is_same_order boolean)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return 'supatoss:taken-over:' || p_id || case when p_is_same_order then '' else ':payment' end;
end;
$$;

-- The application's row learns what Toss has reported. It stands whatever becomes of that.
create function supatoss.fold_inserted_payment()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, extensions, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_parked record;
  v_context text;
begin
  for v_parked in
    select p.id from public.payments p
    where p.order_id in (supatoss.parked_name(new.id::text, true), supatoss.parked_name(new.id::text, false))
  loop
    begin
      perform supatoss.move_children('public.payments', v_parked.id::text, new.id::text);
      delete from public.payments p where p.id = v_parked.id;
    exception when others then
      -- Where it cannot go, it stands for no money.
      update public.payments p set amount = 0, payment_status = 'EXPIRED' where p.id = v_parked.id;
    end;
  end loop;
  if exists (select from supatoss.payment_events e where e.order_id = new.order_id) then
    begin
      perform supatoss.project_payments(array[new.order_id::text], '{}');
    exception when others or assert_failure then
      get stacked diagnostics v_context = pg_exception_context;
      perform supatoss.defer_fold(new.order_id, null, supatoss.is_cured_by_retry(sqlstate, sqlerrm),
                                  supatoss.describe_refusal(sqlerrm, sqlstate, v_context));
    end;
  end if;
  return null;
end;
$$;

-- Takes out the row that only webhooks have made of a subscription: it has the same billing key, or it stands for the
-- customer's live one.
create function supatoss.take_over_subscription()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, extensions, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_made record;
begin
  perform supatoss.lock_inserted(array['customer:' || new.customer_key, 'billing:' || new.billing_key]);
  for v_made in
    select s.id from public.subscriptions s
    where s.customer_key = new.customer_key and supatoss.is_made_by_webhooks(s)
      and (s.billing_key = new.billing_key
           or (s.status in ('ACTIVE', 'PAUSED') and new.status in ('ACTIVE', 'PAUSED')))
    for update
  loop
    begin
      if not supatoss.has_children('public.subscriptions', v_made.id::text) then
        delete from public.subscriptions s where s.id = v_made.id;
        continue;
      end if;
    exception when others then
      null;
    end;
    update public.subscriptions s set customer_key = supatoss.parked_name(new.id::text, true) where s.id = v_made.id;
  end loop;
  return new;
end;
$$;

create function supatoss.fold_inserted_subscription()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, extensions, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_parked record;
  v_context text;
begin
  for v_parked in
    select s.id from public.subscriptions s where s.customer_key = supatoss.parked_name(new.id::text, true)
  loop
    begin
      perform supatoss.move_children('public.subscriptions', v_parked.id::text, new.id::text);
      delete from public.subscriptions s where s.id = v_parked.id;
    exception when others then
      update public.subscriptions s set status = 'EXPIRED' where s.id = v_parked.id;
    end;
  end loop;
  if exists (
    select from public.webhook_events w
    where w.change ->> 'kind' = 'billing' and w.change ->> 'customer_key' = new.customer_key
    union all
    select from public.webhook_events w
    where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = new.billing_key
  ) then
    begin
      perform supatoss.project_customers(array[new.customer_key::text]);
    exception when others or assert_failure then
      get stacked diagnostics v_context = pg_exception_context;
      perform supatoss.defer_fold(null, new.customer_key, supatoss.is_cured_by_retry(sqlstate, sqlerrm),
                                  supatoss.describe_refusal(sqlerrm, sqlstate, v_context));
    end;
  end if;
  return null;
end;
$$;

-- Named to fire last, when the merchant's own triggers have filled the row in. Rows that we insert fire none.
create trigger zz_supatoss_take_over before insert on public.payments
  for each row when (new.projected_state is null) execute function supatoss.take_over_payment();
create trigger zz_supatoss_fold after insert on public.payments
  for each row when (new.projected_state is null) execute function supatoss.fold_inserted_payment();
create trigger zz_supatoss_take_over before insert on public.subscriptions
  for each row when (new.billing_state is null) execute function supatoss.take_over_subscription();
create trigger zz_supatoss_fold after insert on public.subscriptions
  for each row when (new.billing_state is null) execute function supatoss.fold_inserted_subscription();

select supatoss.close_functions();
