-- What operators see and do: pages of events, replay and ignore, and what their page shows. (One subject, so one long
-- file.)

-- What people did to events and differences, and why: written in the transaction that does it, changed and deleted by
-- nobody.
create table supatoss.operator_actions (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  actor text not null check (length(actor) between 1 and 200),
  address text check (length(address) <= 100),
  action text not null check (length(action) between 1 and 50),
  event_id uuid,
  finding_id uuid,
  reason text check (length(reason) <= 500),
  status_before text,
  status_after text,
  event_reason_before text
);
create index operator_actions_created_at_idx on supatoss.operator_actions (created_at desc);
create index operator_actions_event_id_idx on supatoss.operator_actions (event_id, created_at);

alter table supatoss.operator_actions enable row level security;
revoke all on table supatoss.operator_actions from public, anon, authenticated, service_role;
grant select, insert on table supatoss.operator_actions to service_role;

comment on table supatoss.operator_actions is 'Audit trail: who did what to which event or difference, when and why.';
comment on column supatoss.operator_actions.actor is
  'Who: an operator''s name, or user@machine of the command line.';
comment on column supatoss.operator_actions.address is 'Where the operator''s browser was; null for the command line.';
comment on column supatoss.operator_actions.action is 'What: replay, ignore, unignore or repair.';
comment on column supatoss.operator_actions.reason is 'Why, in the operator''s words.';
comment on column supatoss.operator_actions.event_reason_before is
  'The event''s own reason before it was ignored; unignoring restores it.';
comment on column supatoss.operator_actions.finding_id is
  'The difference of a reconciliation, if it was about one and not about an event.';

