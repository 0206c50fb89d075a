-- Two transactions that touch one order, payment, customer or event run one after the other: each then sees what the
-- other recorded. All locks are taken at once and in one order, so that two batches cannot wait for each other.
create function supatoss.lock_subjects_v1(p_events jsonb[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(l.lock)
  from (
    select distinct hashtextextended(s.subject, 20261123) as lock
    from unnest(p_events) as e (event)
    cross join lateral (values
      ('event:' || (e.event ->> 'event_key')),
      ('order:' || (e.event ->> 'order_id')),
      ('payment:' || (e.event ->> 'payment_key')),
      ('customer:' || (e.event -> 'change' ->> 'customer_key')),
      ('billing:' || (e.event -> 'change' ->> 'billing_key'))
    ) as s (subject)
    where s.subject is not null
    order by 1
  ) l;
end;
$$;

-- Stores new events, wakes unfinished ones that were delivered again, and returns the ids whose change is to be applied.
create function supatoss.store_events_v1(p_events jsonb[])
returns table (id uuid, is_created boolean)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with incoming as (
    select distinct on (e.event ->> 'event_key')
           e.event, count(*) over (partition by e.event ->> 'event_key')::integer as deliveries
    from unnest(p_events) with ordinality as e (event, position)
    order by e.event ->> 'event_key', e.position
  ),
  known as (
    select w.id, w.event_key, w.status in ('pending', 'failed') as is_unfinished
    from public.webhook_events w join incoming i on w.event_key = i.event ->> 'event_key'
  ),
  created as (
    insert into public.webhook_events as w (
      event_key, event_type, payload, proof, status, processed, processed_at, reason, last_error, payment_key, order_id,
      occurred_at, change, transmission_id, transmission_time, transmission_retried_count, delivery_count, next_attempt_at)
    select i.event ->> 'event_key', i.event ->> 'event_type', (i.event ->> 'payload')::jsonb, i.event ->> 'proof',
           i.event ->> 'status', i.event ->> 'status' in ('processed', 'ignored'),
           case when i.event ->> 'status' in ('processed', 'ignored') then now() end,
           i.event ->> 'reason', i.event ->> 'last_error', i.event ->> 'payment_key', i.event ->> 'order_id',
           (i.event ->> 'occurred_at')::timestamptz, nullif(i.event -> 'change', 'null'),
           i.event ->> 'transmission_id', (i.event ->> 'transmission_time')::timestamptz,
           (i.event ->> 'transmission_retried_count')::integer, i.deliveries,
           case when i.event ->> 'status' = 'pending' then now() end
    from incoming i
    where not exists (select 1 from known k where k.event_key = i.event ->> 'event_key')
    returning w.id
  ),
  delivered_again as (
    update public.webhook_events w
    set delivery_count = w.delivery_count + i.deliveries,
        last_delivered_at = now(),
        -- What was not finished is tried again, with what is understood of it today.
        change = case when k.is_unfinished then nullif(i.event -> 'change', 'null') else w.change end,
        status = case when k.is_unfinished then i.event ->> 'status' else w.status end,
        processed = case when k.is_unfinished then i.event ->> 'status' in ('processed', 'ignored') else w.processed end,
        processed_at = case when not k.is_unfinished then w.processed_at
                            when i.event ->> 'status' in ('processed', 'ignored') then now() end,
        reason = case when k.is_unfinished then i.event ->> 'reason' else w.reason end,
        last_error = case when k.is_unfinished then i.event ->> 'last_error' else w.last_error end,
        order_id = coalesce(w.order_id, i.event ->> 'order_id'),
        next_attempt_at = case when k.is_unfinished and i.event ->> 'status' = 'pending' then now() end
    from incoming i join known k on k.event_key = i.event ->> 'event_key'
    where w.id = k.id
    returning w.id, k.is_unfinished
  )
  select c.id, true from created c
  union all
  select d.id, false from delivered_again d where d.is_unfinished;
end;
$$;

-- Applies the changes of these events to the projections.
create function supatoss.apply_events_v1(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_order_ids text[];
  v_event record;
  v_waiting uuid[];
begin
  -- Which order a payment belongs to may be known from its row or from another event of it.
  update public.webhook_events w
  set order_id = coalesce(
        (select p.order_id from public.payments p where p.payment_key = w.payment_key),
        (select min(o.order_id collate "C") from public.webhook_events o
         where o.payment_key = w.payment_key and o.order_id is not null and o.change ->> 'kind' = 'payment'))
  where w.id = any (p_ids) and w.order_id is null and w.payment_key is not null
    and w.change ->> 'kind' = 'payment' and w.status = 'processed';

  -- Nobody has said yet which order this is for: it waits until an event or Toss says so.
  update public.webhook_events w
  set status = 'pending', reason = 'unknown_order', processed = false, processed_at = null, next_attempt_at = now()
  where w.id = any (p_ids) and w.order_id is null and w.change ->> 'kind' = 'payment' and w.status = 'processed';

  -- And those that waited for what one of these events says.
  update public.webhook_events o
  set order_id = w.order_id, status = 'processed', reason = null, processed = true, processed_at = now(), next_attempt_at = null
  from public.webhook_events w
  where w.id = any (p_ids) and w.order_id is not null and w.change ->> 'kind' = 'payment' and w.status = 'processed'
    and o.payment_key = w.payment_key and o.order_id is null
    and o.status = 'pending' and o.reason = 'unknown_order' and o.change ->> 'kind' = 'payment';

  insert into public.payment_secrets as s (order_id, secret, payment_key)
  select distinct on (w.order_id, w.change ->> 'secret') w.order_id, w.change ->> 'secret', w.payment_key
  from public.webhook_events w
  where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.status = 'processed'
    and w.order_id is not null and w.change ->> 'secret' is not null and w.payment_key is not null
  order by w.order_id, w.change ->> 'secret', w.payment_key collate "C"
  on conflict (order_id, secret) do update set payment_key = excluded.payment_key
    where s.payment_key is null or excluded.payment_key collate "C" < s.payment_key collate "C";

  select array_agg(distinct w.order_id) into v_order_ids
  from public.webhook_events w
  where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.order_id is not null and w.status = 'processed';
  if v_order_ids is not null then
    perform supatoss.project_payments_v1(v_order_ids);
  end if;

  perform supatoss.project_settlements_v1(p_ids);

  v_waiting := p_ids;
  for v_event in
    select w.id, w.change, w.occurred_at, w.event_key from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.status = 'processed'
    order by w.occurred_at, w.event_key collate "C"
  loop
    v_waiting := array_remove(v_waiting, v_event.id);
    if v_event.change ->> 'action' = 'issued' then
      perform supatoss.apply_billing_key_issued_v1(
        v_event.change ->> 'customer_key', v_event.change ->> 'billing_key', v_event.occurred_at, v_event.event_key,
        v_waiting);
    else
      perform supatoss.apply_billing_key_deleted_v1(v_event.change ->> 'billing_key', v_event.occurred_at);
    end if;
  end loop;
end;
$$;

-- Of all that is said about one settlement the latest counts; equal times are decided by status, then by event key.
create function supatoss.project_settlements_v1(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  with latest as (
    select distinct on (w.change ->> 'settlement_key') w.change as c, w.occurred_at, w.event_key
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'settlement' and w.status = 'processed'
    order by w.change ->> 'settlement_key', w.occurred_at desc, w.change ->> 'status' = 'COMPLETED' desc,
             w.event_key collate "C" desc
  ),
  written as (
    insert into public.settlements as s (
      settlement_key, kind, status, payment_key, order_id, transaction_key, reference, seller_id, amount, pay_out_amount,
      fee, currency, sold_date, paid_out_date, requested_at, settled_at, failure_code, failure_message, metadata,
      occurred_at, event_key)
    select c ->> 'settlement_key', c ->> 'settlement_kind', c ->> 'status', c ->> 'payment_key', c ->> 'order_id',
           c ->> 'transaction_key', c ->> 'reference', c ->> 'seller_id', (c ->> 'amount')::numeric,
           (c ->> 'pay_out_amount')::numeric, (c ->> 'fee')::numeric, c ->> 'currency', (c ->> 'sold_date')::date,
           (c ->> 'paid_out_date')::date, (c ->> 'requested_at')::timestamptz,
           case when c ->> 'settlement_kind' = 'settlement' or c ->> 'status' = 'COMPLETED'
             then coalesce((c ->> 'settled_at')::timestamptz, occurred_at) end,
           c ->> 'failure_code', c ->> 'failure_message', nullif(c -> 'metadata', 'null'), occurred_at, event_key
    from latest
    on conflict (settlement_key) do update set
      kind = excluded.kind, status = excluded.status, payment_key = excluded.payment_key, order_id = excluded.order_id,
      transaction_key = excluded.transaction_key, reference = excluded.reference, seller_id = excluded.seller_id,
      amount = excluded.amount, pay_out_amount = excluded.pay_out_amount, fee = excluded.fee,
      currency = excluded.currency, sold_date = excluded.sold_date, paid_out_date = excluded.paid_out_date,
      requested_at = excluded.requested_at, settled_at = excluded.settled_at, failure_code = excluded.failure_code,
      failure_message = excluded.failure_message, metadata = excluded.metadata, occurred_at = excluded.occurred_at,
      event_key = excluded.event_key, updated_at = now()
    where (excluded.occurred_at, excluded.status = 'COMPLETED', excluded.event_key collate "C")
        > (s.occurred_at, s.status = 'COMPLETED', s.event_key collate "C")
    returning s.payment_key, s.order_id, s.settled_at
  )
  update public.payments p
  set settled_at = least(p.settled_at, w.settled_at), updated_at = now()
  from (
    select p2.id, min(written.settled_at) as settled_at
    from written join public.payments p2 on p2.payment_key = written.payment_key or p2.order_id = written.order_id
    where written.settled_at is not null
    group by p2.id
  ) w
  where p.id = w.id and (p.settled_at is null or p.settled_at > w.settled_at);
end;
$$;

-- What became of each delivery, in the order given.
create function supatoss.read_outcomes_v1(p_events jsonb[], p_created uuid[])
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object(
           'event_key', w.event_key, 'id', w.id,
           'outcome', case when w.id = any (p_created) and e.position = 1 then 'created' else 'duplicate' end,
           'status', w.status, 'reason', w.reason) order by e.place), '[]'::jsonb)
  from (
    select event ->> 'event_key' as event_key, place, row_number() over (partition by event ->> 'event_key' order by place) as position
    from unnest(p_events) with ordinality as u (event, place)
  ) e
  join public.webhook_events w on w.event_key = e.event_key);
end;
$$;

create function supatoss.record_batch_v1(p_events jsonb[])
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_ids uuid[];
  v_created uuid[];
begin
  select array_agg(s.id), array_agg(s.id) filter (where s.is_created) into v_ids, v_created
  from supatoss.store_events_v1(p_events) s;
  if v_ids is not null then
    perform supatoss.apply_events_v1(v_ids);
  end if;
  return supatoss.read_outcomes_v1(p_events, coalesce(v_created, array[]::uuid[]));
end;
$$;

-- An event whose change the tables refuse is kept as failed, with the reason, and is no obstacle to its neighbours.
create function supatoss.record_failure_v1(p_event jsonb, p_state text, p_error text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_event jsonb := p_event || jsonb_build_object('status', 'failed', 'reason', 'refused_by_database',
                                                'last_error', format('%s (SQLSTATE %s)', p_error, p_state));
begin
  begin
    return supatoss.record_batch_v1(array[v_event]) -> 0;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    -- Even its plain columns are refused: keep the body as it is.
    return supatoss.record_batch_v1(array[
      jsonb_build_object(
        'event_key', p_event ->> 'event_key', 'event_type', left(p_event ->> 'event_type', 100),
        'proof', p_event ->> 'proof', 'status', 'failed', 'reason', 'refused_by_database',
        'last_error', v_event ->> 'last_error', 'payload', to_jsonb(p_event ->> 'payload')::text)]) -> 0;
  end;
end;
$$;

-- Stores events and applies their changes in one transaction; a failing event fails alone. One outcome an event, in order:
-- {event_key, id, outcome: created | duplicate, status, reason}. Errors that a retry can cure are raised, and nothing is stored.
-- Planning takes ten times as long as running for one event, so plans are made once a connection (plan_cache_mode). They must
-- suit large tables although the tables may be empty when they are made (enable_seqscan): every path is by an index.
create function public.record_webhook_events_v1(events jsonb[])
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_event jsonb;
  v_outcomes jsonb := '[]'::jsonb;
  v_outcome jsonb;
begin
  if events is null or cardinality(events) = 0 then
    return v_outcomes;
  end if;
  perform supatoss.lock_subjects_v1(events);
  begin
    return supatoss.record_batch_v1(events);
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
    null;  -- Which of them it was shows below, one at a time.
  end;
  foreach v_event in array events loop
    begin
      v_outcome := supatoss.record_batch_v1(array[v_event]) -> 0;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
      v_outcome := supatoss.record_failure_v1(v_event, sqlstate, sqlerrm);
    end;
    v_outcomes := v_outcomes || jsonb_build_array(v_outcome);
  end loop;
  return v_outcomes;
end;
$$;

-- The newest migration that the service relies on counts here; /readyz compares.
create function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 1 $$;

select supatoss.close_functions();
