-- What the billing keys of a customer mean for their subscriptions. All columns that follow from events are computed
-- from all events of the customer (there are few), so it does not matter in which order they arrived.
--
-- Keys are walked in the order of their issue. A key that is issued while the one before it lives is a changed card:
-- the subscription goes on (deleting the old key then ends nothing, rule 7 of the design). A key that is issued after
-- the one before it was deleted begins a new subscription. Such a stretch is a span: one row of subscriptions each.

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
    select min(w.occurred_at) from public.webhook_events w
    where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = p_billing_key
      and w.change ->> 'action' = p_action and (w.status = 'processed' or w.reason = 'hook_failed'));
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

-- The span with which the application's own row begins, and in issued_at the time up to which all keys are in its word.
create function supatoss.first_span(p_customer_key text)
returns supatoss.billing_span
language plpgsql stable
set search_path = ''
as $$
declare
  v_span supatoss.billing_span;
  v_issued_at timestamptz;
  v_known_at timestamptz;
begin
  select a.id, a.billing_key, a.status, max(a.issued_at) over (), a.deleted_at
  into v_span.subscription, v_span.billing_key, v_span.status, v_issued_at, v_known_at
  from (
    select s.id, s.status in ('ACTIVE', 'PAUSED') as is_live,
           s.billing_state #>> '{application,billing_key}' as billing_key,
           s.billing_state #>> '{application,status}' as status,
           greatest((s.billing_state #>> '{application,after}')::timestamptz,
                    supatoss.billing_key_time(s.billing_state #>> '{application,billing_key}', 'issued')) as issued_at,
           (s.billing_state #>> '{application,deleted_at}')::timestamptz as deleted_at
    from public.subscriptions s
    where s.customer_key = p_customer_key and s.billing_state -> 'application' is not null
  ) a
  order by a.is_live desc, a.issued_at desc nulls last, a.id limit 1;
  v_span.issued_at := v_issued_at;
  if v_span.status in ('ACTIVE', 'PAUSED') then
    v_span.billing_keys := array[v_span.billing_key];
    v_span.deleted_at := supatoss.billing_key_time(v_span.billing_key, 'deleted');
    if v_span.deleted_at <= v_known_at then
      v_span.deleted_at := null;
    end if;
  else
    v_span.billing_key := null;  -- The application ended it: it says what it is, and the next key begins another.
  end if;
  return v_span;
end;
$$;

-- The spans of a customer, in the order of time.
create function supatoss.read_spans(p_customer_key text)
returns supatoss.billing_span[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_span supatoss.billing_span := supatoss.first_span(p_customer_key);
  v_after timestamptz := v_span.issued_at;
  v_spans supatoss.billing_span[] := '{}';
  v_key record;
begin
  v_span.place := 1;
  for v_key in
    select w.change ->> 'billing_key' as billing_key, min(w.occurred_at) as issued_at
    from public.webhook_events w
    where w.change ->> 'kind' = 'billing' and w.change ->> 'customer_key' = p_customer_key
      and w.change ->> 'action' = 'issued' and (w.status = 'processed' or w.reason = 'hook_failed')
    group by 1
    having v_after is null or min(w.occurred_at) > v_after
    order by 2, (w.change ->> 'billing_key') collate "C"
  loop
    if v_span.billing_key is null or v_span.deleted_at < v_key.issued_at then
      if v_span.billing_key is not null then
        v_spans := v_spans || v_span;
      end if;
      v_span := row(v_span.place + 1, null, '{}', null, null, v_key.issued_at, null, null);
    end if;
    v_span.billing_keys := v_span.billing_keys || v_key.billing_key;
    v_span.billing_key := v_key.billing_key;
    v_span.status := 'ACTIVE';
    v_span.issued_at := v_key.issued_at;
    v_span.deleted_at := supatoss.billing_key_time(v_key.billing_key, 'deleted');
  end loop;
  if v_span.billing_key is not null then
    v_spans := v_spans || v_span;
  end if;
  return v_spans;
end;
$$;

-- Finds the row of each span that has none yet, and deletes rows that stood for a part of one: an event that came late
-- has shown that no subscription ended there. A row that the application has filled in since is left to it.
create function supatoss.match_spans(p_customer_key text, p_spans supatoss.billing_span[])
returns supatoss.billing_span[]
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_span supatoss.billing_span;
  v_spans supatoss.billing_span[] := '{}';
  v_rows uuid[] := '{}';
  v_keys text[] := '{}';
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
    v_keys := v_keys || v_span.billing_keys;
  end loop;
  delete from public.subscriptions s
  where s.customer_key = p_customer_key and s.billing_state is not null and s.billing_state -> 'application' is null
    and s.billing_key = any (v_keys) and not coalesce(s.id = any (v_rows), false)
    and s.tier = 'UNASSIGNED' and s.amount = 0 and s.user_id is null and s.product_id is null;
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

-- Computes the subscriptions of the customers that these events are about. Ended spans are written first: a customer
-- never has two live rows.
create function supatoss.project_subscriptions(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_customer_key text;
  v_span supatoss.billing_span;
  v_has_hook boolean :=
    to_regprocedure('public.on_subscription_changed(text, public.subscriptions, public.subscriptions)') is not null;
begin
  if exists (
    select 1 from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.change ->> 'action' = 'issued'
      and w.status = 'processed' and w.change ->> 'customer_key' is null
  ) then
    raise exception 'the event names no customer_key' using errcode = 'not_null_violation';
  end if;
  for v_customer_key in
    select distinct c.customer_key collate "C"
    from public.webhook_events w
    cross join lateral supatoss.customers_of_key(w.change ->> 'billing_key') as c (customer_key)
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.status = 'processed'
    order by 1
  loop
    -- Nearly always held (lock_subjects); not where the customer's first event was being recorded meanwhile.
    perform pg_advisory_xact_lock(hashtextextended('customer:' || v_customer_key, 20261123));
    perform 1 from public.subscriptions s where s.customer_key = v_customer_key order by s.id for update;
    if v_has_hook then
      perform supatoss.remember_subscriptions(v_customer_key);
    end if;
    perform supatoss.adopt_subscriptions(v_customer_key);
    foreach v_span in array supatoss.match_spans(v_customer_key, supatoss.read_spans(v_customer_key)) loop
      perform supatoss.write_span(v_customer_key, v_span);
    end loop;
    if v_has_hook then
      perform supatoss.announce_subscriptions(v_customer_key);
    end if;
  end loop;
end;
$$;

select supatoss.close_functions();