-- One page of the inbox. query: {ids, id_part (its first or last hex digits), statuses, types, reasons, order_id,
-- payment_key, created_from (inclusive), created_until (exclusive), after: {created_at, id} of the last event of the
-- page before, is_ascending, limit (at most 500), with_payload, search: {by: key | content, text, amount}}; what is
-- absent does not narrow. The answer: {now, events, has_more, looked_back_to}, newest first unless is_ascending.
-- looked_back_to: {created_at, id} where a search has looked through the newest 20,000 events only; the next page
-- begins there. Payload and change come as text, because numbers lose digits on their way through a JSON parser.
create function public.find_webhook_events_v1(query text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_query jsonb := query::jsonb;
  v_limit integer := least(greatest(coalesce((v_query ->> 'limit')::integer, 50), 1), 500);
  v_is_ascending boolean := coalesce((v_query ->> 'is_ascending')::boolean, false);
  v_with_payload boolean := coalesce((v_query ->> 'with_payload')::boolean, false);
  v_where text := 'w.created_at is not null';
  v_order text := case when v_is_ascending then 'asc' else 'desc' end;
  v_search jsonb := v_query -> 'search';
  v_ids uuid[];
  v_looked_back_to jsonb;
  v_column text;
  v_name text;
  v_page jsonb;
begin
  -- Only what is asked for stands in the statement, as literals: so the planner sees which index fits, partial ones
  -- included.
  if jsonb_typeof(v_query -> 'ids') = 'array' then
    v_where := v_where || format(' and w.id = any (%L::uuid[])',
                                 array(select jsonb_array_elements_text(v_query -> 'ids')));
  end if;
  if v_query ->> 'id_part' is not null then
    v_where := v_where || format(' and w.id = any (%L::uuid[])',
                                 supatoss.event_ids_of_part(v_query ->> 'id_part', v_limit + 1));
  end if;
  foreach v_column in array array['status', 'event_type', 'reason'] loop
    v_name := case v_column when 'status' then 'statuses' when 'event_type' then 'types' else 'reasons' end;
    if jsonb_typeof(v_query -> v_name) = 'array' then
      v_where := v_where || format(' and w.%I in (%s)', v_column, coalesce(
        (select string_agg(quote_literal(t.item), ', ') from jsonb_array_elements_text(v_query -> v_name) as t (item)),
        'null'));
    end if;
  end loop;
  foreach v_column in array array['order_id', 'payment_key'] loop
    if v_query ->> v_column is not null then
      v_where := v_where || format(' and w.%I = %L', v_column, v_query ->> v_column);
    end if;
  end loop;
  if v_query ->> 'created_from' is not null then
    v_where := v_where || format(' and w.created_at >= %L::timestamptz', v_query ->> 'created_from');
  end if;
  if v_query ->> 'created_until' is not null then
    v_where := v_where || format(' and w.created_at < %L::timestamptz', v_query ->> 'created_until');
  end if;
  if v_query -> 'after' ->> 'id' is not null then
    v_where := v_where || format(' and (w.created_at, w.id) %s (%L::timestamptz, %L::uuid)',
      case when v_is_ascending then '>' else '<' end, v_query -> 'after' ->> 'created_at', v_query -> 'after' ->> 'id');
  end if;

  if v_search is not null then
    v_search := case v_search ->> 'by' when 'key' then supatoss.search_by_key(v_search ->> 'text')
                else supatoss.search_by_content(v_search ->> 'text', v_search ->> 'amount') end;
    v_where := v_where || coalesce(' and (' || (v_search ->> 'condition') || ')', '');
    if v_search ->> 'window' is not null then
      execute format($window$
        with looked as materialized (
          select w.created_at, w.id, %1$s as is_found from public.webhook_events w where %2$s
          order by w.created_at desc, w.id desc limit 20000
        )
        select (array_agg(l.id order by l.created_at %3$s, l.id %3$s) filter (where l.is_found))[:%4$s],
               case when count(*) = 20000 and count(*) filter (where l.is_found) < %4$s and not %5$L
                    then (array_agg(jsonb_build_object('created_at', l.created_at, 'id', l.id)
                                    order by l.created_at, l.id))[1] end
        from looked l
        $window$, v_search ->> 'window', v_where, v_order, v_limit + 1, v_is_ascending)
      into v_ids, v_looked_back_to;
      v_where := format('w.id = any (%L::uuid[])', v_ids);
    end if;
  end if;

  execute format($query$
    select coalesce(jsonb_agg(
             jsonb_build_object(
               'id', f.id, 'event_key', coalesce(f.event_key, 'unkeyed:' || f.id), 'event_type', f.event_type,
               'status', f.status, 'reason', f.reason, 'proof', f.proof,
               'payment_key', f.payment_key, 'order_id', f.order_id, 'occurred_at', f.occurred_at,
               'created_at', f.created_at, 'processed_at', f.processed_at, 'attempts', f.attempts,
               'next_attempt_at', f.next_attempt_at, 'lease_until', f.lease_until, 'last_error', f.last_error,
               'delivery_count', f.delivery_count, 'last_delivered_at', coalesce(f.last_delivered_at, f.created_at),
               'order_name', coalesce(f.change ->> 'order_name', p.order_name),
               'amount', coalesce(f.change ->> 'amount', f.change ->> 'pay_out_amount', p.amount::text),
               'currency', coalesce(f.change ->> 'currency', p.currency),
               -- What a pending event claims is not known yet.
               'payment_status', case when f.change ->> 'kind' = 'payment' and f.status <> 'pending'
                                      then f.change ->> 'status' end)
             || case when %4$L::boolean then jsonb_build_object(
               'payload', case jsonb_typeof(f.payload) when 'string' then f.payload #>> '{}' else f.payload::text end,
               'change', f.change::text,
               'actions', (select coalesce(jsonb_agg(jsonb_build_object(
                             'at', a.created_at, 'actor', a.actor, 'address', a.address, 'action', a.action,
                             'reason', a.reason,
                             'status_before', a.status_before, 'status_after', a.status_after)
                           order by a.created_at, a.id), '[]'::jsonb)
                           from supatoss.operator_actions a where a.event_id = f.id))
               else '{}'::jsonb end
             order by f.place), '[]'::jsonb)
    from (
      select w.*, row_number() over (order by w.created_at %2$s, w.id %2$s) as place
      from public.webhook_events w where %1$s
      order by w.created_at %2$s, w.id %2$s limit %3$s
    ) f
    left join public.payments p on p.order_id = f.order_id
    $query$, v_where, v_order, v_limit + 1, v_with_payload)
  into v_page;
  return jsonb_build_object(
    'now', clock_timestamp(),
    'looked_back_to', v_looked_back_to,
    'events', case when jsonb_array_length(v_page) > v_limit then v_page - v_limit else v_page end,
    'has_more', jsonb_array_length(v_page) > v_limit);
end;
$$;

-- Takes the locks of recording for these events, under what is stored of them and under what their new reading says.
create function supatoss.lock_stored_events(p_ids uuid[], p_readings jsonb[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform supatoss.lock_subjects(p_readings || array(
    select jsonb_build_object('event_key', w.event_key, 'order_id', w.order_id, 'payment_key', w.payment_key, 'change',
                              w.change)
    from public.webhook_events w where w.id = any (p_ids)));
end;
$$;

-- Records one event anew as p_reading says: {event, seen_status, seen_reason, status, reason, last_error, change,
-- payment_key, order_id, occurred_at}. Null in change, payment_key, order_id and occurred_at keeps what is stored.
create function supatoss.replay_event(p_reading jsonb, p_actor text, p_address text)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_before public.webhook_events;
  v_after public.webhook_events;
  v_status text := p_reading ->> 'status';
  v_outcome text;
  v_context text;
begin
  -- Claiming takes no advisory lock, so the row is locked before its lease is looked at.
  select * into v_before from public.webhook_events w where w.id = (p_reading ->> 'event')::uuid for update;
  v_outcome := case
    when not found then 'missing'
    -- A worker is asking Toss, or approving: what it learns must find the event as it left it.
    when v_before.lease_until > now() then 'in_hand'
    when (v_before.status, v_before.reason) is distinct from (p_reading ->> 'seen_status', p_reading ->> 'seen_reason')
      then 'changed'
    -- Money that counts is never taken back here, and a billing key is no fold: an application may have paused its
    -- subscription since, and a second application of the event would wake it.
    when v_before.status = 'processed' and (v_status <> 'processed' or v_before.change ->> 'kind' = 'billing')
      then 'unchanged'
    else 'replayed'
  end;
  if v_outcome <> 'replayed' then
    return jsonb_build_object('event', p_reading ->> 'event', 'outcome', v_outcome,
                              'status', v_before.status, 'reason', v_before.reason);
  end if;

  begin
    set constraints all deferred;  -- The event before has made them immediate.
    update public.webhook_events w
    set status = v_status,
        processed = v_status in ('processed', 'ignored'),
        processed_at = case when v_status = w.status then w.processed_at
                            when v_status in ('processed', 'ignored') then now() end,
        reason = p_reading ->> 'reason',
        last_error = p_reading ->> 'last_error',
        change = coalesce(nullif(p_reading -> 'change', 'null'), w.change),
        payment_key = coalesce(p_reading ->> 'payment_key', w.payment_key),
        order_id = coalesce(p_reading ->> 'order_id', w.order_id),
        occurred_at = coalesce((p_reading ->> 'occurred_at')::timestamptz, w.occurred_at),
        attempts = 0,
        waiting_since = now(),
        next_attempt_at = case when v_status = 'pending' then now() end,
        lease_token = null, lease_until = null
    where w.id = v_before.id;
    if v_status = 'processed' then
      perform supatoss.apply_events(array[v_before.id]);
    end if;
    set constraints all immediate;
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    if v_before.status = 'processed' then
      return jsonb_build_object('event', v_before.id, 'outcome', 'unchanged',
                                'status', v_before.status, 'reason', 'refused_by_database');
    end if;
    update public.webhook_events w
    set status = 'failed', processed = false, processed_at = null, reason = 'refused_by_database',
        last_error = supatoss.describe_refusal(sqlerrm, sqlstate, v_context),
        next_attempt_at = null, lease_token = null, lease_until = null
    where w.id = v_before.id;
  end;

  select * into v_after from public.webhook_events w where w.id = v_before.id;
  insert into supatoss.operator_actions (actor, address, action, event_id, status_before, status_after)
  values (p_actor, left(p_address, 100), 'replay', v_before.id, v_before.status, v_after.status);
  return jsonb_build_object('event', v_after.id, 'outcome', 'replayed',
                            'status', v_after.status, 'reason', v_after.reason);
end;
$$;

-- The row of a reading's order, as replay_webhook_events_v1 shows it before and after: {status, amount, currency}.
create function supatoss.payment_of_reading(p_reading jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  return (
    select jsonb_build_object('status', p.payment_status, 'amount', p.amount::text, 'currency', p.currency)
    from public.payments p
    where p.order_id = coalesce(
      p_reading ->> 'order_id',
      (select w.order_id from public.webhook_events w where w.id = (p_reading ->> 'event')::uuid)));
end;
$$;

-- Records stored events anew, with what is read of them today (see supatoss.replay_event), under the locks of
-- recording. One answer a reading, in order: {event, outcome, status, reason, payment_before, payment_after (see
-- payment_of_reading)}. outcome: replayed; unchanged (its
-- effect stands); in_hand (a worker has it); changed (not as the reading saw it); missing. dry_run does all of it,
-- takes it back, and answers what would have come of it.
create function public.replay_webhook_events_v1(readings text, actor text, dry_run boolean, address text default null)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_readings jsonb[] := array(select e.item from jsonb_array_elements(readings::jsonb)
                              with ordinality as e (item, place) order by e.place);
  v_reading jsonb;
  v_payment jsonb;
  v_outcome jsonb;
  v_outcomes jsonb := '[]'::jsonb;
begin
  perform supatoss.lock_stored_events(
    array(select (r.item ->> 'event')::uuid from unnest(v_readings) as r (item)), v_readings);
  begin
    foreach v_reading in array v_readings loop
      v_payment := supatoss.payment_of_reading(v_reading);
      v_outcome := supatoss.replay_event(v_reading, actor, address);
      -- A statement of its own, which sees what that one wrote.
      v_outcomes := v_outcomes || jsonb_build_array(v_outcome || jsonb_build_object(
        'payment_before', v_payment, 'payment_after', supatoss.payment_of_reading(v_reading)));
    end loop;
    if dry_run then
      raise exception 'dry run' using errcode = 'SUPA1';
    end if;
  exception when sqlstate 'SUPA1' then
    null;  -- The rows are as before; the variable is not.
  end;
  return v_outcomes;
end;
$$;

-- Sets failed and pending events aside: a person says that nothing is to be done about them. Events whose effect
-- counts are left alone, so no money is taken back. event_ids: a JSON array. One answer an id, in order: {event,
-- outcome, status, reason}; outcome: ignored; unchanged (neither failed nor pending); in_hand (a worker has it);
-- missing.
create function public.ignore_webhook_events_v1(
  event_ids text, reason text, actor text, dry_run boolean, address text default null)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
#variable_conflict use_column
declare
  v_ids uuid[] := array(select e.item::uuid from jsonb_array_elements_text(event_ids::jsonb)
                        with ordinality as e (item, place) order by e.place);
  v_id uuid;
  v_event public.webhook_events;
  v_outcome text;
  v_outcomes jsonb := '[]'::jsonb;
  v_reason text := btrim(coalesce($2, ''), E' \t\r\n');
begin
  if length(v_reason) not between 1 and 500 then
    raise exception 'a reason of 1 to 500 characters is needed' using errcode = 'check_violation';
  end if;
  perform supatoss.lock_stored_events(v_ids, array[]::jsonb[]);
  begin
    foreach v_id in array v_ids loop
      select * into v_event from public.webhook_events w where w.id = v_id for update;
      v_outcome := case when not found then 'missing'
                        when v_event.status not in ('pending', 'failed') then 'unchanged'
                        when v_event.lease_until > now() then 'in_hand'
                        else 'ignored' end;
      if v_outcome = 'ignored' then
        insert into supatoss.operator_actions (
          actor, address, action, event_id, reason, status_before, status_after, event_reason_before)
        values ($3, left($5, 100), 'ignore', v_id, v_reason, v_event.status, 'ignored', v_event.reason);
        update public.webhook_events w
        set status = 'ignored', processed = true, processed_at = now(), reason = 'operator',
            last_error = concat_ws(E'\n', w.last_error, format('ignored by %s: %s', $3, v_reason)),
            next_attempt_at = null, lease_token = null, lease_until = null
        where w.id = v_id
        returning w.* into v_event;
      end if;
      v_outcomes := v_outcomes || jsonb_build_array(jsonb_build_object(
        'event', v_id, 'outcome', v_outcome,
        'status', case when v_outcome <> 'missing' then v_event.status end,
        'reason', case when v_outcome <> 'missing' then v_event.reason end));
    end loop;
    if dry_run then
      raise exception 'dry run' using errcode = 'SUPA1';
    end if;
  exception when sqlstate 'SUPA1' then
    null;
  end;
  return v_outcomes;
end;
$$;

-- What the operators' page reads. No function from here on changes anything; none gives out a secret, a billing key,
-- an account or a name.

-- The last p_hours hours, up to now: {now, since, hours: [{hour, status, events, deliveries}], types: [{event_type,
-- events, failed}], pending: {events, oldest}, failed: {events, oldest, reasons: [{reason, events}]}, reconciliation:
-- the last run, differences: {open, needs_person}, alerts: [{rule, subject, started_at}], the oldest 20 open ones}.
-- deliveries counts those of events that came first in the hour. Unfinished events are counted up to 1,000: more than
-- that is one number to a person.
create function public.supatoss_ops_overview_v1(p_hours integer)
returns jsonb
language plpgsql stable
set search_path = ''
set timezone = 'UTC'  -- hours begin on whole hours in Korea too
as $$
declare
  v_since timestamptz := date_trunc('hour', now()) - make_interval(hours => least(greatest(p_hours, 1), 168) - 1);
begin
  return (
    with recent as materialized (
      select date_bin('1 hour', w.created_at, v_since) as hour, w.status, w.event_type, count(*) as events,
             sum(w.delivery_count) as deliveries
      from public.webhook_events w
      where w.created_at >= v_since
      group by 1, w.status, w.event_type
    ),
    failed as materialized (
      select w.reason, w.created_at from public.webhook_events w
      where w.status = 'failed' order by w.created_at desc limit 1000
    ),
    pending as materialized (
      select w.created_at from public.webhook_events w
      where w.status = 'pending' order by w.created_at limit 1000
    )
    select jsonb_build_object(
      'now', now(),
      'since', v_since,
      'alerts', (
        select coalesce(jsonb_agg(jsonb_build_object('rule', o.rule, 'subject', o.subject, 'started_at', o.started_at)
                                  order by o.started_at, o.rule, o.subject), '[]'::jsonb)
        from (select a.rule, a.subject, a.started_at from supatoss.alerts a
              where a.ended_at is null order by a.started_at, a.rule, a.subject limit 20) o),
      'reconciliation', (
        select jsonb_build_object(
                 'kind', r.kind, 'status', r.status, 'first_day', r.first_day, 'last_day', r.last_day,
                 'finished_at', r.finished_at, 'incomplete', r.incomplete, 'problem', r.problem)
        from supatoss.reconciliations r order by r.created_at desc limit 1),
      'differences', (
        select jsonb_build_object('open', count(*),
                                  'needs_person', count(*) filter (where f.outcome = 'needs_person'))
        from supatoss.reconciliation_findings f where f.outcome in ('found', 'needs_person')),
      'hours', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'hour', h.hour, 'status', h.status, 'events', h.events, 'deliveries', h.deliveries)
               order by h.hour, h.status), '[]'::jsonb)
        from (select r.hour, r.status, sum(r.events) as events, sum(r.deliveries) as deliveries
              from recent r group by r.hour, r.status) h),
      'types', (
        select coalesce(jsonb_agg(jsonb_build_object('event_type', t.event_type, 'events', t.events, 'failed', t.failed)
                                  order by t.events desc, t.event_type), '[]'::jsonb)
        from (select r.event_type, sum(r.events) as events,
                     coalesce(sum(r.events) filter (where r.status = 'failed'), 0) as failed
              from recent r group by r.event_type order by 2 desc, 1 limit 20) t),
      'pending', (select jsonb_build_object('events', count(*), 'oldest', min(p.created_at)) from pending p),
      'failed', (select jsonb_build_object('events', count(*), 'oldest', min(f.created_at)) from failed f)
                || jsonb_build_object('reasons', (
                     select coalesce(jsonb_agg(jsonb_build_object('reason', n.reason, 'events', n.events)
                                               order by n.events desc, n.reason), '[]'::jsonb)
                     from (select f.reason, count(*) as events from failed f group by f.reason) n))));
