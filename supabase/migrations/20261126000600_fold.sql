-- The fold: an order's payments row is computed from all events recorded for the order, so it does not matter in which
-- order they arrived, or how often. Callers hold the advisory lock of the order (supatoss.lock_subjects).
--
-- Example: an order of 10,000 won. The application wrote its row (PENDING, with a placeholder for the payment key:
-- "cart-7"), and three events were recorded, the last one first:
--
--   occurred  payment  status            says
--   10:01     A        ABORTED           failure_code REJECT_CARD_COMPANY
--   10:02     B        DONE              amount 10000, balance 10000, method 카드, approved_at 10:02
--   10:09     B        PARTIAL_CANCELED  balance 7000, cancels [t1: 3000]
--
-- 1. adopt_payments  What the application wrote becomes the first state of the order.
-- 2. read_events     The events in order of occurrence, attempt by attempt (each payment key is one attempt at paying):
--                    cart-7: PENDING; A: ABORTED; B: DONE, PARTIAL_CANCELED.
-- 3. fold_event      Walks each attempt from its oldest event to its newest and keeps what holds after each. B is DONE,
--                    approved 10:02, balance 10000; then PARTIAL_CANCELED, balance 7000, one cancel, still 카드.
--                    Then finish_attempt adds its cancels and what the application says of it.
-- 4. write_attempts  Rates the attempts by what became of the money. cart-7 and A never moved any (class 0), B holds
--                    some (class 4), so the row shows B: PARTIAL_CANCELED, 10000 KRW, 카드, balance 7000, no failure.
-- 5. judge_events    Marks events that must not count: another amount than the application asked for, a second charge.
--                    Here there is none.
--
-- Steps 2 and 4 are one statement each, however many orders there are. Step 3 is a loop: starting a plan large enough
-- for all of it takes longer than walking the few events of an order. Where an order has hundreds, what the oldest of
-- them come to is kept (…_fold_long_orders.sql), and the walk begins there. (One subject, so one long file.)

-- Whether an ignored event had failed with the project's own function (hook_failed): an operator sets the failure
-- aside, and what the event says stands. One of its tables is made later, so it is read when it is called.
create function supatoss.is_ignored_hook(p_event uuid)
returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce((
    select o.event_reason_before = 'hook_failed' from supatoss.operator_actions o
    where o.event_id = p_event and o.action = 'ignore' order by o.created_at desc limit 1), false);
end;
$$;

-- The events that the fold reads, those that must not count among them: what the application writes may change that.
create view supatoss.payment_events with (security_invoker = true) as
select
  w.id, w.order_id, w.payment_key, w.event_key, w.change,
  w.change ->> 'status' as status,
  case when w.change ->> 'is_first' = 'true' then '-infinity' else w.occurred_at end as occurred_at,
  w.occurred_at as told_at,
  (w.change ->> 'approved_at')::timestamptz as approved_at,
  (w.status = 'processed' and w.reason is null) or w.reason in ('hook_failed', 'operator') as is_accepted
from public.webhook_events w
where w.change ->> 'kind' = 'payment'
  and (w.status = 'processed'
       or (w.status = 'failed' and w.reason in ('amount_mismatch', 'double_charge', 'hook_failed'))
       or (w.status = 'ignored' and w.reason = 'operator' and supatoss.is_ignored_hook(w.id)));
revoke all on table supatoss.payment_events from public, anon, authenticated;
grant select on table supatoss.payment_events to service_role;

-- One event of an attempt. id is null for the application's own row.
create type supatoss.order_event as (
  id uuid, order_id text, attempt text, occurred_at timestamptz, told_at timestamptz, status text, rank integer,
  is_accepted boolean, is_mismatch boolean, approved_at timestamptz, balance numeric, change jsonb, application jsonb);

-- What an attempt at paying for an order has come to.
create type supatoss.attempt as (
  order_id text,
  payment_key text,
  application jsonb,                -- payments.application_state of the order
  status text,
  is_reported boolean,              -- Toss has said something of it
  said jsonb,                       -- the latest value that Toss gave each key of a change
  balances jsonb,                   -- the latest balance with each status
  cancels jsonb,                    -- Toss's Cancel objects by transaction key
  failure_code text,
  failure_message text,
  stated_approved_at timestamptz,   -- approved_at of a change; done_at is when its DONE occurred
  done_at timestamptz,
  stated_canceled_at timestamptz,   -- canceled_at of a change; canceled_at is when its cancel occurred
  canceled_at timestamptz,
  requested_at timestamptz,
  waiting_at timestamptz,           -- when it waited for its deposit last
  moved_at timestamptz,             -- when money moved first, as Toss says
  occurred_at timestamptz,          -- when its latest event occurred, as Toss says
  own jsonb,                        -- what the application says of this attempt, and as of when
  own_at timestamptz);

