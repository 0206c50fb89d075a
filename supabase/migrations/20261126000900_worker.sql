-- Events that wait for Toss: who works on which (a lease that expires by itself), and what came of it. And what the
-- worker does once in a while: look at overdue accounts, empty old payloads.

-- Takes these events for lease_seconds, and says all that is needed to finish them.
create function supatoss.lease_events(p_ids uuid[], p_lease_seconds integer)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_claimed jsonb;
begin
  with claimed as (
    update public.webhook_events w
    set lease_token = gen_random_uuid(), lease_until = now() + make_interval(secs => p_lease_seconds),
        attempts = w.attempts + 1
    where w.id = any (p_ids)
    returning w.*
  )
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', c.id, 'lease', c.lease_token, 'event_key', coalesce(c.event_key, 'unkeyed:' || c.id),
           'event_type', c.event_type, 'reason', c.reason, 'attempts', c.attempts,
           'payment_key', c.payment_key, 'order_id', c.order_id, 'proof', c.proof,
           'last_error', c.last_error, 'claim', c.claim, 'traceparent', c.traceparent,
           'waited_seconds', extract(epoch from now() - c.waiting_since)::double precision,
           'cancel_key', c.change ->> 'cancel_key',
           'cancel_request', c.change ->> 'cancel_request',
           'merchant_id', (select p.merchant_id from public.payments p where p.order_id = c.order_id),
           -- The amount that the application stored: what a payment may be approved with. Never one that Toss
           -- reported.
           'amount', (select case when p.projected_price is distinct from supatoss.payment_price(p)
                                    then p.amount::text
                                  else p.application_state ->> 'amount' end
                      from public.payments p where p.order_id = c.order_id))
         order by c.next_attempt_at, c.id), '[]'::jsonb)
  into v_claimed from claimed c;
  return v_claimed;
end;
$$;

