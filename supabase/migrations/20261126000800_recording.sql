-- Recording: inbox and projections change in one transaction, in one round trip.

-- Two transactions that touch one order, payment, customer or event run one after the other: each then sees what the
-- other recorded. Whoever waits here holds nothing: the application's transactions take the same locks, order by order
-- as they insert, and must not end up waiting for us while we wait for them. That goes for the rows of a customer too:
-- who changes a plan ends one subscription and inserts the next.
create function supatoss.lock_subjects(p_events jsonb[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_event jsonb;
  v_change jsonb;
  v_subjects text[] := '{}';
  v_customers text[] := '{}';
  v_busy bigint;
  v_has_busy_rows boolean := false;
begin
  foreach v_event in array p_events loop
    v_subjects := v_subjects || array[
      'event:' || (v_event ->> 'event_key'), 'order:' || (v_event ->> 'order_id'),
      'payment:' || (v_event ->> 'payment_key')];
    v_change := v_event -> 'change';
    if v_change ->> 'kind' is distinct from 'payment' then
      v_subjects := v_subjects || array[
        'billing:' || (v_change ->> 'billing_key'), 'settlement:' || (v_change ->> 'settlement_key')];
      v_customers := v_customers || supatoss.customers_of_change(v_change);
    end if;
  end loop;
  if v_customers <> '{}' then
    v_subjects := v_subjects || array(
      select 'customer:' || c.customer_key from unnest(v_customers) as c (customer_key));
  end if;
  loop
    begin
      if v_has_busy_rows then
        perform 1 from public.subscriptions s where s.customer_key = any (v_customers) order by s.id for update;
      else
        perform pg_advisory_xact_lock(v_busy);
      end if;
      select l.lock into v_busy
      from (
        select distinct hashtextextended(s.subject, 20261123) as lock
        from unnest(v_subjects) as s (subject) where s.subject is not null order by 1
      ) l
      where not pg_try_advisory_xact_lock(l.lock) limit 1;
      -- An `if` of its own: the query would be started, which costs more than the locks, whether or not it is needed.
      v_has_busy_rows := false;
      if v_busy is null and v_customers <> '{}' then
        v_has_busy_rows := (
          select count(*) from public.subscriptions s where s.customer_key = any (v_customers)) > (
          select count(*) from (
            select 1 from public.subscriptions s where s.customer_key = any (v_customers) for update skip locked) f);
      end if;
      exit when v_busy is null and not v_has_busy_rows;
      raise exception 'busy' using errcode = 'BUSY0';
    exception when sqlstate 'BUSY0' then
      null;  -- All of them are free again.
    end;
  end loop;
end;
$$;

-- Whose subscriptions a change is about. One of a deleted billing key does not say whose key it was.
create function supatoss.customers_of_change(p_change jsonb)
returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select p_change ->> 'customer_key' where p_change ->> 'customer_key' is not null
    union
    select c.customer_key from supatoss.customers_of_key(p_change ->> 'billing_key') as c (customer_key)
    where p_change ->> 'billing_key' is not null);
end;
$$;

-- Stores new events and reads known ones anew. event_keys: of each event, in the order given. due: the ids whose change
-- is to be applied, those created among them. The caller holds the locks of the events' keys, so nobody else stores the
-- same ones meanwhile.
create function supatoss.store_events(p_events jsonb[], out event_keys text[], out created uuid[], out due uuid[])
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_readings jsonb[] := p_events;
  v_event jsonb;
  v_has_unsigned boolean := false;
begin
  event_keys := '{}';
  foreach v_event in array p_events loop
    event_keys := event_keys || (v_event ->> 'event_key');
    v_has_unsigned := v_has_unsigned or v_event ->> 'proof' = 'toss_api';
  end loop;
  if cardinality(event_keys) > 1 then
    if (select count(distinct k.event_key) from unnest(event_keys) as k (event_key)) < cardinality(event_keys) then
      v_readings := supatoss.merge_readings(p_events);
    end if;
  end if;
  if v_has_unsigned then
    v_readings := supatoss.limit_unsigned(v_readings);
  end if;
  with created as (
    insert into public.webhook_events as w (
      event_key, event_type, payload, proof, status, processed, processed_at, reason, last_error, payment_key, order_id,
      occurred_at, change, claim, transmission_id, transmission_time, transmission_retried_count,
      transmission_user_agent, delivery_count, later_deliveries, next_attempt_at, traceparent)
    select r.event_key, r.event_type, r.payload::jsonb, r.proof, r.status, r.status in ('processed', 'ignored'),
           case when r.status in ('processed', 'ignored') then now() end, r.reason, r.last_error, r.payment_key,
           r.order_id, r.occurred_at, nullif(r.change, 'null'), nullif(r.claim, 'null'), r.transmission_id,
           r.transmission_time, r.transmission_retried_count, r.user_agent, coalesce(r.deliveries, 1),
           case when r.deliveries > 1
                then supatoss.add_deliveries(null, jsonb_build_object('arrivals', r.arrivals - 0), 'count') end,
           case when r.status = 'pending' then now() end, r.traceparent
    from unnest(v_readings) as e (event)
    cross join lateral jsonb_to_record(e.event) as r (
      event_key text, event_type text, payload text, proof text, status text, reason text, last_error text,
      payment_key text, order_id text, occurred_at timestamptz, change jsonb, claim jsonb, transmission_id text,
      transmission_time timestamptz, transmission_retried_count integer, user_agent text, deliveries integer,
      arrivals jsonb, traceparent text)
    on conflict (event_key) where event_key is not null do nothing
    returning w.id
  )
  select coalesce(array_agg(c.id), '{}') into created from created c;
  due := created;
  if cardinality(created) < cardinality(v_readings) then
    due := created || array(select r.id from supatoss.read_anew(v_readings, created) as r (id));
  end if;
end;
$$;

-- One reading for each event of a batch, with the number of its deliveries, as if they had come one by one: the last
-- one counts, unless an earlier one had finished the event.
create function supatoss.merge_readings(p_events jsonb[])
returns jsonb[]
language plpgsql immutable
set search_path = ''
as $$
begin
  return array(
    select m.event || jsonb_build_object(
             'deliveries', m.deliveries, 'arrivals', m.arrivals, 'occurred_at', m.occurred_at,
             'transmission_id', m.first -> 'transmission_id', 'transmission_time', m.first -> 'transmission_time',
             'transmission_retried_count', m.first -> 'transmission_retried_count',
             'user_agent', m.first -> 'user_agent')
    from (
      select distinct on (e.event ->> 'event_key') e.event, e.place, count(*) over same as deliveries,
             jsonb_agg(supatoss.arrival_of(e.event)) over same as arrivals,
             first_value(e.event) over (same order by e.place) as first,
             coalesce(max((e.event ->> 'occurred_at')::timestamptz) filter (
                        where (e.event ->> 'is_observation')::boolean) over same,
                      (first_value(e.event ->> 'occurred_at') over (same order by e.place))::timestamptz) as occurred_at
      from unnest(p_events) with ordinality as e (event, place)
      window same as (partition by e.event ->> 'event_key')
      order by e.event ->> 'event_key', e.event ->> 'status' in ('processed', 'ignored') desc,
               case when e.event ->> 'status' in ('processed', 'ignored') then e.place else -e.place end
    ) m
    order by m.place);
end;
$$;

-- Of deliveries without signature an order takes 500 events; an honest one has a handful. Further ones are stored, and
-- need a person: they count when they are replayed. Our own, and those that are stored already, are no more of them.
create function supatoss.limit_unsigned(p_events jsonb[])
returns jsonb[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select case
        when e.event ->> 'proof' = 'toss_api' and e.event ->> 'event_type' not like 'supatoss.%'
          and (select count(*) from (
                 select from public.webhook_events w
                 where w.order_id = e.event ->> 'order_id' and w.proof = 'toss_api' limit 500) w) = 500
          and not exists (
            select from public.webhook_events w
            where w.event_key = e.event ->> 'event_key' and w.reason is distinct from 'too_many_events')
        then e.event || '{"status": "failed", "reason": "too_many_events",
                          "last_error": "the order has 500 events of deliveries without signature already"}'
        else e.event end
    from unnest(p_events) with ordinality as e (event, place)
    order by e.place);