end;
$$;

create function supatoss.payment_for_operators(p public.payments)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', p.id, 'order_id', p.order_id, 'payment_key', p.payment_key, 'order_name', p.order_name,
    'amount', p.amount::text, 'balance', p.balance_amount::text, 'currency', p.currency, 'method', p.payment_method,
    'status', p.payment_status, 'requested_at', p.requested_at, 'approved_at', p.approved_at,
    'canceled_at', p.canceled_at, 'settled_at', p.settled_at,
    'due_at', supatoss.parse_time(p.virtual_account ->> 'dueDate'), 'failure_code', p.failure_code,
    'failure_message', p.failure_message, 'receipt_url', p.receipt_url, 'merchant_id', p.merchant_id,
    'created_at', p.created_at, 'updated_at', p.updated_at,
    'asked_amount', p.application_state ->> 'amount', 'asked_currency', p.application_state ->> 'currency')
$$;

create function supatoss.settlement_for_operators(s public.settlements)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'settlement_key', s.settlement_key, 'kind', s.kind, 'status', s.status, 'order_id', s.order_id,
    'payment_key', s.payment_key, 'transaction_key', s.transaction_key, 'seller_id', s.seller_id,
    'reference', s.reference, 'amount', s.amount::text, 'pay_out_amount', s.pay_out_amount::text,
    'fee', s.fee::text, 'currency', s.currency,
    'sold_date', s.sold_date, 'paid_out_date', s.paid_out_date, 'settled_at', s.settled_at,
    'occurred_at', s.occurred_at, 'failure_code', s.failure_code, 'failure_message', s.failure_message)