-- Takes up to max_events due events for lease_seconds. Rows that another worker is claiming are passed over, not
-- waited for; those that a trigger keeps from being claimed are left.
create function public.claim_webhook_events_v1(max_events integer, lease_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_ids uuid[] := array(
    select w.id from public.webhook_events w
    where w.status = 'pending' and w.next_attempt_at <= now() and (w.lease_until is null or w.lease_until <= now())
    order by w.next_attempt_at, w.id
    limit max_events
    for update skip locked);
  v_id uuid;
  v_claimed jsonb := '[]'::jsonb;
begin
  begin
    return supatoss.lease_events(v_ids, lease_seconds);
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
  end;
  foreach v_id in array v_ids loop
    begin
      v_claimed := v_claimed || supatoss.lease_events(array[v_id], lease_seconds);
    exception when others or assert_failure then
      if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
        raise;
      end if;
    end;
  end loop;
  return v_claimed;
end;
$$;

-- Ends one attempt at a pending event: {event, lease, status, reason, last_error, delay_seconds, and for processed:
-- change, payment_key, order_id, occurred_at}. Says what became of it; `lost` when the lease is somebody else's or
-- the event is done.
create function public.finish_webhook_event_v1(attempt text)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_attempt jsonb := attempt::jsonb;
  v_event public.webhook_events;
  v_status text := v_attempt ->> 'status';
  v_context text;
begin
  select * into v_event from public.webhook_events w where w.id = (v_attempt ->> 'event')::uuid;
  if not found then
    return jsonb_build_object('outcome', 'lost');
  end if;
  perform supatoss.lock_subjects(array[
    jsonb_build_object('event_key', v_event.event_key, 'order_id', coalesce(v_attempt ->> 'order_id', v_event.order_id),
                       'payment_key', coalesce(v_attempt ->> 'payment_key', v_event.payment_key))]);
  begin
    update public.webhook_events w
    set status = v_status,
        processed = v_status in ('processed', 'ignored'),
        processed_at = case when v_status in ('processed', 'ignored') then now() end,
        reason = case when v_status = 'pending' then w.reason else v_attempt ->> 'reason' end,
        last_error = v_attempt ->> 'last_error',
        change = coalesce(nullif(v_attempt -> 'change', 'null'), w.change),
        payment_key = coalesce(v_attempt ->> 'payment_key', w.payment_key),
        order_id = coalesce(v_attempt ->> 'order_id', w.order_id),
        occurred_at = coalesce((v_attempt ->> 'occurred_at')::timestamptz, w.occurred_at),
        next_attempt_at = case when v_status = 'pending'
          then now() + make_interval(secs => (v_attempt ->> 'delay_seconds')::double precision) end,
        lease_token = null, lease_until = null
    where w.id = v_event.id and w.status = 'pending' and w.lease_token = (v_attempt ->> 'lease')::uuid;
    if not found then
      return jsonb_build_object('outcome', 'lost');
    end if;
    if v_status = 'processed' then
      perform supatoss.apply_events(array[v_event.id]);
    end if;
    set constraints all immediate;
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    update public.webhook_events w
    set status = 'failed', processed = false, processed_at = null, reason = 'refused_by_database',
        last_error = supatoss.describe_refusal(sqlerrm, sqlstate, v_context),
        next_attempt_at = null, lease_token = null, lease_until = null
    where w.id = v_event.id and w.status = 'pending' and w.lease_token = (v_attempt ->> 'lease')::uuid;
  end;
  select * into v_event from public.webhook_events w where w.id = v_event.id;
  return jsonb_build_object('outcome', 'finished', 'status', v_event.status, 'reason', v_event.reason);
end;
$$;

-- Which keys we hold: the payment keys that proven events name for an order, the newest first, and the one in its row
-- (which the application may have made up); whether a billing key is one of ours; which payment a cancel belongs to.
create function public.read_known_keys_v1(order_id text, billing_key text, cancel_key text, cancel_request text)
returns jsonb
language sql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
  select jsonb_build_object(
    'payment_keys', (
      select coalesce(jsonb_agg(k.payment_key order by k.latest_at desc nulls last, k.payment_key collate "C"),
                      '[]'::jsonb)
      from (
        select w.payment_key, max(w.occurred_at) as latest_at
        from public.webhook_events w
        where w.order_id = $1 and w.payment_key is not null and w.proof is not null
        group by w.payment_key
        order by 2 desc nulls last limit 20
      ) k),
    'paid_keys', (
      select coalesce(jsonb_agg(distinct w.payment_key), '[]'::jsonb) from public.webhook_events w
      where w.order_id = $1 and w.payment_key is not null and w.proof is not null
        and w.change ->> 'kind' = 'payment' and w.change ->> 'status' = 'DONE'),
    'row_payment_key', (select p.payment_key from public.payments p where p.order_id = $1),
    'holds_billing_key', $2 is not null and (
      exists (select 1 from public.subscriptions s where s.billing_key = $2)
      or exists (select 1 from public.webhook_events w
                 where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = $2)),
    'cancel_payment_key', (
      select min(p.payment_key collate "C") from public.payments p
      where p.cancels @> jsonb_build_array(jsonb_build_object('transactionKey', $3))
         or p.cancels @> jsonb_build_array(jsonb_build_object('cancelRequestId', $4))))
$$;

-- Those of these orders, a JSON array as text, that the application has stored or a proven event names. Each is looked
-- up by an index, however few rows the planner knows of (offset 0): it would read both tables whole.
create function public.supatoss_known_orders_v1(order_ids text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(o.order_id), '[]'::jsonb)
  from jsonb_array_elements_text($1::jsonb) as o (order_id)
  where exists (select 1 from public.payments p where p.order_id = o.order_id offset 0)
    or exists (
      select 1 from public.webhook_events w where w.order_id = o.order_id and w.proof is not null offset 0)
$$;

-- Accounts whose deposit is overdue: Toss keeps them WAITING_FOR_DEPOSIT and sends nothing (payment states of its
-- reference).
create function public.supatoss_overdue_accounts_v1(max_accounts integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'payment_key', o.payment_key, 'order_id', o.order_id, 'due_date', o.due_date)
         order by o.occurred_at, o.due_date), '[]'::jsonb)
  from (
    select p.payment_key, p.order_id, p.occurred_at, supatoss.parse_time(p.virtual_account ->> 'dueDate') as due_date
    from public.payments p
    where p.payment_status = 'WAITING_FOR_DEPOSIT' and supatoss.parse_time(p.virtual_account ->> 'dueDate') < now()
    order by p.occurred_at, 4  -- those not looked at for longest
    limit max_accounts
  ) o
$$;

-- Age in seconds of the event that waits longest for Toss; null when none waits. Claims that Toss does not bear out
-- are not among them: anybody can make one wait for a day. One step in an index of waiting events alone.
create function public.supatoss_oldest_waiting_seconds_v1()
returns double precision
language sql stable
set search_path = ''
as $$
  select extract(epoch from now() - min(w.waiting_since))::double precision
  from public.webhook_events w where w.status = 'pending' and coalesce(w.reason, '') <> 'toss_disagrees'
$$;

-- Retention: payload and deliveries of what is finished go after a time, the key row stays, so a late duplicate is
-- still a duplicate. `change` stays whole: a late event folds all events of its order again, and the fold reads every
-- part of it. Empties up to max_events payloads, oldest first; rows that somebody is writing are passed over. Answers
-- how many.
create function public.supatoss_empty_payloads_v1(older_than_days integer, max_events integer)
returns integer
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_emptied integer;
begin
  if older_than_days < 30 then
    raise exception 'payloads are kept for at least 30 days' using errcode = 'invalid_parameter_value';
  end if;
  with due as (
    select w.id from public.webhook_events w
    where w.created_at < now() - make_interval(days => older_than_days) and w.payload_emptied_at is null
      and w.status in ('processed', 'ignored') and w.event_key is not null
    order by w.created_at
    limit max_events
    for update skip locked
  )
  update public.webhook_events w
  set payload = '{}'::jsonb, payload_emptied_at = now(), transmission_user_agent = null, later_deliveries = null
  from due where w.id = due.id;
  get diagnostics v_emptied = row_count;
  return v_emptied;
end;
$$;

select supatoss.close_functions();