end;
$$;

-- What a delivery means that says p_reading of an event that is stored: reopen (the event counts as if it had come only
-- now), ask (Toss disagrees still: it is asked no sooner for that), move (Toss shows the same at a later time), count.
create function supatoss.meaning_of_repeat(p_event public.webhook_events, p_reading jsonb)
returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_disagrees boolean := coalesce(p_reading ->> 'reason' = 'toss_disagrees', false);
begin
  return case
    when v_disagrees and p_event.status = 'pending' and p_event.reason = 'toss_disagrees' then 'ask'
    -- Toss has answered, and the answer counts; only the project's own function has raised.
    when p_event.reason = 'hook_failed' and p_reading ->> 'status' <> 'processed' and not v_disagrees then 'count'
    when p_event.status in ('pending', 'failed') then 'reopen'
    -- What was borne out once, or never was, is claimed anew, and Toss does not show it now.
    when v_disagrees and (p_event.status = 'processed' or p_event.reason = 'not_borne_out') then 'reopen'
    -- The same state was seen again, later. A signed event may be read by an answer that shows another state by now.
    when p_event.status = 'processed' and (p_reading ->> 'is_observation')::boolean
      and p_reading ->> 'reason' is distinct from 'refused_by_database'
      and (p_event.proof = 'toss_api' or p_reading -> 'change' = p_event.change)
      and (p_reading ->> 'occurred_at')::timestamptz > p_event.occurred_at then 'move'
    else 'count'
  end;
