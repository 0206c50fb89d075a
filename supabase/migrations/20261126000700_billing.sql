-- What the billing keys of a customer mean for their subscriptions. All columns that follow from events are computed
-- from all events of the customer (there are few), so it does not matter in which order they arrived.
--
-- Keys are walked in the order of their issue. A key that is issued while the one before it lives is a changed card:
-- the subscription goes on (deleting the old key then ends nothing, rule 7 of the design). A key that is issued after
-- the one before it was deleted begins a new subscription. Such a stretch is a span: one row of subscriptions each.
-- A key that the application has put into a row is that row's. Any other one, issued while several subscriptions of the
-- customer live, may be a new card of any of them: its event fails as ambiguous_subscription until a row has the key.

-- The billing events that count, and those of which the application has not said yet what they mean.
create view supatoss.billing_events with (security_invoker = true) as
select w.id, w.change ->> 'billing_key' as billing_key, w.change ->> 'customer_key' as customer_key,
       w.change ->> 'action' as action, w.occurred_at
from public.webhook_events w
where w.change ->> 'kind' = 'billing'
  and (w.status = 'processed' or (w.status = 'failed' and w.reason in ('ambiguous_subscription', 'hook_failed'))
       or (w.status = 'ignored' and w.reason = 'operator' and supatoss.is_ignored_hook(w.id)));
revoke all on table supatoss.billing_events from public, anon, authenticated;
grant select on table supatoss.billing_events to service_role;

-- place: in the order of time. subscription: its row. started_at: null where the application said when it began.
create type supatoss.billing_span as (
  place integer, subscription uuid, billing_keys text[], billing_key text, status text, started_at timestamptz,
  issued_at timestamptz, deleted_at timestamptz);

-- When a billing key was issued or deleted, as its first event says.
create function supatoss.billing_key_time(p_billing_key text, p_action text)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select min(e.occurred_at) from supatoss.billing_events e
    where e.billing_key = p_billing_key and e.action = p_action);
end;
$$;

-- Whose billing key it is, or was.
create function supatoss.customers_of_key(p_billing_key text)
returns setof text
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select w.change ->> 'customer_key' from public.webhook_events w
  where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = p_billing_key
    and w.change ->> 'customer_key' is not null
  union
  select s.customer_key::text from public.subscriptions s where s.billing_key = p_billing_key
  union
  select s.customer_key::text from public.subscriptions s
  where s.billing_state #>> '{application,billing_key}' = p_billing_key;
end;
$$;

