-- (One subject, so one long file.)
-- Runs that compare Toss's records with ours: where each run stands, what Toss listed for its day, and what was found.
create table if not exists supatoss.reconciliations (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('payments', 'settlements')),
  started_by text not null check (started_by in ('operator', 'schedule')),
  first_day date not null,
  last_day date not null,
  closes_at timestamptz not null,
  applies boolean not null default false,
  status text not null default 'running' check (status in ('running', 'finished', 'abandoned')),
  day date not null,
  phase text not null default 'list' check (phase in ('list', 'compare', 'repair')),
  position text,
  listed bigint not null default 0,
  compared bigint not null default 0,
  lease_token uuid,
  lease_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint reconciliations_days_check check (first_day <= day and day <= last_day)
);
alter table supatoss.reconciliations enable row level security;
revoke all on table supatoss.reconciliations from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.reconciliations to service_role;

create unique index if not exists reconciliations_running_key
  on supatoss.reconciliations (kind, first_day, last_day, applies) where status = 'running' and started_by = 'operator';
-- Once a day, whatever the number of workers.
create unique index if not exists reconciliations_scheduled_key
  on supatoss.reconciliations (kind, first_day) where started_by = 'schedule';
create index if not exists reconciliations_created_at_idx on supatoss.reconciliations (created_at desc);

comment on table supatoss.reconciliations is 'Runs that compare Toss''s records of some days with ours.';
comment on column supatoss.reconciliations.first_day is 'A calendar day in Korea, as last_day and day are.';
comment on column supatoss.reconciliations.closes_at is
  'End of the range, fixed when the run began: Toss is never paged over a moving end.';
comment on column supatoss.reconciliations.applies is 'Whether the run repairs what it finds.';
comment on column supatoss.reconciliations.position is 'Where the phase of the day goes on after an interruption.';
comment on column supatoss.reconciliations.lease_token is 'Who works on the run; every step takes this token.';

-- The transactions that Toss lists for the day a run is at; gone when the day is done.
create table if not exists supatoss.reconciliation_transactions (
  reconciliation_id uuid not null references supatoss.reconciliations (id) on delete cascade,
  transaction_key text not null,
  subject text not null,
  payment_key text,
  order_id text,
  status text,
  amount numeric,
  currency text,
  transaction_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (reconciliation_id, transaction_key)
);
alter table supatoss.reconciliation_transactions enable row level security;
revoke all on table supatoss.reconciliation_transactions from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.reconciliation_transactions to service_role;

create index if not exists reconciliation_transactions_subject_idx
  on supatoss.reconciliation_transactions (reconciliation_id, subject);
comment on column supatoss.reconciliation_transactions.subject is
  'What the transaction is about: its payment key; order:… or transaction:… where Toss names none.';

create table if not exists supatoss.reconciliation_findings (
  id uuid primary key default gen_random_uuid(),
  reconciliation_id uuid not null references supatoss.reconciliations (id) on delete cascade,
  subject text not null,
  kind text not null check (kind in ('missing', 'extra', 'amount', 'status', 'time', 'double_charge')),
  day date not null,
  payment_key text,
  order_id text,
  transaction_key text,
  ours jsonb not null,
  theirs jsonb not null,
  outcome text not null default 'found' check (outcome in ('found', 'repaired', 'needs_person')),
  reason text,
  event_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint reconciliation_findings_subject_key unique (reconciliation_id, subject)
);
alter table supatoss.reconciliation_findings enable row level security;
revoke all on table supatoss.reconciliation_findings from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.reconciliation_findings to service_role;

comment on table supatoss.reconciliation_findings is
  'Differences between Toss''s records and ours, one a payment or settlement.';
comment on column supatoss.reconciliation_findings.event_id is 'The event that the repair recorded.';