end;
$$;

-- Whether the application has written into an order's row since its last fold. An older webhook function that runs
-- beside ours does, and may say less than Toss has: the next delivery of the order mends that, a duplicate too.
create function supatoss.is_rewritten(p_order_id text)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return exists (
    select 1 from public.payments p
    where p.order_id = p_order_id and p.projected_state is not null
      and (p.projected_state <> supatoss.payment_state(p) or p.projected_price <> supatoss.payment_price(p)));
end;
$$;

-- Reads known events anew, those aside that this call has created, and returns the ids whose change is to be applied.
create function supatoss.read_anew(p_readings jsonb[], p_created uuid[])
returns setof uuid
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  return query
  with repeated as materialized (
    select w.id, r.event as e, supatoss.meaning_of_repeat(w, r.event) as meaning,
           (r.event ->> 'is_observation')::boolean as is_observation,
           w.status = 'processed' and w.change ->> 'kind' = 'payment' and supatoss.is_rewritten(w.order_id)
             as is_rewritten
    from unnest(p_readings) as r (event) join public.webhook_events w on w.event_key = r.event ->> 'event_key'
    where w.id <> all (p_created)
  ),
  counted as (
    update public.webhook_events w
    set delivery_count = w.delivery_count + coalesce((r.e ->> 'deliveries')::integer, 1), last_delivered_at = now(),
        later_deliveries = supatoss.add_deliveries(w.later_deliveries, r.e, r.meaning),
        occurred_at = case when r.meaning = 'move' then (r.e ->> 'occurred_at')::timestamptz else w.occurred_at end
    from repeated r where w.id = r.id and r.meaning in ('move', 'count')
    returning w.id
  ),
  reread as (
    update public.webhook_events w
    set delivery_count = w.delivery_count + coalesce((r.e ->> 'deliveries')::integer, 1), last_delivered_at = now(),
        later_deliveries = supatoss.add_deliveries(w.later_deliveries, r.e, r.meaning),
        payment_key = coalesce(r.e ->> 'payment_key', w.payment_key),
        order_id = coalesce(r.e ->> 'order_id', w.order_id),
        occurred_at = case when not coalesce(r.is_observation, false) then w.occurred_at
                           -- The fold has read it.
                           when w.reason in ('amount_mismatch', 'double_charge', 'hook_failed')
                             then greatest(w.occurred_at, (r.e ->> 'occurred_at')::timestamptz)
                           else (r.e ->> 'occurred_at')::timestamptz end,
        payload = case when r.is_observation then (r.e ->> 'payload')::jsonb else w.payload end,
        proof = r.e ->> 'proof', change = nullif(r.e -> 'change', 'null'), claim = nullif(r.e -> 'claim', 'null'),
        status = r.e ->> 'status', reason = r.e ->> 'reason', last_error = r.e ->> 'last_error',
        processed = r.e ->> 'status' in ('processed', 'ignored'),
        processed_at = case when r.e ->> 'status' in ('processed', 'ignored') then now() end,
        attempts = case when r.meaning = 'ask' then w.attempts else 0 end,
        waiting_since = case when r.meaning = 'ask' then w.waiting_since else now() end,
        next_attempt_at = case when r.meaning = 'ask' then w.next_attempt_at
                               when r.e ->> 'status' = 'pending' then now() end,
        -- Who is asking Toss about an event that still waits may go on.
        lease_token = case when r.e ->> 'status' = 'pending' then w.lease_token end,
        lease_until = case when r.e ->> 'status' = 'pending' then w.lease_until end,
        traceparent = coalesce(r.e ->> 'traceparent', w.traceparent)
    from repeated r where w.id = r.id and r.meaning in ('ask', 'reopen')
    returning w.id
  )
  select a.id from reread a
  union all
  select r.id from repeated r join counted c on c.id = r.id where r.meaning = 'move' or r.is_rewritten;
