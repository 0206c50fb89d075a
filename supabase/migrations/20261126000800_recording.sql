-- Recording: inbox and projections change in one transaction, in one round trip.

-- Two transactions that touch one order, payment, customer or event run one after the other: each then sees what the
-- other recorded. All locks are taken at once and in one order, so that two batches cannot wait for each other.
create function supatoss.lock_subjects(p_events jsonb[])
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

-- Stores new events, wakes unfinished ones that were delivered again, and returns the ids whose change is to be
-- applied. The caller holds the locks of the events' keys, so nobody else stores the same ones meanwhile.
create function supatoss.store_events(p_events jsonb[])
returns table (id uuid, is_created boolean)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_created uuid[];
begin
  with created as (
    insert into public.webhook_events as w (
      event_key, event_type, payload, proof, status, processed, processed_at, reason, last_error, payment_key, order_id,
      occurred_at, change, transmission_id, transmission_time, transmission_retried_count, next_attempt_at)
    select r.event_key, r.event_type, r.payload::jsonb, r.proof, r.status, r.status in ('processed', 'ignored'),
           case when r.status in ('processed', 'ignored') then now() end, r.reason, r.last_error, r.payment_key,
           r.order_id, r.occurred_at, nullif(r.change, 'null'), r.transmission_id, r.transmission_time,
           r.transmission_retried_count, case when r.status = 'pending' then now() end
    from unnest(p_events) with ordinality as e (event, position)
    cross join lateral jsonb_to_record(e.event) as r (
      event_key text, event_type text, payload text, proof text, status text, reason text, last_error text,
      payment_key text, order_id text, occurred_at timestamptz, change jsonb, transmission_id text,
      transmission_time timestamptz, transmission_retried_count integer)
    order by e.position
    on conflict (event_key) do nothing
    returning w.id
  )
  select coalesce(array_agg(c.id), '{}') into v_created from created c;
  return query select c.id, true from unnest(v_created) as c (id);
  if cardinality(v_created) = cardinality(p_events) then
    return;  -- All are new, as nearly always.
  end if;

  return query
  with incoming as materialized (
    select distinct on (e.event ->> 'event_key')
           e.event ->> 'event_key' as event_key, e.event,
           count(*) over (partition by e.event ->> 'event_key')::integer as deliveries
    from unnest(p_events) with ordinality as e (event, position)
    order by e.event ->> 'event_key', e.position
  ),
  known as materialized (
    -- A new event that this call delivers more than once is counted, and that is all.
    select w.id, i.event, i.deliveries - (w.id = any (v_created))::integer as deliveries,
           w.status in ('pending', 'failed') and w.id <> all (v_created) as is_unfinished
    from incoming i join public.webhook_events w on w.event_key = i.event_key
  ),
  delivered_again as (
    update public.webhook_events w
    set delivery_count = w.delivery_count + k.deliveries,
        last_delivered_at = now(),
        -- What was not finished is tried again, with what is understood of it today.
        change = case when k.is_unfinished then nullif(k.event -> 'change', 'null') else w.change end,
        status = case when k.is_unfinished then k.event ->> 'status' else w.status end,
        processed = case when k.is_unfinished then k.event ->> 'status' in ('processed', 'ignored')
                         else w.processed end,
        processed_at = case when not k.is_unfinished then w.processed_at
                            when k.event ->> 'status' in ('processed', 'ignored') then now() end,
        reason = case when k.is_unfinished then k.event ->> 'reason' else w.reason end,
        last_error = case when k.is_unfinished then k.event ->> 'last_error' else w.last_error end,
        order_id = coalesce(w.order_id, k.event ->> 'order_id'),
        next_attempt_at = case when k.is_unfinished and k.event ->> 'status' = 'pending' then now() end
    from known k
    where w.id = k.id and k.deliveries > 0
    returning w.id, k.is_unfinished
  )
  select d.id, false from delivered_again d where d.is_unfinished;
end;
$$;