-- Begins a run, or goes on with the one that broke off. request: {kind, started_by, first_day, last_day, closes_at,
-- applies, lease_seconds, resume_seconds}. outcome: opened | resumed (the caller has the lease), busy (somebody else
-- has it), done (a scheduled run that is finished).
create function public.supatoss_open_reconciliation_v1(request text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_request jsonb := request::jsonb;
  v_run supatoss.reconciliations;
  v_outcome text := 'resumed';
begin
  perform pg_advisory_xact_lock(hashtextextended('reconciliations', 20261125));
  -- What a run of last week had listed says nothing about today: it is left, and a new one begins.
  update supatoss.reconciliations r
  set status = 'abandoned', lease_token = null, updated_at = now()
  where r.status = 'running' and r.started_by = 'operator' and (r.lease_until is null or r.lease_until <= now())
    and r.created_at <= now() - make_interval(secs => (v_request ->> 'resume_seconds')::double precision);
  delete from supatoss.reconciliation_transactions t
  using supatoss.reconciliations r where r.id = t.reconciliation_id and r.status = 'abandoned';

  select * into v_run from supatoss.reconciliations r
  where r.kind = v_request ->> 'kind' and r.started_by = v_request ->> 'started_by'
    and r.first_day = (v_request ->> 'first_day')::date and r.last_day = (v_request ->> 'last_day')::date
    and r.applies = (v_request ->> 'applies')::boolean
    and (r.status = 'running' or (r.started_by = 'schedule' and r.status = 'finished'))
  for update;
  if not found then
    v_outcome := 'opened';
    insert into supatoss.reconciliations as r (kind, started_by, first_day, last_day, day, closes_at, applies)
    values (v_request ->> 'kind', v_request ->> 'started_by', (v_request ->> 'first_day')::date,
            (v_request ->> 'last_day')::date, (v_request ->> 'first_day')::date,
            (v_request ->> 'closes_at')::timestamptz, (v_request ->> 'applies')::boolean)
    returning * into v_run;
  elsif v_run.status = 'finished' then
    v_outcome := 'done';
  elsif v_run.lease_until > now() then
    v_outcome := 'busy';
  end if;
  if v_outcome = 'resumed' then
    -- What Toss was silent about when the run broke off is asked again.
    update supatoss.reconciliation_findings f set outcome = 'found', reason = null, updated_at = now()
    where f.reconciliation_id = v_run.id and f.outcome = 'needs_person' and f.reason = 'not_answered';
  end if;
  if v_outcome in ('opened', 'resumed') then
    update supatoss.reconciliations r
    set lease_token = gen_random_uuid(), updated_at = now(),
        lease_until = now() + make_interval(secs => (v_request ->> 'lease_seconds')::double precision)
    where r.id = v_run.id
    returning * into v_run;
  end if;
  return jsonb_build_object(
    'outcome', v_outcome, 'id', v_run.id,
    'lease', case when v_outcome in ('opened', 'resumed') then v_run.lease_token end,
    'day', v_run.day, 'phase', v_run.phase, 'position', v_run.position, 'closes_at', v_run.closes_at,
    'listed', v_run.listed, 'compared', v_run.compared, 'finished_at', v_run.finished_at);
end;
$$;

-- One step of a run in one transaction: what Toss listed, what was found, and where the run goes on. step: {id,
-- lease, lease_seconds, day, phase, position, compared, ends_day, is_finished}. False when the lease is somebody
-- else's by now.
create function public.supatoss_advance_reconciliation_v1(step text, transactions jsonb[], findings jsonb[])
returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_step jsonb := step::jsonb;
  v_id uuid := (v_step ->> 'id')::uuid;
  v_listed bigint;
begin
  perform 1 from supatoss.reconciliations r
  where r.id = v_id and r.lease_token = (v_step ->> 'lease')::uuid and r.status = 'running'
  for update;
  if not found then
    return false;
  end if;
  -- Toss may list a row of a boundary twice; it counts once.
  insert into supatoss.reconciliation_transactions (
    reconciliation_id, transaction_key, subject, payment_key, order_id, status, amount, currency, transaction_at)
  select v_id, t.item ->> 'transaction_key', t.item ->> 'subject', t.item ->> 'payment_key', t.item ->> 'order_id',
         t.item ->> 'status', (t.item ->> 'amount')::numeric, t.item ->> 'currency',
         (t.item ->> 'transaction_at')::timestamptz
  from unnest(transactions) as t (item)
  on conflict (reconciliation_id, transaction_key) do nothing;
  get diagnostics v_listed = row_count;

  insert into supatoss.reconciliation_findings as f (
    reconciliation_id, subject, kind, day, payment_key, order_id, transaction_key, ours, theirs, outcome, reason,
    event_id)
  select v_id, t.item ->> 'subject', t.item ->> 'kind', (t.item ->> 'day')::date, t.item ->> 'payment_key',
         t.item ->> 'order_id', t.item ->> 'transaction_key', t.item -> 'ours', t.item -> 'theirs',
         t.item ->> 'outcome', t.item ->> 'reason', (t.item ->> 'event_id')::uuid
  -- Two odd rows of Toss's may look alike; the later finding about a subject counts.
  from (
    select distinct on (u.item ->> 'subject') u.item from unnest(findings) with ordinality as u (item, place)
    order by u.item ->> 'subject', u.place desc
  ) t
  on conflict (reconciliation_id, subject) do update set
    kind = excluded.kind, day = excluded.day, payment_key = excluded.payment_key, order_id = excluded.order_id,
    transaction_key = excluded.transaction_key, ours = excluded.ours, theirs = excluded.theirs,
    outcome = excluded.outcome, reason = excluded.reason, event_id = excluded.event_id, updated_at = now();

  if (v_step ->> 'ends_day')::boolean then
    delete from supatoss.reconciliation_transactions t where t.reconciliation_id = v_id;
  end if;
  update supatoss.reconciliations r
  set day = (v_step ->> 'day')::date, phase = v_step ->> 'phase', position = v_step ->> 'position',
      listed = r.listed + v_listed, compared = (v_step ->> 'compared')::bigint,
      status = case when (v_step ->> 'is_finished')::boolean then 'finished' else r.status end,
      finished_at = case when (v_step ->> 'is_finished')::boolean then now() end,
      lease_until = now() + make_interval(secs => (v_step ->> 'lease_seconds')::double precision), updated_at = now()
  where r.id = v_id;
  return true;
end;
$$;

-- Gives the lease back, so that somebody else can go on at once.
create function public.supatoss_release_reconciliation_v1(reconciliation text, lease text)
returns void
language sql
set search_path = ''
as $$
  update supatoss.reconciliations r set lease_token = null, lease_until = null, updated_at = now()
  where r.id = $1::uuid and r.lease_token = $2::uuid
$$;

-- Findings of a run after a subject, by subject.
create function public.supatoss_read_reconciliation_findings_v1(
  reconciliation text, after_subject text, of_outcome text, max_findings integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(f) - array['id', 'reconciliation_id', 'created_at', 'updated_at']
                            order by f.subject), '[]'::jsonb)
  from (
    select * from supatoss.reconciliation_findings g
    where g.reconciliation_id = $1::uuid and (after_subject is null or g.subject > after_subject)
      and (of_outcome is null or g.outcome = of_outcome)
    order by g.subject
    limit max_findings
  ) f