-- Takes over what the application wrote into a customer's rows since we last did: it counts as the first state of its
-- row, after the keys that were known when it was written.
create function supatoss.adopt_subscriptions(p_customer_key text)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.subscriptions s
  set billing_state = jsonb_build_object(
        'application', jsonb_build_object(
          'billing_key', s.billing_key, 'status', s.status, 'after', s.billing_key_issued_at,
          -- Who makes a row live again whose key is deleted knows of the deletion.
          'deleted_at', case when s.billing_key = s.billing_state #>> '{written,billing_key}'
                          then s.billing_key_deleted_at end),
        'written', coalesce(s.billing_state -> 'written', '{}')
                   || jsonb_build_object('billing_key', s.billing_key, 'status', s.status))
  where s.customer_key = p_customer_key
    and (s.billing_state is null
         or (s.billing_state #>> '{written,billing_key}', s.billing_state #>> '{written,status}')
            is distinct from (s.billing_key, s.status::text));
end;
$$;

-- Whether only webhooks have made a row: the application has neither changed it nor filled it in.
create function supatoss.is_made_by_webhooks(s public.subscriptions)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return s.billing_state -> 'application' is null
    and coalesce((s.billing_state #>> '{written,billing_key}', s.billing_state #>> '{written,status}')
                 = (s.billing_key, s.status::text), false)
    and s.tier = 'UNASSIGNED' and s.amount = 0 and s.user_id is null and s.product_id is null;
end;
$$;

-- The application's own rows: issued_at is the time up to which it knew all keys of the customer. Those that it ended
-- have no key: they are what it says, and the next key begins another subscription.
create function supatoss.own_spans(p_customer_key text)
returns setof supatoss.billing_span
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select row_number() over (order by a.is_live, a.issued_at nulls first, a.id)::integer, a.id,
         array[a.billing_key], case when a.is_live then a.billing_key end, a.status, null::timestamptz, a.issued_at,
         case when a.deleted_at > coalesce(a.known_at, '-infinity') then a.deleted_at end
  from (
    select s.id, o.row ->> 'billing_key' as billing_key, o.row ->> 'status' as status,
           o.row ->> 'status' in ('ACTIVE', 'PAUSED') as is_live,
           greatest((o.row ->> 'after')::timestamptz,
                    supatoss.billing_key_time(o.row ->> 'billing_key', 'issued')) as issued_at,
           supatoss.billing_key_time(o.row ->> 'billing_key', 'deleted') as deleted_at,
           (o.row ->> 'deleted_at')::timestamptz as known_at
    from public.subscriptions s cross join lateral (select s.billing_state -> 'application') as o (row)
    where s.customer_key = p_customer_key and o.row is not null
  ) a;
end;
$$;

-- The spans of a customer, and the keys of which nobody can tell which subscription they are for.
create function supatoss.read_spans(p_customer_key text, out spans supatoss.billing_span[], out ambiguous text[])
language plpgsql stable
set search_path = ''
as $$
declare
  v_key record;
  v_live integer[];
  v_place integer;
  v_known_until timestamptz;
  v_own_keys text[];
begin
  select coalesce(array_agg(o order by o.place) filter (where o.billing_key is not null), '{}'),
         max(o.issued_at), coalesce(array_agg(o.billing_keys[1]), '{}')
  into spans, v_known_until, v_own_keys
  from supatoss.own_spans(p_customer_key) o;
  ambiguous := '{}';
  for v_key in
    select e.billing_key, min(e.occurred_at) as issued_at
    from supatoss.billing_events e
    where e.customer_key = p_customer_key and e.action = 'issued' and e.billing_key <> all (v_own_keys)
    group by 1
    having v_known_until is null or min(e.occurred_at) > v_known_until
    order by 2, e.billing_key collate "C"
  loop
    v_live := array(select p.place from generate_subscripts(spans, 1) as p (place)
                    where coalesce(spans[p.place].deleted_at >= v_key.issued_at, true));
    if cardinality(v_live) > 1 then
      ambiguous := ambiguous || v_key.billing_key;
      continue;
    end if;
    v_place := v_live[1];
    if v_place is null then
      v_place := cardinality(spans) + 1;
      spans[v_place] := row(v_place, null, '{}', null, null, v_key.issued_at, null, null);
    end if;
    spans[v_place].billing_keys := spans[v_place].billing_keys || v_key.billing_key;
    spans[v_place].billing_key := v_key.billing_key;
    spans[v_place].status := 'ACTIVE';
    spans[v_place].issued_at := v_key.issued_at;
    spans[v_place].deleted_at := supatoss.billing_key_time(v_key.billing_key, 'deleted');
  end loop;
end;
$$;

-- Finds the row of each span that has none yet, and deletes rows of ours that stand for none any more: an event that
-- came late has shown that no subscription ended there, or the application's own row says what is. A row that the
-- application has filled in since is left to it.
create function supatoss.match_spans(p_customer_key text, p_spans supatoss.billing_span[])
returns supatoss.billing_span[]
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_span supatoss.billing_span;
  v_spans supatoss.billing_span[] := '{}';
  v_rows uuid[] := '{}';
begin
  foreach v_span in array p_spans loop
    if v_span.subscription is null then
      select s.id into v_span.subscription from public.subscriptions s
      where s.customer_key = p_customer_key and s.billing_state is not null and s.billing_state -> 'application' is null
        and s.billing_key = any (v_span.billing_keys)
      order by array_position(v_span.billing_keys, s.billing_key) desc, s.id limit 1;
    end if;
    v_spans := v_spans || v_span;
    v_rows := v_rows || v_span.subscription;
  end loop;
  delete from public.subscriptions s
  where s.customer_key = p_customer_key and supatoss.is_made_by_webhooks(s)
    and not coalesce(s.id = any (v_rows), false);
  return v_spans;
end;
$$;

-- Writes the row of a span.
create function supatoss.write_span(p_customer_key text, p_span supatoss.billing_span)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_status text := case when p_span.deleted_at is null then p_span.status else 'CANCELED' end;
  v_written jsonb := jsonb_build_object(
    'billing_key', p_span.billing_key, 'status', v_status, 'started_at', p_span.started_at);
begin
  if p_span.subscription is null then
    insert into public.subscriptions (
      billing_key, customer_key, status, tier, started_at, current_period_start, current_period_end, canceled_at,
      billing_cycle, amount, billing_key_issued_at, billing_key_deleted_at, billing_state)
    values (
      p_span.billing_key, p_customer_key, v_status, 'UNASSIGNED', p_span.started_at, p_span.started_at,
      p_span.started_at + interval '1 month', p_span.deleted_at, 'monthly', 0, p_span.issued_at, p_span.deleted_at,
      jsonb_build_object('written', v_written));
    if not found then
      raise exception 'a trigger on subscriptions keeps the row from being written' using errcode = 'SUPA2';
    end if;
    return;
  end if;
  -- Times that the application has written since stay its own.
  update public.subscriptions s
  set billing_key = p_span.billing_key, status = v_status, billing_key_issued_at = p_span.issued_at,
      billing_key_deleted_at = p_span.deleted_at,
      canceled_at = case when v_status = 'CANCELED' then p_span.deleted_at
                         when s.status <> 'CANCELED' then s.canceled_at end,
      started_at = case when s.started_at = o.started_at then p_span.started_at else s.started_at end,
      current_period_start = case when s.current_period_start = o.started_at then p_span.started_at
                                  else s.current_period_start end,
      current_period_end = case when s.current_period_end = o.started_at + interval '1 month'
                                  then p_span.started_at + interval '1 month' else s.current_period_end end,
      billing_state = s.billing_state || jsonb_build_object('written', v_written), updated_at = now()
  from (
    select r.id, case when p_span.started_at is not null
                      then (r.billing_state #>> '{written,started_at}')::timestamptz end as started_at
    from public.subscriptions r where r.id = p_span.subscription) o
  where s.id = o.id
    and (s.billing_state -> 'written', s.billing_key_issued_at, s.billing_key_deleted_at)
        is distinct from (v_written, p_span.issued_at, p_span.deleted_at);
  if not exists (
    select 1 from public.subscriptions s
    where s.id = p_span.subscription and s.billing_state -> 'written' = v_written
  ) then
    raise exception 'a trigger on subscriptions keeps the row from being written' using errcode = 'SUPA2';
  end if;
end;
$$;

-- Says of each issued key of a customer whether it counts.
create function supatoss.judge_issued_keys(p_customer_key text, p_ambiguous text[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.webhook_events w
  set status = case when v.is_ambiguous then 'failed' else 'processed' end,
      processed = not v.is_ambiguous,
      processed_at = case when not v.is_ambiguous then now() end,
      reason = case when v.is_ambiguous then 'ambiguous_subscription' end,
      last_error = case when v.is_ambiguous then
        'the customer has several live subscriptions, and none of them has this billing key' end
  from (
    select e.id, e.billing_key = any (p_ambiguous) as is_ambiguous
    from supatoss.billing_events e where e.customer_key = p_customer_key and e.action = 'issued'
  ) v
  where w.id = v.id and v.is_ambiguous <> coalesce(w.reason = 'ambiguous_subscription', false);
end;
$$;

-- Computes the subscriptions of these customers from all their events. The caller holds their locks.
create function supatoss.project_customers(p_customer_keys text[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_customer_key text;
  v_spans supatoss.billing_span[];
  v_ambiguous text[];
  v_span supatoss.billing_span;
  v_has_hook boolean :=
    to_regprocedure('public.on_subscription_changed(text, public.subscriptions, public.subscriptions)') is not null;
begin
  foreach v_customer_key in array p_customer_keys loop
    perform 1 from public.subscriptions s where s.customer_key = v_customer_key order by s.id for update;
    if v_has_hook then
      perform supatoss.remember_subscriptions(v_customer_key);
    end if;
    perform supatoss.adopt_subscriptions(v_customer_key);
    select r.spans, r.ambiguous into v_spans, v_ambiguous from supatoss.read_spans(v_customer_key) r;
    -- Ended spans are written first: where a customer may have one live row only, there are never two.
    for v_span in
      select * from unnest(supatoss.match_spans(v_customer_key, v_spans)) m order by m.deleted_at is null, m.place
    loop
      perform supatoss.write_span(v_customer_key, v_span);
    end loop;
    perform supatoss.judge_issued_keys(v_customer_key, v_ambiguous);
    if v_has_hook then
      perform supatoss.announce_subscriptions(v_customer_key);
    end if;
  end loop;
end;
$$;

-- Computes the subscriptions of the customers that these events are about.
create function supatoss.project_subscriptions(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_customer_keys text[];
begin
  if exists (
    select 1 from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.change ->> 'action' = 'issued'
      and w.status = 'processed' and w.change ->> 'customer_key' is null
  ) then
    raise exception 'the event names no customer_key' using errcode = 'not_null_violation';
  end if;
  v_customer_keys := array(
    select distinct c.customer_key collate "C"
    from public.webhook_events w
    cross join lateral supatoss.customers_of_key(w.change ->> 'billing_key') as c (customer_key)
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.status = 'processed'
    order by 1);
  -- Nearly always held (lock_subjects); not where the customer's first event was being recorded meanwhile.
  perform pg_advisory_xact_lock(hashtextextended('customer:' || c.customer_key, 20261123))
  from unnest(v_customer_keys) as c (customer_key);
  perform supatoss.project_customers(v_customer_keys);
end;
$$;

select supatoss.close_functions();