$$;

-- What find_webhook_events_v1 leaves out of an event, and the rows it is about, as they are now:
-- {transmission, deliveries, payment, settlements, subscriptions}. deliveries: the first and the newest 20 after it,
-- oldest first: [{at, id, sent_at, retried, user_agent, effect}]; effect: see meaning_of_repeat, or create.
create function public.supatoss_ops_rows_v1(p_event_id uuid)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'transmission', jsonb_build_object(
      'id', w.transmission_id, 'time', w.transmission_time, 'retried_count', w.transmission_retried_count),
    'deliveries', jsonb_build_array(jsonb_build_object(
        'at', w.created_at, 'id', w.transmission_id, 'sent_at', w.transmission_time,
        'retried', w.transmission_retried_count, 'user_agent', w.transmission_user_agent, 'effect', 'create'))
      || coalesce(w.later_deliveries, '[]'),
    'payment', (
      select supatoss.payment_for_operators(p) from public.payments p where p.order_id = w.order_id),
    'settlements', (
      select coalesce(jsonb_agg(supatoss.settlement_for_operators(s) order by s.occurred_at, s.settlement_key),
                      '[]'::jsonb)
      from public.settlements s
      where w.change ->> 'kind' = 'settlement' and s.settlement_key = w.change ->> 'settlement_key'),
    'subscriptions', (
      select coalesce(jsonb_agg(s.item order by s.started_at desc), '[]'::jsonb)
      from (
        select jsonb_build_object(
                 'id', s.id, 'customer_key', s.customer_key, 'status', s.status, 'tier', s.tier,
                 'started_at', s.started_at, 'current_period_end', s.current_period_end, 'canceled_at', s.canceled_at,
                 'next_billing_date', s.next_billing_date, 'amount', s.amount::text,
                 'billing_key_issued_at', s.billing_key_issued_at, 'billing_key_deleted_at', s.billing_key_deleted_at,
                 'uses_this_key', s.billing_key = w.change ->> 'billing_key') as item, s.started_at
        from public.subscriptions s
        where w.change ->> 'kind' = 'billing'
          and (s.customer_key = w.change ->> 'customer_key' or s.billing_key = w.change ->> 'billing_key')
        order by s.started_at desc limit 20
      ) s))
  from public.webhook_events w where w.id = p_event_id