end;
$$;

-- Says for which orders payment events are that name none, and lets the others wait. The orders of all these events.
create function supatoss.find_orders(p_ids uuid[])
returns text[]
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
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

  return (
    select array_agg(distinct w.order_id) from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.order_id is not null and w.status = 'processed');
end;
$$;

-- Events that waited for an order that one of these names. They end as if they had come after it.
create function supatoss.wake_orphans(p_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.webhook_events o
  set order_id = w.order_id, status = 'processed', reason = null, last_error = null, processed = true,
      processed_at = now(), attempts = 0, next_attempt_at = null, lease_token = null, lease_until = null
  from public.webhook_events w
  where w.id = any (p_ids) and w.order_id is not null and w.change ->> 'kind' = 'payment' and w.status = 'processed'
    and o.payment_key = w.payment_key and o.order_id is null
    and o.status = 'pending' and o.reason = 'unknown_order' and o.change ->> 'kind' = 'payment';
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
  v_is_awaited boolean;
  v_has_settlements boolean;
  v_has_billing boolean;
begin
  select array_agg(distinct w.order_id) filter (where w.change ->> 'kind' = 'payment' and w.order_id is not null),
         bool_or(w.change ->> 'kind' = 'payment' and w.order_id is null),
         bool_or(exists (
           select from public.webhook_events o
           where o.payment_key = w.payment_key and o.status = 'pending' and o.reason = 'unknown_order')),
         bool_or(w.change ->> 'kind' = 'settlement'),
         bool_or(w.change ->> 'kind' = 'billing')
  into v_order_ids, v_has_orphans, v_is_awaited, v_has_settlements, v_has_billing
  from public.webhook_events w
  where w.id = any (p_ids) and w.status = 'processed';

  if v_has_orphans then
    v_order_ids := supatoss.find_orders(p_ids);
  end if;
  if v_order_ids is not null then
    if v_is_awaited or v_has_orphans then
      perform supatoss.wake_orphans(p_ids);
    end if;
    perform supatoss.project_payments(v_order_ids, p_ids);
  end if;
  if v_has_settlements then
    perform supatoss.project_settlements(p_ids);
  end if;
  if v_has_billing then
    perform supatoss.project_subscriptions(p_ids);
  end if;
end;
$$;

-- What became of each delivery, in the order given. Each event is looked up by its key, whatever the planner knows of
-- the table (offset 0 keeps it from joining them otherwise): plans are made while it may be empty.
create function supatoss.read_outcomes(p_event_keys text[], p_created uuid[])
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object(
           'event_key', e.event_key, 'id', w.id,
           'outcome', case when w.id = any (p_created) and array_position(p_event_keys, e.event_key) = e.place
                           then 'created' else 'duplicate' end,
           'status', w.status, 'reason', w.reason) order by e.place), '[]'::jsonb)
  from unnest(p_event_keys) with ordinality as e (event_key, place)
  cross join lateral (
    select i.id, i.status, i.reason from public.webhook_events i where i.event_key = e.event_key offset 0) w);