-- Applies the changes of these events to the projections. Nearly every batch is about payments of known orders:
-- statements about anything else run only when something else is there.
create function supatoss.apply_events(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_order_ids text[];
  v_has_orphans boolean;
  v_has_secrets boolean;
  v_has_settlements boolean;
  v_has_billing boolean;
  v_event record;
  v_waiting uuid[];
begin
  select array_agg(distinct w.order_id) filter (where w.change ->> 'kind' = 'payment' and w.order_id is not null),
         bool_or(w.change ->> 'kind' = 'payment' and w.order_id is null),
         bool_or(w.change ->> 'kind' = 'payment' and w.change ->> 'secret' is not null),
         bool_or(w.change ->> 'kind' = 'settlement'),
         bool_or(w.change ->> 'kind' = 'billing')
  into v_order_ids, v_has_orphans, v_has_secrets, v_has_settlements, v_has_billing
  from public.webhook_events w
  where w.id = any (p_ids) and w.status = 'processed';

  if v_has_orphans then
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

    select array_agg(distinct w.order_id) into v_order_ids
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.order_id is not null and w.status = 'processed';
  end if;

  if v_order_ids is not null then
    -- And those that waited for what one of these events says.
    update public.webhook_events o
    set order_id = w.order_id, status = 'processed', reason = null, processed = true, processed_at = now(),
        next_attempt_at = null
    from public.webhook_events w
    where w.id = any (p_ids) and w.order_id is not null and w.change ->> 'kind' = 'payment' and w.status = 'processed'
      and o.payment_key = w.payment_key and o.order_id is null
      and o.status = 'pending' and o.reason = 'unknown_order' and o.change ->> 'kind' = 'payment';
  end if;

  if v_has_secrets then
    insert into public.payment_secrets as s (order_id, secret, payment_key)
    select distinct on (w.order_id, w.change ->> 'secret') w.order_id, w.change ->> 'secret', w.payment_key
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.status = 'processed'
      and w.order_id is not null and w.change ->> 'secret' is not null and w.payment_key is not null
    order by w.order_id, w.change ->> 'secret', w.payment_key collate "C"
    on conflict (order_id, secret) do update set payment_key = excluded.payment_key
      where s.payment_key is null or excluded.payment_key collate "C" < s.payment_key collate "C";
  end if;

  if v_order_ids is not null then
    perform supatoss.project_payments(v_order_ids);
  end if;

  if v_has_settlements then
    perform supatoss.project_settlements(p_ids);
  end if;

  if not coalesce(v_has_billing, false) then
    return;
  end if;
  v_waiting := p_ids;
  for v_event in
    select w.id, w.change, w.occurred_at, w.event_key from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.status = 'processed'
    order by w.occurred_at, w.event_key collate "C"
  loop
    v_waiting := array_remove(v_waiting, v_event.id);
    if v_event.change ->> 'action' = 'issued' then
      perform supatoss.apply_billing_key_issued(
        v_event.change ->> 'customer_key', v_event.change ->> 'billing_key', v_event.occurred_at, v_event.event_key,
        v_waiting);
    else
      perform supatoss.apply_billing_key_deleted(v_event.change ->> 'billing_key', v_event.occurred_at);
    end if;
  end loop;
end;
$$;

-- What became of each delivery, in the order given.
create function supatoss.read_outcomes(p_events jsonb[], p_created uuid[])
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
    select event ->> 'event_key' as event_key, place,
           row_number() over (partition by event ->> 'event_key' order by place) as position
    from unnest(p_events) with ordinality as u (event, place)
  ) e
  join public.webhook_events w on w.event_key = e.event_key);
end;
$$;

create function supatoss.record_batch(p_events jsonb[])
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_ids uuid[];
  v_created uuid[];
begin
  select array_agg(s.id), array_agg(s.id) filter (where s.is_created) into v_ids, v_created
  from supatoss.store_events(p_events) s;
  if v_ids is not null then
    perform supatoss.apply_events(v_ids);
  end if;
  return supatoss.read_outcomes(p_events, coalesce(v_created, array[]::uuid[]));
end;
$$;

-- An event whose change the tables refuse is kept as failed, with the reason, and is no obstacle to its neighbours.
create function supatoss.record_failure(p_event jsonb, p_state text, p_error text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_event jsonb := p_event || jsonb_build_object('status', 'failed', 'reason', 'refused_by_database',
                                                'last_error', format('%s (SQLSTATE %s)', p_error, p_state));
begin
  begin
    return supatoss.record_batch(array[v_event]) -> 0;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded then
    -- Even its plain columns are refused: keep the body as it is.
    return supatoss.record_batch(array[
      jsonb_build_object(
        'event_key', p_event ->> 'event_key', 'event_type', left(p_event ->> 'event_type', 100),
        'proof', p_event ->> 'proof', 'status', 'failed', 'reason', 'refused_by_database',
        'last_error', v_event ->> 'last_error', 'payload', to_jsonb(p_event ->> 'payload')::text)]) -> 0;
  end;
end;
$$;

-- Stores events, a JSON array as text, and applies their changes in one transaction; a failing event fails alone. One
-- outcome an event, in order: {event_key, id, outcome: created | duplicate, status, reason}. Errors that a retry can
-- cure are raised, and nothing is stored.
-- Planning takes ten times as long as running for one event, so plans are made once a connection (plan_cache_mode).
-- They must suit large tables although the tables may be empty when they are made (enable_seqscan): every path is by
-- an index.
create function public.record_webhook_events_v1(events text)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- A text, because the Data API hands it on as it came, while it reads and writes an array of JSON once more, which
  -- is most of what a call with many events costs it.
  v_events jsonb[] := array(
    select e.event from jsonb_array_elements(events::jsonb) with ordinality as e (event, place) order by e.place);
  v_event jsonb;
  v_outcomes jsonb := '[]'::jsonb;
  v_outcome jsonb;
begin
  if v_events = '{}' then
    return v_outcomes;
  end if;
  perform supatoss.lock_subjects(v_events);
  begin
    return supatoss.record_batch(v_events);
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
    null;  -- Which of them it was shows below, one at a time.
  end;
  foreach v_event in array v_events loop
    begin
      v_outcome := supatoss.record_batch(array[v_event]) -> 0;
    exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
      v_outcome := supatoss.record_failure(v_event, sqlstate, sqlerrm);
    end;
    v_outcomes := v_outcomes || jsonb_build_array(v_outcome);
  end loop;
  return v_outcomes;
end;
$$;

select supatoss.close_functions();