$$;

-- An order's story: {payment, settlements, events: oldest occurrence first, at most 200, the newest of them, has_more}.
create function public.supatoss_ops_payment_v1(p_order_id text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    with told as (
      select w.* from public.webhook_events w
      where w.order_id = p_order_id
      order by w.occurred_at desc nulls last, w.event_key collate "C" desc limit 201
    ),
    numbered as (
      select t.*, row_number() over (order by t.occurred_at desc nulls last, t.event_key collate "C" desc) as place
      from told t
    )
    select jsonb_build_object(
      'payment', (select supatoss.payment_for_operators(p) from public.payments p where p.order_id = p_order_id),
      'settlements', (
        select coalesce(jsonb_agg(supatoss.settlement_for_operators(s) order by s.occurred_at, s.settlement_key),
                        '[]'::jsonb)
        from (
          select s.* from public.settlements s where s.order_id = p_order_id
          union
          select s.* from public.payments p join public.settlements s on s.payment_key = p.payment_key
          where p.order_id = p_order_id
          limit 50
        ) s),
      'events', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', n.id, 'event_type', n.event_type, 'status', n.status, 'reason', n.reason, 'last_error',
                 n.last_error,
                 'proof', n.proof, 'payment_key', n.payment_key, 'occurred_at', n.occurred_at, 'created_at',
                 n.created_at,
                 'delivery_count', n.delivery_count, 'kind', n.change ->> 'kind', 'payment_status',
                 n.change ->> 'status',
                 'amount', n.change ->> 'amount', 'balance', n.change ->> 'balance', 'currency',
                 n.change ->> 'currency',
                 'method', n.change ->> 'method', 'is_first', n.change ->> 'is_first' = 'true',
                 'failure_code', n.change ->> 'failure_code', 'failure_message', n.change ->> 'failure_message',
                 'settlement_key', n.change ->> 'settlement_key', 'cancels', (
                   select coalesce(jsonb_agg(jsonb_build_object(
                            'key', c.item ->> 'transactionKey', 'amount', c.item ->> 'cancelAmount', 'reason',
                            c.item ->> 'cancelReason',
                            'at', c.item ->> 'canceledAt', 'status', c.item ->> 'cancelStatus')
                            order by c.item ->> 'canceledAt'),
                          '[]'::jsonb)
                   from jsonb_array_elements(case jsonb_typeof(n.change -> 'cancels') when 'array'
                                             then n.change -> 'cancels'
                                             else '[]'::jsonb end) as c (item)))
               order by n.place desc), '[]'::jsonb)
        from numbered n where n.place <= 200),
      'has_more', exists (select 1 from numbered n where n.place > 200)));
end;
$$;

select supatoss.close_functions();