end;
$$;

create function supatoss.record_batch(p_events jsonb[])
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_stored record := supatoss.store_events(p_events);
  v_outcomes jsonb;
begin
  if v_stored.due <> '{}' then
    perform supatoss.apply_events(v_stored.due);
  end if;
  -- What would be raised at the commit is raised here, where it is one event's.
  set constraints all immediate;
  v_outcomes := supatoss.read_outcomes(v_stored.event_keys, v_stored.created);
  if jsonb_array_length(v_outcomes) < cardinality(p_events) then
    raise exception 'a trigger on webhook_events keeps the event from being stored' using errcode = 'SUPA2';
  end if;
  return v_outcomes;
end;
$$;

-- An event whose change the tables refuse is kept as failed, with the reason, and is no obstacle to its neighbours. One
-- that the inbox itself refuses isn't stored.
create function supatoss.record_failure(p_event jsonb, p_error text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_failed jsonb := jsonb_build_object(
    'status', 'failed', 'reason', 'refused_by_database', 'last_error', p_error);
  v_event jsonb;
  v_context text;
  v_error text;
begin
  foreach v_event in array array[
    p_event || v_failed,
    -- Even its plain columns are refused: keep the body as it is.
    jsonb_build_object(
      'event_key', p_event ->> 'event_key', 'event_type', left(p_event ->> 'event_type', 100),
      'proof', p_event ->> 'proof', 'payload', to_jsonb(p_event ->> 'payload')::text) || v_failed
  ] loop
    begin
      set constraints all deferred;
      return supatoss.record_batch(array[v_event]) -> 0;
    exception when others or assert_failure then
      if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
        raise;
      end if;
      get stacked diagnostics v_context = pg_exception_context;
      v_error := supatoss.describe_refusal(null, sqlstate, v_context);  -- A message can hold values of rows.
    end;
  end loop;
  return jsonb_build_object('event_key', p_event ->> 'event_key', 'id', null, 'outcome', 'refused', 'status', null,
                            'reason', v_error);
end;
$$;

-- Stores events, a JSON array as text, and applies their changes in one transaction; a failing event fails alone. An
-- event: {event_key, event_type, payload (text), proof, status, reason, last_error, payment_key, order_id, occurred_at,
-- is_observation (Toss answered it, at occurred_at), change, claim, transmission_id, transmission_time,
-- transmission_retried_count, user_agent, traceparent}. One outcome an event, in order: {event_key, id, outcome:
-- created | duplicate | refused, status, reason}. refused: the inbox doesn't take it, and reason says whose code that
-- is. Errors that a retry can cure are raised, and nothing is stored.
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
  v_events jsonb[] := array(select jsonb_array_elements(events::jsonb));
  v_event jsonb;
  v_outcomes jsonb := '[]'::jsonb;
  v_outcome jsonb;
  v_context text;
begin
  if v_events = '{}' then
    return v_outcomes;
  end if;
  perform supatoss.lock_subjects(v_events);
  begin
    return supatoss.record_batch(v_events);
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    -- Which of them it was shows below, one at a time.
  end;
  foreach v_event in array v_events loop
    begin
      -- The event before has made them immediate.
      set constraints all deferred;
      v_outcome := supatoss.record_batch(array[v_event]) -> 0;
    exception when others or assert_failure then
      if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
        raise;
      end if;
      get stacked diagnostics v_context = pg_exception_context;
      v_outcome := supatoss.record_failure(v_event, supatoss.describe_refusal(sqlerrm, sqlstate, v_context));
    end;
    v_outcomes := v_outcomes || jsonb_build_array(v_outcome);
  end loop;
  return v_outcomes;
end;
$$;

select supatoss.close_functions();