-- What the oldest events of an order with many come to: those up to a time.
create table supatoss.folded_orders (
  order_id text primary key,
  until timestamptz not null,
  application jsonb,                -- payments.application_state of then: prices are compared with it
  attempts supatoss.attempt[] not null
);
alter table supatoss.folded_orders enable row level security;
revoke all on table supatoss.folded_orders from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.folded_orders to service_role;
comment on table supatoss.folded_orders is
  'What the oldest events of orders with hundreds of events come to, so that not all are read for each new one.';

-- Step 1: takes over what the application wrote since the last fold: it becomes the first state.
create function supatoss.adopt_payments(p_order_ids text[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_due bigint;
  v_written bigint;
begin
  perform supatoss.correct_orders(p_order_ids);
  select count(*) into v_due from public.payments p
  where p.order_id = any (p_order_ids)
    and (p.projected_state is null or p.projected_price is null
         or p.projected_state <> supatoss.payment_state(p) or p.projected_price <> supatoss.payment_price(p));
  if v_due = 0 then
    return;
  end if;
  update public.payments p
  set application_state = coalesce(p.application_state, '{}'::jsonb)
    || case when p.projected_state is null or p.projected_state <> supatoss.payment_state(p) then jsonb_build_object(
         'payment_key', p.payment_key, 'status', p.payment_status,
         'approved_at', p.approved_at, 'canceled_at', p.canceled_at, 'requested_at', p.requested_at,
         'method', p.payment_method, 'receipt_url', p.receipt_url, 'order_name', p.order_name,
         'failure_code', p.failure_code, 'failure_message', p.failure_message, 'adopted_at', now())
       else '{}'::jsonb end
    || case when p.projected_price is null or p.projected_price <> supatoss.payment_price(p) then jsonb_build_object(
         'amount', p.amount, 'currency', p.currency) else '{}'::jsonb end
  where p.order_id = any (p_order_ids)
    and (p.projected_state is null or p.projected_price is null
         or p.projected_state <> supatoss.payment_state(p) or p.projected_price <> supatoss.payment_price(p));
  get diagnostics v_written = row_count;
  if v_written < v_due then
    raise exception 'a trigger on payments keeps the row from being written' using errcode = 'SUPA2';
  end if;
end;
$$;

-- An application may mark its row paid and keep a key that no event names: its placeholder. It means the money that
-- Toss reports first for the order; without this, every such payment would look like a double charge.
create function supatoss.attempt_of_paid_row(p_order_id text, p_application jsonb)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  if exists (
    select 1 from supatoss.payment_events e
    where e.order_id = p_order_id and e.payment_key = p_application ->> 'payment_key'
  ) then
    return null;
  end if;
  return (
    select e.payment_key from supatoss.payment_events e
    where e.order_id = p_order_id and e.payment_key is not null and supatoss.is_moved(e.status)
      and not supatoss.is_mismatch(e.change, p_application)
    order by coalesce(e.approved_at, e.occurred_at), e.payment_key collate "C" limit 1);
end;
$$;

-- Which attempt is meant by an event that names none, by order, where other events of the order tell.
create function supatoss.attempts_of_orders(p_order_ids text[])
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select jsonb_object_agg(o.order_id, coalesce(
      o.only_key, supatoss.attempt_of_paid_row(o.order_id, p.application_state)))
    from (
      select e.order_id, case when count(distinct e.payment_key) = 1 then min(e.payment_key) end as only_key
      from supatoss.payment_events e
      where e.order_id = any (p_order_ids)
      group by e.order_id
    ) o
    left join public.payments p on p.order_id = o.order_id);
end;
$$;

-- As of when the application's word about moved money counts. Its clock may be hours off, and a time without a zone is
-- easily written in the wrong one: it cannot have known anything later than when we read it.
create function supatoss.time_of_paid_row(p_application jsonb)
returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce(
    least(case when p_application ->> 'status' = 'DONE' then (p_application ->> 'approved_at')::timestamptz
               else (p_application ->> 'canceled_at')::timestamptz end,
          (p_application ->> 'adopted_at')::timestamptz),
    '-infinity');
end;
$$;

-- Whether a change says that money moved at another price than the application asked for.
create function supatoss.is_mismatch(p_change jsonb, p_application jsonb)
returns boolean
language plpgsql immutable
set search_path = ''
as $$
begin
  return supatoss.is_moved(p_change ->> 'status') and coalesce(
    (p_change ->> 'amount')::numeric <> (p_application ->> 'amount')::numeric
    or p_change ->> 'currency' <> p_application ->> 'currency', false);
end;
$$;

-- Step 2: the events of these orders in the order of the walk: by attempt, the oldest first. The application's own row
-- is one of them, with the time as of which it counts. p_since: those after it, '-infinity' for all. Two changes at one
-- time with one status are ordered by what they say, so that events with the same change stand side by side.
create function supatoss.read_events(p_order_ids text[], p_since timestamptz)
returns setof supatoss.order_event
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select e.id, e.order_id, e.attempt, e.occurred_at, e.told_at, e.status, e.rank, e.is_accepted, e.is_mismatch,
         e.approved_at, (e.change ->> 'balance')::numeric, e.change, e.application
  from (
    select r.id, r.order_id, r.change, r.status, r.occurred_at, r.told_at, r.approved_at, r.is_accepted,
           supatoss.status_rank(r.status) as rank, p.application_state as application,
           p.application_state is not null and supatoss.is_mismatch(r.change, p.application_state) as is_mismatch,
           coalesce(
             r.payment_key,
             -- Once for all of them, and only where an event names no payment.
             (select supatoss.attempts_of_orders(p_order_ids)) ->> r.order_id,
             p.application_state ->> 'payment_key', 'order:' || r.order_id) collate "C" as attempt
    from supatoss.payment_events r
    -- One look into an index for each event, whatever the planner knows of the table (offset 0).
    left join lateral (
      select q.application_state from public.payments q where q.order_id = r.order_id offset 0) p on true
    where r.order_id = any (p_order_ids)
      and r.told_at > p_since and (r.occurred_at > p_since or p_since = '-infinity')
    union all
    select null, p.order_id, a, a ->> 'status',
           case when supatoss.is_moved(a ->> 'status') then supatoss.time_of_paid_row(a) else '-infinity' end,
           null, null, true, null, a, false,
           coalesce(case when supatoss.is_moved(a ->> 'status') then supatoss.attempt_of_paid_row(p.order_id, a) end,
                    a ->> 'payment_key', 'order:' || p.order_id)
    from public.payments p cross join lateral (select p.application_state) as application (a)
    where p.order_id = any (p_order_ids) and a ->> 'status' is not null
  ) e
  order by e.order_id collate "C", e.attempt, e.occurred_at, e.rank, e.change;
end;
$$;

-- What becomes of status p_current when p_reported comes after it. Nothing leaves CANCELED, and a partial cancel is not
-- taken back, so these two need no order in time. DONE is taken back by a deposit error alone (WAITING_FOR_DEPOSIT).
create function supatoss.next_status(p_current text, p_reported text)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return case
    when p_reported is null then p_current
    when 'CANCELED' in (p_current, p_reported) then 'CANCELED'
    when 'PARTIAL_CANCELED' in (p_current, p_reported) then 'PARTIAL_CANCELED'
    when p_current = 'DONE' and p_reported <> 'WAITING_FOR_DEPOSIT' then 'DONE'
    -- No payment goes back to where it began, or waits after its end: an answer that says so lags.
    when p_reported = 'READY' then coalesce(p_current, 'READY')
    when p_reported = 'IN_PROGRESS' then coalesce(nullif(p_current, 'READY'), 'IN_PROGRESS')
    when p_reported = 'WAITING_FOR_DEPOSIT' and p_current in ('ABORTED', 'EXPIRED', 'FAILED') then p_current
    else p_reported
  end;
end;
$$;

-- Step 3: an attempt after one more event.
create function supatoss.fold_event(a supatoss.attempt, e supatoss.order_event)
returns supatoss.attempt
language plpgsql stable
set search_path = ''
as $$
declare
  v_happened_at timestamptz := nullif(e.occurred_at, '-infinity');
begin
  if e.id is null then
    a.own := e.change;
    a.own_at := e.occurred_at;
    return a;
  end if;
  a.is_reported := true;
  a.status := supatoss.next_status(a.status, e.status);
  if a.status = 'WAITING_FOR_DEPOSIT' and e.status = a.status then
    -- After a deposit error the deposit before it counts no more.
    a.waiting_at := e.occurred_at;
    a.stated_approved_at := null;
    a.done_at := null;
    a.stated_canceled_at := null;
    a.canceled_at := null;
  elsif supatoss.is_moved(e.status) then
    if e.change ->> 'was_approved' = 'false' then
      -- An account was cancelled without a deposit: the one before was taken back.
      a.stated_approved_at := null;
      a.done_at := null;
    end if;
    a.moved_at := coalesce(a.moved_at, e.occurred_at);
    a.stated_approved_at := coalesce(e.approved_at, a.stated_approved_at);
    if e.status = 'DONE' then
      a.done_at := coalesce(a.done_at, v_happened_at);
    else
      a.stated_canceled_at := greatest(a.stated_canceled_at, (e.change ->> 'canceled_at')::timestamptz);
      a.canceled_at := coalesce(v_happened_at, a.canceled_at);
    end if;
  end if;
  if e.status = a.status then
    a.failure_code := e.change ->> 'failure_code';
    a.failure_message := e.change ->> 'failure_message';
  end if;
  a.occurred_at := greatest(e.told_at, a.occurred_at);
  a.requested_at := least(a.requested_at, (e.change ->> 'requested_at')::timestamptz);
  a.said := a.said || supatoss.known_values(case when e.change ? 'cancels' then e.change - 'cancels' else e.change end);
  if e.balance is not null and e.status is not null then
    a.balances := a.balances || jsonb_build_object(e.status, e.balance);
  end if;
  return a;
end;
$$;

-- The last of step 3: an attempt with its cancels (see gather_cancels), and with what the application says of it. Where
-- it says that money moved and Toss has reported none, its word counts, until Toss says later that a deposit is waited
-- for. Where Toss has, it fills gaps.
create function supatoss.finish_attempt(a supatoss.attempt, p_cancels jsonb[])
returns supatoss.attempt
language plpgsql stable
set search_path = ''
as $$
declare
  v_is_moved boolean := coalesce(supatoss.is_moved(a.own ->> 'status'), false);
  v_is_taken_back boolean := coalesce(a.waiting_at > a.own_at, false);
begin
  if p_cancels <> '{}' then
    a.cancels := supatoss.gather_cancels(a.cancels, p_cancels);
  end if;
  if a.own is null then
    return a;
  end if;
  if a.status is null or (v_is_moved and a.moved_at is null and not v_is_taken_back) then
    a.status := a.own ->> 'status';
    a.failure_code := a.own ->> 'failure_code';
    a.failure_message := a.own ->> 'failure_message';
  end if;
  if v_is_moved and not v_is_taken_back then
    a.stated_approved_at := coalesce(a.stated_approved_at, a.done_at, (a.own ->> 'approved_at')::timestamptz);
    a.stated_canceled_at := coalesce(a.stated_canceled_at, a.canceled_at, (a.own ->> 'canceled_at')::timestamptz);
  end if;
  return a;
end;
$$;

-- Steps 2 and 3 for these orders. p_folded: orders among them of which the oldest events are folded already. p_until:
-- events after it, and the application's row, are left out; 'infinity' for none. long_orders: those with more than 200
-- events, 32 cancels counted as one more. rest: about how many of the newest make 100 of these.
create function supatoss.walk_events(
  p_order_ids text[], p_folded supatoss.folded_orders[], p_until timestamptz,
  out attempts supatoss.attempt[], out needs_judging boolean, out long_orders text[], out rest integer)
language plpgsql stable
set search_path = ''
as $$
declare
  v_event supatoss.order_event;
  v_attempt supatoss.attempt;
  v_cancels jsonb[] := '{}';
  v_told jsonb;
  v_last supatoss.order_event;
  v_events integer := 0;
  v_weight integer := 0;
begin
  attempts := '{}';
  needs_judging := false;
  long_orders := '{}';
  rest := 100;
  for v_event in
    select * from supatoss.read_events(p_order_ids, '-infinity')
    union all
    select e.* from unnest(p_folded) f cross join lateral supatoss.read_events(array[f.order_id], f.until) e
  loop
    continue when p_until < 'infinity' and (v_event.id is null or v_event.occurred_at > p_until);
    if (v_event.order_id, v_event.attempt) is distinct from (v_attempt.order_id, v_attempt.payment_key) then
      if v_attempt.order_id is not null then
        attempts := attempts || supatoss.finish_attempt(v_attempt, v_cancels);
      end if;
      if v_event.order_id is distinct from v_attempt.order_id then
        v_events := 0;
        v_weight := 0;
      end if;
      v_cancels := '{}';
      v_last := null;
      v_attempt := null;
      if p_folded <> '{}' then
        select a.* into v_attempt from unnest(p_folded) f cross join lateral unnest(f.attempts) a
        where a.order_id = v_event.order_id and a.payment_key = v_event.attempt;
      end if;
      if v_attempt.order_id is null then
        v_attempt.order_id := v_event.order_id;
        v_attempt.payment_key := v_event.attempt;
        v_attempt.application := v_event.application;
        v_attempt.is_reported := false;
        v_attempt.said := '{}';
        v_attempt.balances := '{}';
      end if;
    end if;
    v_events := v_events + 1;
    v_told := v_event.change -> 'cancels';
    if jsonb_typeof(v_told) is distinct from 'array' then
      v_told := '[]';
    end if;
    v_weight := v_weight + 1 + jsonb_array_length(v_told) / 32;
    if v_weight > 200 then
      if v_event.order_id <> all (long_orders) then
        long_orders := long_orders || v_event.order_id;
      end if;
      rest := least(rest, 100 * v_events / v_weight);
    end if;
    if v_event.is_mismatch then
      needs_judging := true;
    else
      needs_judging := needs_judging or not v_event.is_accepted;
      if v_event.occurred_at is not distinct from v_last.occurred_at
         and v_event.rank is not distinct from v_last.rank then
        -- Two reports of one moment: the earlier approval and the lower balance count.
        v_event.approved_at := least(v_event.approved_at, v_last.approved_at);
        v_event.balance := least(v_event.balance, v_last.balance);
      end if;
      v_last := v_event;
      v_attempt := supatoss.fold_event(v_attempt, v_event);
      -- Toss tells all cancels of a payment with each event: most say the same as the one before.
      if v_told <> '[]' and v_told is distinct from v_cancels[cardinality(v_cancels)] then
        v_cancels := v_cancels || v_told;
      end if;
    end if;
  end loop;
  if v_attempt.order_id is not null then
    attempts := attempts || supatoss.finish_attempt(v_attempt, v_cancels);
  end if;
  if p_folded <> '{}' then
    attempts := attempts || array(
      select a from unnest(p_folded) f cross join lateral unnest(f.attempts) a
      where (a.order_id, a.payment_key) not in (select b.order_id, b.payment_key from unnest(walk_events.attempts) b));
  end if;
end;
$$;

-- What a change says: its values without nulls.
create function supatoss.known_values(p_change jsonb)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
  if p_change @? '$.* ? (@ == null)' then
    return (select jsonb_object_agg(c.key, c.value) from jsonb_each(p_change) c where c.value <> 'null');
  end if;
  return p_change;
end;
$$;

-- Cancels by their transaction key; of two that Toss tells of one transaction the later one stays. p_told: the arrays
-- of an attempt's events, in the order of the walk. All at once: adding them one by one would copy them each time.
create function supatoss.gather_cancels(p_cancels jsonb, p_told jsonb[])
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  v_told jsonb := p_told[1];
begin
  if cardinality(p_told) = 1 and jsonb_array_length(v_told) = 1 then
    v_told := jsonb_build_object(coalesce(v_told -> 0 ->> 'transactionKey', md5((v_told -> 0)::text)), v_told -> 0);
  elsif cardinality(p_told) = 1 then
    select jsonb_object_agg(coalesce(c.item ->> 'transactionKey', md5(c.item::text)), c.item) into v_told
    from jsonb_array_elements(p_told[1]) as c (item);
  else
    select jsonb_object_agg(coalesce(c.item ->> 'transactionKey', md5(c.item::text)), c.item
                            order by t.place, c.place) into v_told
    from unnest(p_told) with ordinality as t (cancels, place)
    cross join lateral jsonb_array_elements(t.cancels) with ordinality as c (item, place);
  end if;
  return coalesce(p_cancels || v_told, p_cancels, v_told);
end;
$$;

-- An amount as the column of payments holds it: many projects have an integer, which PostgreSQL would round to.
create function supatoss.fit_amount(p_amount numeric)
returns numeric
language plpgsql stable
set search_path = ''
as $$
declare
  v_column public.payments.amount%type;
begin
  if pg_typeof(v_column) = 'integer'::regtype and abs(p_amount) >= 2147483648 then
    raise exception 'the amount % does not fit into the column payments.amount (integer): change its type to numeric,'
      ' then replay the event', p_amount using errcode = 'numeric_value_out_of_range';
  end if;
  v_column := p_amount;
  if v_column <> p_amount then
    raise exception 'the amount % does not fit into the column payments.amount (%), which would make it %: change its'
      ' type to numeric, then replay the event', p_amount, pg_typeof(v_column), v_column
      using errcode = 'numeric_value_out_of_range';
  end if;
  return p_amount;
end;
$$;

-- Step 4: writes the row of each order, and answers with the attempts that hold money beside the one it shows:
-- [{order_id, payment_key}]. Null when the application has inserted one of the rows since they were read: its row is
-- left as it is, and the orders have to be folded again.
create function supatoss.write_attempts(p_attempts supatoss.attempt[])
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_due bigint;
  v_written bigint;
  v_doubles jsonb;
begin
  with summed as (
    select a.*, supatoss.is_moved(a.status) as is_moved, coalesce(a.stated_approved_at, a.done_at) as approved_at,
           case when a.status = 'PARTIAL_CANCELED' then coalesce(
             (a.balances ->> 'PARTIAL_CANCELED')::numeric, supatoss.balance_after(a.said ->> 'amount', a.cancels))
           end as left_balance
    from unnest(p_attempts) a
    where a.status is not null
    offset 0  -- once an attempt
  ),
  rated as (
    select s.*,
           case s.status
             when 'CANCELED' then 0
             -- Nobody has said what a partial cancel left: at most what was known before.
             when 'PARTIAL_CANCELED' then coalesce(s.left_balance, (s.balances ->> 'DONE')::numeric,
                                                   (s.said ->> 'amount')::numeric)
             when 'DONE' then coalesce((s.balances ->> 'DONE')::numeric, (s.said ->> 'amount')::numeric)
           end as balance,
           case
             -- Holds money, may hold a rest of it, held money, may have held or waits for it, never did.
             when s.status = 'DONE' or (s.status = 'PARTIAL_CANCELED' and s.left_balance > 0) then 4
             when s.status = 'PARTIAL_CANCELED' and s.left_balance is null then 3
             when s.is_moved and s.approved_at is not null then 2
             when s.is_moved or s.status = 'WAITING_FOR_DEPOSIT' then 1
             else 0
           end as class
    from summed s
  ),
  placed as (
    -- A failed attempt never hides a paid one. Of two paid ones the first counts and the other is a double charge.
    select r.*, row_number() over (
             partition by r.order_id
             order by r.class desc, case when r.class = 4 then coalesce(r.approved_at, '-infinity') end,
                      case when r.class = 4 then r.moved_at end, r.is_reported desc,
                      coalesce(r.occurred_at, r.own_at, '-infinity') desc, r.payment_key collate "C") as place
    from rated r
  ),
  shown as (
    -- The application's name and price go before those that Toss reports.
    select
      s.order_id, s.payment_key,
      left(coalesce(s.application ->> 'order_name', s.said ->> 'order_name', s.order_id), 100) as order_name,
      supatoss.fit_amount(coalesce(s.application ->> 'amount', s.said ->> 'amount', '0')::numeric) as amount,
      coalesce(s.application ->> 'currency', s.said ->> 'currency', 'KRW') as currency,
      left(coalesce(s.said ->> 'method', s.application ->> 'method'), 50) as payment_method, s.status as payment_status,
      coalesce(s.requested_at, (s.application ->> 'requested_at')::timestamptz) as requested_at,
      case when s.is_moved then s.approved_at end as approved_at,
      case when s.status = 'CANCELED' or (s.status = 'PARTIAL_CANCELED' and s.balance = 0)
        then coalesce(s.stated_canceled_at, s.canceled_at) end as canceled_at,
      case when s.class = 0 then s.failure_code end as failure_code,
      case when s.class = 0 then s.failure_message end as failure_message,
      coalesce(s.said ->> 'receipt_url', s.application ->> 'receipt_url') as receipt_url,
      case when jsonb_typeof(s.said -> 'metadata') = 'object' then s.said -> 'metadata' end as metadata,
      s.balance as balance_amount,
      case when s.cancels is not null then supatoss.list_cancels(s.cancels) end as cancels,
      case when jsonb_typeof(s.said -> 'virtual_account') = 'object' then s.said -> 'virtual_account' end
        as virtual_account,
      s.said ->> 'merchant_id' as merchant_id,
      least((select min(t.settled_at) from public.settlements t where t.payment_key = s.payment_key),
            (select min(t.settled_at) from public.settlements t where t.order_id = s.order_id)) as settled_at,
      s.occurred_at, s.application as application_state
    from placed s
    where s.place = 1
  ),
  digested as (
    select s.*,
           supatoss.state_digest(s.payment_key, s.payment_status, s.approved_at, s.canceled_at, s.requested_at,
                                 s.payment_method, s.receipt_url, s.order_name, s.failure_code, s.failure_message)
             as projected_state,
           supatoss.price_text(s.amount, s.currency) as projected_price
    from shown s
    offset 0  -- once a row
  ),
  due as (
    select s.* from digested s
    -- One look into an index for each order, whatever the planner knows of the table (offset 0).
    left join lateral (select * from public.payments r where r.order_id = s.order_id offset 0) p on true
    where p.order_id is null
       or (p.payment_key, p.order_name, p.amount, p.currency, p.payment_method, p.payment_status, p.requested_at,
           p.approved_at, p.canceled_at, p.failure_code, p.failure_message, p.receipt_url, p.balance_amount, p.cancels,
           p.virtual_account, p.merchant_id, p.settled_at, p.occurred_at, p.projected_state, p.projected_price)
          is distinct from
          (s.payment_key, s.order_name, s.amount, s.currency, s.payment_method, s.payment_status, s.requested_at,
           s.approved_at, s.canceled_at, s.failure_code, s.failure_message, s.receipt_url, s.balance_amount, s.cancels,
           s.virtual_account, s.merchant_id, s.settled_at, s.occurred_at, s.projected_state, s.projected_price)
  ),
  written as (
    insert into public.payments as p (
      order_id, payment_key, order_name, amount, currency, payment_method, payment_status, requested_at, approved_at,
      canceled_at, failure_code, failure_message, receipt_url, metadata, balance_amount, cancels, virtual_account,
      merchant_id, settled_at, occurred_at, application_state, projected_state, projected_price)
    select * from due
    on conflict (order_id) do update set
      payment_key = excluded.payment_key, order_name = excluded.order_name, amount = excluded.amount,
      currency = excluded.currency, payment_method = excluded.payment_method, payment_status = excluded.payment_status,
      requested_at = excluded.requested_at, approved_at = excluded.approved_at, canceled_at = excluded.canceled_at,
      failure_code = excluded.failure_code, failure_message = excluded.failure_message,
      receipt_url = excluded.receipt_url, metadata = coalesce(p.metadata, excluded.metadata),
      balance_amount = excluded.balance_amount, cancels = excluded.cancels, virtual_account = excluded.virtual_account,
      merchant_id = excluded.merchant_id, settled_at = excluded.settled_at, occurred_at = excluded.occurred_at,
      projected_state = excluded.projected_state, projected_price = excluded.projected_price, updated_at = now()
    -- Both are null in a row that no fold has seen; application_state differs where the application's insert has taken
    -- over the row that was read.
    where (p.projected_state is not null or p.application_state is not null)
      and p.application_state is not distinct from excluded.application_state
    returning 1
  )
  select (select count(*) from due), (select count(*) from written),
         jsonb_agg(jsonb_build_object('order_id', p.order_id, 'payment_key', p.payment_key))
           filter (where p.class = 4 and p.place > 1)
  into v_due, v_written, v_doubles
  from placed p;
  if v_written < v_due then
    if not exists (
      select 1 from unnest(p_attempts) a join public.payments p on p.order_id = a.order_id
      where (p.projected_state is null and p.application_state is null)
         or p.application_state is distinct from a.application
    ) then
      raise exception 'a trigger on payments keeps the row from being written' using errcode = 'SUPA2';
    end if;
    return null;
  end if;
  return coalesce(v_doubles, '[]');
end;
$$;

-- Toss's Cancel objects, oldest first.
create function supatoss.list_cancels(p_cancels jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_cancels jsonb := jsonb_path_query_array(p_cancels, '$.*');
begin
  if jsonb_array_length(v_cancels) = 1 then
    return v_cancels;
  end if;
  return (
    select jsonb_agg(c.value order by c.value ->> 'canceledAt' collate "C", c.key collate "C")
    from jsonb_each(p_cancels) c);
end;
$$;

-- What these cancels leave of an amount; null where nobody has said either.
create function supatoss.balance_after(p_amount text, p_cancels jsonb)
returns numeric
language plpgsql immutable
set search_path = ''
as $$
declare
  v_left numeric;
  v_canceled numeric;
begin
  select sum((c.value ->> 'cancelAmount')::numeric) into v_canceled
  from jsonb_each(p_cancels) c where coalesce(c.value ->> 'cancelStatus', 'DONE') = 'DONE';
  v_left := p_amount::numeric - v_canceled;
  return case when v_left > 0 then v_left when v_canceled > 0 then 0 end;
end;
$$;

-- Step 5: says of each event whether it counts. p_doubles: see write_attempts. Rows are looked up by their indexes,
-- whatever the planner knows of the tables (= any, offset 0).
create function supatoss.judge_events(p_order_ids text[], p_doubles jsonb)
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_events supatoss.order_event[] := array(
    select e from supatoss.read_events(p_order_ids, '-infinity') e where e.id is not null);
  v_ids uuid[] := array(select e.id from unnest(v_events) e);
begin
  update public.webhook_events w
  set status = case when v.reason is null then 'processed' else 'failed' end,
      processed = v.reason is null,
      processed_at = case when v.reason is null then now() end,
      reason = v.reason, last_error = v.error
  from (
    select e.id,
           case when e.is_mismatch then 'amount_mismatch'
                when d.order_id is not null then 'double_charge' end as reason,
           case when e.is_mismatch then format(
                  'Toss reports %s %s, the application stored %s %s for this order', e.change ->> 'amount',
                  e.change ->> 'currency', e.application ->> 'amount', e.application ->> 'currency')
                when d.order_id is not null then format(
                  'order %s is paid twice: this is payment %s, the first was %s', e.order_id, e.attempt, p.payment_key)
           end as error
    from unnest(v_events) e
    left join jsonb_to_recordset(p_doubles) as d (order_id text, payment_key text)
      on d.order_id = e.order_id and d.payment_key = e.attempt and supatoss.is_moved(e.status)
    left join lateral (
      select q.payment_key from public.payments q where q.order_id = d.order_id offset 0) p on true
  ) v
  where w.id = any (v_ids) and w.id = v.id
    and (w.status, w.reason) is distinct from (case when v.reason is null then 'processed' else 'failed' end, v.reason)
    and (v.reason is not null or coalesce(w.reason, '') not in ('hook_failed', 'operator'));
  -- Money that must not count would look as if it did.
  if exists (
    select 1 from public.webhook_events w
    where w.id = any (array(select e.id from unnest(v_events) e where e.is_mismatch)) and w.status = 'processed'
  ) then
    raise exception 'a trigger on webhook_events keeps the event from being marked as failed' using errcode = 'SUPA2';
  end if;
end;
$$;

-- Steps 2 to 5 for these orders. False when the application has inserted one of the rows meanwhile.
create function supatoss.fold_orders(p_order_ids text[], p_ids uuid[])
returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_whole text[] := p_order_ids;
  v_folded supatoss.folded_orders[] := '{}';
  v_walk record;
  v_doubles jsonb;
begin
  if exists (select from supatoss.folded_orders f where f.order_id = any (p_order_ids)) then
    perform supatoss.forget_folded(p_ids);
    v_folded := supatoss.find_folded(p_order_ids);
    v_whole := array(select o.order_id from unnest(p_order_ids) as o (order_id)
                     where o.order_id not in (select f.order_id from unnest(v_folded) f));
  end if;
  v_walk := supatoss.walk_events(v_whole, v_folded, 'infinity');
  v_doubles := supatoss.write_attempts(v_walk.attempts);
  if v_doubles is null then
    return false;
  end if;
  if v_walk.needs_judging or v_doubles <> '[]' then
    perform supatoss.judge_events(p_order_ids, v_doubles);
  end if;
  if v_walk.long_orders <> '{}' then
    perform supatoss.fold_oldest(v_walk.long_orders, v_folded, v_walk.rest);
  end if;
  return true;
end;
$$;

-- Folds every event of these orders into their payments rows, and says of each event whether it could count. p_ids: new
-- events, and those that were read anew.
create function supatoss.project_payments(p_order_ids text[], p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_known text[];
  v_order_ids text[] := p_order_ids;
  v_has_hook boolean :=
    to_regprocedure('public.on_payment_changed(text, public.payments, public.payments)') is not null;
begin
  -- The application writes these rows too: keep it out between reading and writing.
  v_known := array(
    select p.order_id::text from public.payments p where p.order_id = any (p_order_ids) order by p.order_id for update);
  if v_has_hook then
    perform supatoss.remember_payments(p_order_ids);
  end if;
  if v_known <> '{}' then
    perform supatoss.adopt_payments(p_order_ids);
  end if;
  if cardinality(v_known) < cardinality(p_order_ids) then
    v_order_ids := supatoss.write_first_events(p_order_ids, v_known, p_ids);
  end if;
  if v_order_ids <> '{}' and not supatoss.fold_orders(v_order_ids, p_ids) then
    perform supatoss.project_payments(p_order_ids, p_ids);
  elsif v_has_hook then
    perform supatoss.announce_payments(p_order_ids);
  end if;
end;
$$;

select supatoss.close_functions();