$$;

-- How many findings of each kind and outcome a run has: [{kind, outcome, count}].
create function public.supatoss_count_reconciliation_findings_v1(reconciliation text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', c.kind, 'outcome', c.outcome, 'count', c.count)), '[]'::jsonb)
  from (
    select g.kind, g.outcome, count(*) as count from supatoss.reconciliation_findings g
    where g.reconciliation_id = $1::uuid group by g.kind, g.outcome
  ) c
$$;

-- What we hold about one payment of Toss. row: the payments row that shows it, else that of its order. attempt: what
-- the inbox knows of it, where the row does not show it: an attempt that was refunded before the next one is nobody's
-- difference, nor is one that an operator has set aside and refunded.
create function supatoss.payment_standing(p_payment_key text, p_order_id text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'row', r.row,
    'attempt', case when r.row ->> 'payment_key' is distinct from p_payment_key then (
      select jsonb_build_object(
        'is_moved', bool_or(supatoss.is_moved(w.change ->> 'status')),
        'is_canceled', bool_or(w.change ->> 'status' = 'CANCELED'),
        'is_set_aside', bool_or(w.status = 'ignored'),
        'reasons', coalesce(jsonb_agg(distinct w.reason) filter (where w.status = 'failed'), '[]'::jsonb),
        'cancels', coalesce(
          jsonb_agg(w.change -> 'cancels') filter (where jsonb_typeof(w.change -> 'cancels') = 'array'), '[]'::jsonb))
      from public.webhook_events w
      where w.payment_key = p_payment_key and w.change ->> 'kind' = 'payment'
        and (w.status = 'processed' or (w.status = 'ignored' and w.reason = 'operator')
             or (w.status = 'failed' and w.reason in ('amount_mismatch', 'double_charge', 'hook_failed')))
      having count(*) > 0) end)
  from (select 1) one
  left join lateral (
    select jsonb_build_object(
      'order_id', p.order_id, 'payment_key', p.payment_key, 'status', p.payment_status, 'amount', p.amount::text,
      'currency', p.currency, 'balance', p.balance_amount::text,
      'approved_at', supatoss.read_time(to_jsonb(p), 'approved_at'),
      'canceled_at', supatoss.read_time(to_jsonb(p), 'canceled_at'), 'cancels', p.cancels,
      'merchant_id', p.merchant_id) as row
    from public.payments p
    where p.payment_key = p_payment_key or p.order_id = p_order_id
    order by coalesce(p.payment_key = p_payment_key, false) desc
    limit 1
  ) r on true
$$;

create function public.supatoss_read_payment_standing_v1(payment_key text, order_id text)
returns jsonb
language sql stable
set search_path = ''
as $$ select supatoss.payment_standing($1, $2) $$;

-- Payments after a subject, by subject: those that Toss lists for the day, and those of ours that moved money in it.
create function public.supatoss_read_reconciliation_page_v1(
  reconciliation text, day_start text, day_end text, after_subject text, max_subjects integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  with theirs as materialized (
    select t.subject, min(t.payment_key) as payment_key, min(t.order_id) as order_id,
           jsonb_agg(jsonb_build_object(
             'transaction_key', t.transaction_key, 'status', t.status, 'amount', t.amount::text, 'currency', t.currency,
             'transaction_at', t.transaction_at) order by t.transaction_at, t.transaction_key) as transactions
    from supatoss.reconciliation_transactions t
    where t.reconciliation_id = $1::uuid and (after_subject is null or t.subject > after_subject)
    group by t.subject
    order by t.subject
    limit max_subjects
  ),
  ours as materialized (
    select p.payment_key::text as subject from public.payments p
    where supatoss.is_moved(p.payment_status)
      and coalesce(p.approved_at, p.created_at) >= $2::timestamptz
      and coalesce(p.approved_at, p.created_at) < $3::timestamptz + supatoss.old_shift()
      and (supatoss.old_shift() = interval '0'
           or coalesce(supatoss.read_time(to_jsonb(p), 'approved_at'), supatoss.read_time(to_jsonb(p), 'created_at'))
              between $2::timestamptz and $3::timestamptz - interval '1 microsecond')
    union
    select p.payment_key from public.payments p
    where supatoss.is_moved(p.payment_status)
      and p.canceled_at >= $2::timestamptz and p.canceled_at < $3::timestamptz + supatoss.old_shift()
      and (supatoss.old_shift() = interval '0'
           or supatoss.read_time(to_jsonb(p), 'canceled_at')
              between $2::timestamptz and $3::timestamptz - interval '1 microsecond')
    union
    select p.payment_key from public.payments p
    where p.payment_status = 'PARTIAL_CANCELED' and exists (
      select 1 from jsonb_array_elements(case when jsonb_typeof(p.cancels) = 'array' then p.cancels
                                         else '[]'::jsonb end) as c (item)
      where supatoss.parse_time(c.item ->> 'canceledAt') >= $2::timestamptz
        and supatoss.parse_time(c.item ->> 'canceledAt') < $3::timestamptz)
  ),
  both_sides as (
    select t.subject, t.payment_key, t.order_id, t.transactions from theirs t
    union all
    select o.subject, o.subject, null, null from ours o where after_subject is null or o.subject > after_subject
  ),
  page as materialized (
    select b.subject, min(b.payment_key) as payment_key, min(b.order_id) as order_id,
           coalesce((array_agg(b.transactions) filter (where b.transactions is not null))[1],
                    '[]'::jsonb) as transactions
    from both_sides b
    group by b.subject
    order by b.subject
    limit max_subjects
  )
  select coalesce(jsonb_agg(jsonb_build_object(
           'subject', g.subject, 'payment_key', g.payment_key, 'order_id', g.order_id, 'transactions', g.transactions,
           'standing', supatoss.payment_standing(g.payment_key, g.order_id)) order by g.subject), '[]'::jsonb)
  from page g
$$;

-- Makes an order's row what Toss says of one of its payments. repair: {payment_key, order_id, price, event}, event as
-- in record_webhook_events_v1, price as in payment_price. Answers {event, status, reason, error, standing}.
--
-- The fold takes what the application wrote into the row since for the first state. Here Toss has been asked, so:
-- what the row claims about this very payment gives way to Toss's word, recorded as an event;
-- a price that was changed after the money had been accepted at Toss's price goes back to it. A price that no accepted
-- event bears out stays the application's, and the fold reports the mismatch: nothing is marked paid here that it would
-- refuse.
create function public.supatoss_repair_payment_v1(repair text)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_repair jsonb := repair::jsonb;
  v_event jsonb := v_repair -> 'event';
  v_key text := v_repair ->> 'payment_key';
  v_order text := v_repair ->> 'order_id';
  v_recorded jsonb;
  v_row public.webhook_events;
  v_context text;
begin
  perform supatoss.lock_subjects(array[v_event]);
  begin
    perform 1 from public.payments p where p.order_id = v_order for update;
    update public.payments p
    set projected_price = supatoss.payment_price(p)
    where p.order_id = v_order and p.projected_price = v_repair ->> 'price'
      and p.projected_price <> supatoss.payment_price(p)
      and exists (
        select 1 from public.webhook_events w
        where w.payment_key = v_key and w.order_id = v_order
          and (w.status = 'processed' or w.reason = 'hook_failed')
          and supatoss.is_moved(w.change ->> 'status')
          and p.projected_price = supatoss.price_text(
            (w.change ->> 'amount')::numeric, coalesce(w.change ->> 'currency', p.currency)));
    perform supatoss.adopt_payments(array[v_order]);
    update public.payments p
    set application_state = case
          when p.application_state ->> 'payment_key' = v_key
            then p.application_state - array['status', 'approved_at', 'canceled_at', 'failure_code', 'failure_message']
          else p.application_state end,
        projected_state = supatoss.payment_state(p), projected_price = supatoss.payment_price(p)
    where p.order_id = v_order;

    v_recorded := public.record_webhook_events_v1(jsonb_build_array(v_event)::text) -> 0;
    -- What was observed before is a duplicate and folds nothing; the row may have been changed since all the same.
    set constraints all deferred;
    perform supatoss.project_payments(array[v_order]);
    set constraints all immediate;
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    v_recorded := supatoss.record_failure(v_event, supatoss.describe_refusal(sqlerrm, sqlstate, v_context));
    return jsonb_build_object(
      'event', v_recorded -> 'id', 'status', 'failed', 'reason', 'refused_by_database',
      'error', supatoss.describe_refusal(null, sqlstate, v_context),
      'standing', supatoss.payment_standing(v_key, v_order));
  end;
  select * into v_row from public.webhook_events w where w.id = (v_recorded ->> 'id')::uuid;
  return jsonb_build_object(
    'event', v_row.id, 'status', v_row.status, 'reason', v_row.reason, 'error', v_row.last_error,
    'standing', supatoss.payment_standing(v_key, v_order));
end;
$$;

-- Settlements by transaction key or settlement key. keys: JSON array of {transaction_key, settlement_key}.
create function public.supatoss_read_settlements_v1(keys text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'settlement_key', s.settlement_key, 'transaction_key', s.transaction_key, 'amount', s.amount::text,
           'pay_out_amount', s.pay_out_amount::text, 'currency', s.currency)), '[]'::jsonb)
  from public.settlements s
  where s.kind = 'settlement'
    and (s.transaction_key = any (array(select k.item ->> 'transaction_key'
                                        from jsonb_array_elements($1::jsonb) as k (item)))
         or s.settlement_key = any (array(select k.item ->> 'settlement_key'
                                          from jsonb_array_elements($1::jsonb) as k (item))))
