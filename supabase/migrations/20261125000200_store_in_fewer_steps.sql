-- What storing an event costs, whatever the tables' size: fewer probes of indexes, and no index that a row without it pays for.

-- An event of Toss (2 to 4 kB with its change) stays as it came: compressing it takes longer than writing it.
alter table public.webhook_events set (toast_tuple_target = 4080);

-- A GIN index has an entry for NULL too, so nearly every payment paid for an index of cancels.
drop index if exists public.payments_cancels_idx;
create index payments_cancels_idx on public.payments using gin (cancels jsonb_path_ops) where cancels is not null;

-- Events that wait until somebody says which order they belong to, by their payment; without it every batch would read all
-- pending events, of which an outage of Toss leaves many.
create index webhook_events_orphans_idx on public.webhook_events (payment_key)
  where status = 'pending' and reason = 'unknown_order';

-- Stores new events, wakes unfinished ones that were delivered again, and returns the ids whose change is to be applied.
-- The caller holds the locks of the events' keys, so nobody else stores the same ones meanwhile.
create or replace function supatoss.store_events_v1(p_events jsonb[])
returns table (id uuid, is_created boolean)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with incoming as materialized (
    select distinct on (e.event ->> 'event_key')
           e.event ->> 'event_key' as event_key, e.event,
           count(*) over (partition by e.event ->> 'event_key')::integer as deliveries
    from unnest(p_events) with ordinality as e (event, position)
    order by e.event ->> 'event_key', e.position
  ),
  created as (
    insert into public.webhook_events as w (
      event_key, event_type, payload, proof, status, processed, processed_at, reason, last_error, payment_key, order_id,
      occurred_at, change, transmission_id, transmission_time, transmission_retried_count, delivery_count, next_attempt_at)
    select i.event_key, r.event_type, r.payload::jsonb, r.proof, r.status, r.status in ('processed', 'ignored'),
           case when r.status in ('processed', 'ignored') then now() end, r.reason, r.last_error, r.payment_key, r.order_id,
           r.occurred_at, nullif(r.change, 'null'), r.transmission_id, r.transmission_time, r.transmission_retried_count,
           i.deliveries, case when r.status = 'pending' then now() end
    from incoming i
    cross join lateral jsonb_to_record(i.event) as r (
      event_type text, payload text, proof text, status text, reason text, last_error text, payment_key text, order_id text,
      occurred_at timestamptz, change jsonb, transmission_id text, transmission_time timestamptz,
      transmission_retried_count integer)
    on conflict (event_key) do nothing
    returning w.id, w.event_key
  ),
  known as materialized (
    select w.id, i.event, i.deliveries, w.status in ('pending', 'failed') as is_unfinished
    from incoming i join public.webhook_events w on w.event_key = i.event_key
    where i.event_key not in (select c.event_key from created c)
  ),
  delivered_again as (
    update public.webhook_events w
    set delivery_count = w.delivery_count + k.deliveries,
        last_delivered_at = now(),
        -- What was not finished is tried again, with what is understood of it today.
        change = case when k.is_unfinished then nullif(k.event -> 'change', 'null') else w.change end,
        status = case when k.is_unfinished then k.event ->> 'status' else w.status end,
        processed = case when k.is_unfinished then k.event ->> 'status' in ('processed', 'ignored') else w.processed end,
        processed_at = case when not k.is_unfinished then w.processed_at
                            when k.event ->> 'status' in ('processed', 'ignored') then now() end,
        reason = case when k.is_unfinished then k.event ->> 'reason' else w.reason end,
        last_error = case when k.is_unfinished then k.event ->> 'last_error' else w.last_error end,
        order_id = coalesce(w.order_id, k.event ->> 'order_id'),
        next_attempt_at = case when k.is_unfinished and k.event ->> 'status' = 'pending' then now() end
    from known k
    where w.id = k.id
    returning w.id, k.is_unfinished
  )
  select c.id, true from created c
  union all
  select d.id, false from delivered_again d where d.is_unfinished;
end;
$$;
select supatoss.close_functions();