$$;

-- Records what Toss says of a settlement, and lets it count whatever the row says now. Answers {event, status,
-- reason, error}.
create function public.supatoss_repair_settlement_v1(repair text)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_event jsonb := repair::jsonb -> 'event';
  v_recorded jsonb;
  v_row public.webhook_events;
  v_context text;
begin
  perform supatoss.lock_subjects(array[v_event]);
  begin
    update public.settlements s set occurred_at = '-infinity'
    where s.settlement_key = v_event -> 'change' ->> 'settlement_key';
    v_recorded := public.record_webhook_events_v1(jsonb_build_array(v_event)::text) -> 0;
    set constraints all deferred;
    perform supatoss.project_settlements(array[(v_recorded ->> 'id')::uuid]);
    set constraints all immediate;
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    v_recorded := supatoss.record_failure(v_event, supatoss.describe_refusal(sqlerrm, sqlstate, v_context));
    return jsonb_build_object(
      'event', v_recorded -> 'id', 'status', 'failed', 'reason', 'refused_by_database',
      'error', supatoss.describe_refusal(null, sqlstate, v_context));
  end;
  select * into v_row from public.webhook_events w where w.id = (v_recorded ->> 'id')::uuid;
  return jsonb_build_object('event', v_row.id, 'status', v_row.status, 'reason', v_row.reason, 'error',
                            v_row.last_error);
end;
$$;

select supatoss.close_functions();
