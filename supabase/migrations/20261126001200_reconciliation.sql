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
  phase text not null default 'list' check (phase in ('list', 'compare', 'ask', 'repair')),
  position text,
  listed bigint not null default 0,
  compared bigint not null default 0,
  orders_asked bigint not null default 0,
  orders_left_out boolean not null default false,
  incomplete jsonb not null default '{}'::jsonb,
  failed_at timestamptz,
  problem text,
  lease_token uuid,
  lease_until timestamptz,
  first_tried_at timestamptz not null default now(),
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
-- One a day, whatever the number of workers.
create unique index if not exists reconciliations_scheduled_key
  on supatoss.reconciliations (kind, first_day) where started_by = 'schedule' and status <> 'abandoned';
create index if not exists reconciliations_created_at_idx on supatoss.reconciliations (created_at desc);

comment on table supatoss.reconciliations is 'Runs that compare Toss''s records of some days with ours.';
comment on column supatoss.reconciliations.first_day is 'A calendar day in Korea, as last_day and day are.';
comment on column supatoss.reconciliations.closes_at is
  'End of the range, fixed when the run began: Toss is never paged over a moving end.';
comment on column supatoss.reconciliations.applies is 'Whether the run repairs what it finds.';
comment on column supatoss.reconciliations.position is 'Where the phase of the day goes on after an interruption.';
comment on column supatoss.reconciliations.orders_asked is
  'How many orders without money were asked for at Toss by their order id.';
comment on column supatoss.reconciliations.orders_left_out is 'Whether a day had more of them than are asked for.';
comment on column supatoss.reconciliations.incomplete is
  'What was not compared, and why: {a key of TOSS_SECRET_KEY: problem}.';
comment on column supatoss.reconciliations.created_at is
  'When it began; an incomplete one that the schedule does again begins again.';
comment on column supatoss.reconciliations.failed_at is 'When a problem broke it off; null when it goes on.';
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
  outcome text not null default 'found' check (
    outcome in ('found', 'repaired', 'needs_person', 'resolved', 'set_aside')),
  reason text,
  event_id uuid,
  action_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint reconciliation_findings_subject_key unique (reconciliation_id, subject)
);
alter table supatoss.reconciliation_findings enable row level security;
revoke all on table supatoss.reconciliation_findings from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.reconciliation_findings to service_role;

create index if not exists reconciliation_findings_open_idx on supatoss.reconciliation_findings (subject)
  where outcome in ('found', 'needs_person', 'set_aside');

comment on table supatoss.reconciliation_findings is
  'Differences between Toss''s records and ours, one a payment or settlement.';
comment on column supatoss.reconciliation_findings.outcome is
  'found and needs_person are open; resolved: it was found again by a later run, or no longer differs; set_aside: an '
  'operator said that nothing is to be done about it.';
comment on column supatoss.reconciliation_findings.updated_at is 'When it was last looked at.';
comment on column supatoss.reconciliation_findings.event_id is 'The event that the repair recorded.';
comment on column supatoss.reconciliation_findings.action_id is 'The operator''s action that set it aside.';

-- The last day of a run's range that it has compared for good: payments, with every key, after the day had ended. Null
-- if there is none.
create function supatoss.last_compared_day(p_run supatoss.reconciliations)
returns date
language sql stable
set search_path = ''
as $$
  select case when p_run.kind = 'payments' and p_run.status = 'finished' and p_run.incomplete = '{}'::jsonb
                   and timezone('Asia/Seoul', p_run.closes_at)::date > p_run.first_day
              then least(p_run.last_day, timezone('Asia/Seoul', p_run.closes_at)::date - 1) end
$$;

-- A run as the service gets it; the lease only with an outcome that lets it go on.
create function supatoss.run_for_client(p_run supatoss.reconciliations, p_outcome text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'outcome', p_outcome, 'id', p_run.id,
    'lease', case when p_outcome in ('opened', 'resumed') then p_run.lease_token end,
    'day', p_run.day, 'phase', p_run.phase, 'position', p_run.position, 'closes_at', p_run.closes_at,
    'listed', p_run.listed, 'compared', p_run.compared, 'orders_asked', p_run.orders_asked,
    'orders_left_out', p_run.orders_left_out, 'incomplete', p_run.incomplete, 'finished_at', p_run.finished_at)
$$;

-- Days in Korea up to last_day that were never compared for good, from the day of the first event: {total, days}, days
-- being the newest max_days of them, newest first.
create function public.supatoss_uncompared_days_v1(last_day text, max_days integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  with first_event as (
    -- Events that an adopted inbox had before are another's to answer for.
    select timezone('Asia/Seoul', min(w.created_at))::date as day from public.webhook_events w
    where w.created_at >= coalesce((select t.adopted_at from supatoss.adopted_tables t
                                    where t.table_name = 'public.webhook_events'), '-infinity')
  ),
  compared as (
    select distinct d.day::date as day
    from supatoss.reconciliations r
    cross join lateral generate_series(r.first_day, supatoss.last_compared_day(r), interval '1 day') as d (day)
  ),
  uncompared as (
    select d.day::date as day, row_number() over (order by d.day desc) as place
    from first_event f
    cross join lateral generate_series(f.day, $1::date, interval '1 day') as d (day)
    where not exists (select 1 from compared c where c.day = d.day::date)
  )
  select jsonb_build_object(
    'total', count(*),
    'days', coalesce(jsonb_agg(u.day order by u.day desc) filter (where u.place <= max_days), '[]'::jsonb))
  from uncompared u
$$;

-- Begins a run, or goes on with the one that broke off. request: {kind, started_by, first_day, last_day, closes_at,
-- applies, lease_seconds, resume_seconds, retry_seconds}. outcome: opened | resumed (the caller has the lease), busy
-- (somebody else has it); of a scheduled run also done (its day is compared) and later (it broke off within the hour,
-- or it was incomplete within retry_seconds).
create function public.supatoss_open_reconciliation_v1(request text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_request jsonb := request::jsonb;
  v_is_scheduled boolean := v_request ->> 'started_by' = 'schedule';
  v_first_day date := (v_request ->> 'first_day')::date;
  v_run supatoss.reconciliations;
  v_outcome text := 'resumed';
begin
  perform pg_advisory_xact_lock(hashtextextended('reconciliations', 20261125));
  -- What a run of last week had listed says nothing about today: it is left, and a new one begins.
  update supatoss.reconciliations r
  set status = 'abandoned', lease_token = null, updated_at = now()
  where r.status = 'running' and (r.lease_until is null or r.lease_until <= now())
    and r.created_at <= now() - make_interval(secs => (v_request ->> 'resume_seconds')::double precision);
  delete from supatoss.reconciliation_transactions t
  using supatoss.reconciliations r where r.id = t.reconciliation_id and r.status = 'abandoned';

  if v_is_scheduled then
    select r.* into v_run from supatoss.reconciliations r
    where v_first_day between r.first_day and supatoss.last_compared_day(r)
    order by r.finished_at desc limit 1;
    if found then
      return supatoss.run_for_client(v_run, 'done');
    end if;
    -- Toss that did not answer about one day would not about the next one.
    select r.* into v_run from supatoss.reconciliations r
    where r.kind = v_request ->> 'kind' and r.started_by = 'schedule' and r.status = 'running'
      and r.failed_at > now() - interval '1 hour'
    order by r.failed_at desc limit 1;
    if found then
      return supatoss.run_for_client(v_run, 'later');
    end if;
  end if;

  select * into v_run from supatoss.reconciliations r
  where r.kind = v_request ->> 'kind' and r.started_by = v_request ->> 'started_by'
    and r.first_day = v_first_day and r.last_day = (v_request ->> 'last_day')::date
    and r.applies = (v_request ->> 'applies')::boolean
    and (r.status = 'running' or (v_is_scheduled and r.status = 'finished'))
  for update;
  if not found then
    v_outcome := 'opened';
    insert into supatoss.reconciliations as r (kind, started_by, first_day, last_day, day, closes_at, applies)
    values (v_request ->> 'kind', v_request ->> 'started_by', v_first_day, (v_request ->> 'last_day')::date,
            v_first_day, (v_request ->> 'closes_at')::timestamptz, (v_request ->> 'applies')::boolean)
    returning * into v_run;
  elsif v_run.status = 'finished' then
    if v_run.finished_at > now() - make_interval(secs => (v_request ->> 'retry_seconds')::double precision) then
      return supatoss.run_for_client(v_run, 'later');
    end if;
    -- It was incomplete, and is done again from its beginning.
    v_outcome := 'opened';
    update supatoss.reconciliations r
    set status = 'running', finished_at = null, day = r.first_day, phase = 'list', position = null, listed = 0,
        compared = 0, orders_asked = 0, orders_left_out = false, incomplete = '{}', created_at = now()
    where r.id = v_run.id;
  elsif v_run.lease_until > now() then
    return supatoss.run_for_client(v_run, 'busy');
  else
    -- What Toss was silent about when the run broke off is asked again.
    update supatoss.reconciliation_findings f set outcome = 'found', reason = null, updated_at = now()
    where f.reconciliation_id = v_run.id and f.outcome = 'needs_person' and f.reason = 'not_answered';
  end if;
  update supatoss.reconciliations r
  set lease_token = gen_random_uuid(), failed_at = null, problem = null, updated_at = now(),
      lease_until = now() + make_interval(secs => (v_request ->> 'lease_seconds')::double precision)
  where r.id = v_run.id
  returning * into v_run;
  return supatoss.run_for_client(v_run, v_outcome);
end;
$$;

-- One step of a run in one transaction: what Toss listed, what was found, and where the run goes on. step: {id,
-- lease, lease_seconds, day, phase, position, compared, orders_asked, orders_left_out, incomplete, ends_day,
-- is_finished}. False when the lease is somebody else's by now. What an earlier run found is open there no longer when
-- it is found again. The very difference that an operator has set aside stays so; another one of its subject is open.
create function public.supatoss_advance_reconciliation_v1(step text, transactions jsonb[], findings jsonb[])
returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_step jsonb := step::jsonb;
  v_id uuid := (v_step ->> 'id')::uuid;
  v_kind text;
  v_listed bigint;
begin
  select r.kind into v_kind from supatoss.reconciliations r
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

  if cardinality(findings) > 0 then
    -- Somebody may be setting aside what is found again here.
    perform pg_advisory_xact_lock(hashtextextended('findings', 20261125));
  end if;
  insert into supatoss.reconciliation_findings as f (
    reconciliation_id, subject, kind, day, payment_key, order_id, transaction_key, ours, theirs, outcome, reason,
    event_id, action_id)
  select v_id, t.item ->> 'subject', t.item ->> 'kind', (t.item ->> 'day')::date, t.item ->> 'payment_key',
         t.item ->> 'order_id', t.item ->> 'transaction_key', t.item -> 'ours', t.item -> 'theirs',
         case when a.action_id is null then t.item ->> 'outcome' else 'set_aside' end, t.item ->> 'reason',
         (t.item ->> 'event_id')::uuid, a.action_id
  -- Two odd rows of Toss's may look alike; the later finding about a subject counts.
  from (
    select distinct on (u.item ->> 'subject') u.item from unnest(findings) with ordinality as u (item, place)
    order by u.item ->> 'subject', u.place desc
  ) t
  left join lateral (
    select g.action_id
    from supatoss.reconciliation_findings g
    join supatoss.reconciliations q on q.id = g.reconciliation_id
    where t.item ->> 'outcome' in ('found', 'needs_person') and g.subject = t.item ->> 'subject'
      and g.outcome = 'set_aside' and g.kind = t.item ->> 'kind' and g.ours = t.item -> 'ours'
      and g.theirs = t.item -> 'theirs' and q.kind = v_kind
    limit 1
  ) a on true
  on conflict (reconciliation_id, subject) do update set
    kind = excluded.kind, day = excluded.day, payment_key = excluded.payment_key, order_id = excluded.order_id,
    transaction_key = excluded.transaction_key, ours = excluded.ours, theirs = excluded.theirs,
    outcome = excluded.outcome, reason = excluded.reason, event_id = excluded.event_id,
    action_id = excluded.action_id, updated_at = now();
  update supatoss.reconciliation_findings f set outcome = 'resolved', updated_at = now()
  from supatoss.reconciliations r
  where f.subject in (select t.item ->> 'subject' from unnest(findings) as t (item))
    and (f.outcome in ('found', 'needs_person')
         or (f.outcome = 'set_aside' and exists (
               select 1 from supatoss.reconciliation_findings n
               where n.reconciliation_id = v_id and n.subject = f.subject and n.action_id = f.action_id)))
    -- One that is running repairs what it found itself.
    and r.id = f.reconciliation_id and r.id <> v_id and r.kind = v_kind and r.status <> 'running';

  if (v_step ->> 'ends_day')::boolean then
    delete from supatoss.reconciliation_transactions t where t.reconciliation_id = v_id;
  end if;
  update supatoss.reconciliations r
  set day = (v_step ->> 'day')::date, phase = v_step ->> 'phase', position = v_step ->> 'position',
      listed = r.listed + v_listed, compared = (v_step ->> 'compared')::bigint,
      orders_asked = (v_step ->> 'orders_asked')::bigint,
      orders_left_out = (v_step ->> 'orders_left_out')::boolean, incomplete = v_step -> 'incomplete',
      status = case when (v_step ->> 'is_finished')::boolean then 'finished' else r.status end,
      finished_at = case when (v_step ->> 'is_finished')::boolean then now() end,
      lease_until = now() + make_interval(secs => (v_step ->> 'lease_seconds')::double precision), updated_at = now()
  where r.id = v_id;
  return true;
end;
$$;

-- Gives the lease back, so that somebody else can go on at once. problem: why the run broke off, null if the process
-- only stops; the schedule waits for an hour then.
create function public.supatoss_release_reconciliation_v1(reconciliation text, lease text, problem text)
returns void
language sql
set search_path = ''
as $$
  update supatoss.reconciliations r
  set lease_token = null, lease_until = null, updated_at = now(), problem = left($3, 500),
      failed_at = case when $3 is not null then now() end
  where r.id = $1::uuid and r.lease_token = $2::uuid
$$;

-- Findings of a run after a subject, by subject.
create function public.supatoss_read_reconciliation_findings_v1(
  reconciliation text, after_subject text, of_outcome text, max_findings integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(f) - array['id', 'reconciliation_id', 'action_id', 'created_at', 'updated_at']
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
      'merchant_id', p.merchant_id, 'refund_status', p.virtual_account ->> 'refundStatus') as row
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

-- Payments after a subject, by subject: those that Toss lists for the day, and those of ours that moved money in it. An
-- order that costs nothing is paid without Toss.
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
    where supatoss.is_moved(p.payment_status) and p.amount <> 0
      and coalesce(p.approved_at, p.created_at) >= $2::timestamptz
      and coalesce(p.approved_at, p.created_at) < $3::timestamptz + supatoss.old_shift()
      and (supatoss.old_shift() = interval '0'
           or coalesce(supatoss.read_time(to_jsonb(p), 'approved_at'), supatoss.read_time(to_jsonb(p), 'created_at'))
              between $2::timestamptz and $3::timestamptz - interval '1 microsecond')
    union
    select p.payment_key from public.payments p
    where supatoss.is_moved(p.payment_status) and p.amount <> 0
      and p.canceled_at >= $2::timestamptz and p.canceled_at < $3::timestamptz + supatoss.old_shift()
      and (supatoss.old_shift() = interval '0'
           or supatoss.read_time(to_jsonb(p), 'canceled_at')
              between $2::timestamptz and $3::timestamptz - interval '1 microsecond')
    union
    select p.payment_key from public.payments p
    -- Whatever recorded a cancel of the day has written the row since then.
    where p.payment_status = 'PARTIAL_CANCELED' and p.cancels is not null
      and p.updated_at >= $2::timestamptz - interval '1 day' and exists (
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

-- The next order ids after one, of rows of these days that never moved money, whatever their status is called, and that
-- Toss did not list either. An order of the last hour may still be on its way.
create function public.supatoss_read_open_orders_v1(
  reconciliation text, day_start text, day_end text, after_order text, max_orders integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(o.order_id order by o.order_id), '[]'::jsonb)
  from (
    select p.order_id::text as order_id from public.payments p
    where not supatoss.is_moved(p.payment_status)
      -- As the index has it: a row without money has no time of approval.
      and coalesce(p.approved_at, p.created_at) >= $2::timestamptz
      and coalesce(p.approved_at, p.created_at) < $3::timestamptz + supatoss.old_shift()
      and supatoss.read_time(to_jsonb(p), 'created_at') < least($3::timestamptz, now() - interval '1 hour')
      and (after_order is null or p.order_id > after_order)
      and not exists (
        select 1 from supatoss.reconciliation_transactions t
        where t.reconciliation_id = $1::uuid and t.order_id = p.order_id)
    order by p.order_id
    limit max_orders
  ) o
$$;

-- Open findings of runs that are over, that were last looked at longer ago than that: those first that have waited
-- longest. As findings, with id and scope (payments or settlements).
create function public.supatoss_read_open_findings_v1(older_than_seconds double precision, max_findings integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(o) - array['reconciliation_id', 'action_id', 'created_at', 'updated_at']
                            order by o.updated_at, o.id), '[]'::jsonb)
  from (
    select f.*, r.kind as scope
    from supatoss.reconciliation_findings f
    join supatoss.reconciliations r on r.id = f.reconciliation_id
    where f.outcome in ('found', 'needs_person') and r.status <> 'running'
      and f.updated_at <= now() - make_interval(secs => older_than_seconds)
    order by f.updated_at, f.id
    limit max_findings
  ) o
$$;

-- Open findings were looked at again: [{id, is_resolved}]. How many no longer differ.
create function public.supatoss_note_findings_v1(reviewed text)
returns integer
language sql
set search_path = ''
as $$
  with noted as (
    update supatoss.reconciliation_findings f
    set outcome = case when n.is_resolved then 'resolved' else f.outcome end,
        reason = case when not n.is_resolved then f.reason end, updated_at = now()
    from jsonb_to_recordset($1::jsonb) as n (id uuid, is_resolved boolean)
    where f.id = n.id and f.outcome in ('found', 'needs_person')
    returning n.is_resolved
  )
  select count(*)::integer from noted n where n.is_resolved
$$;

-- Sets open findings aside: a person says that nothing is to be done about them. No row changes, and a run with repairs
-- leaves them alone. wanted: {ids, day, order_id, payment_key}; what is absent does not narrow. Answers {findings,
-- has_more}, findings being the oldest max_findings with id and scope. dry_run only says which.
create function public.supatoss_ignore_findings_v1(
  wanted text, reason text, actor text, dry_run boolean, max_findings integer, address text default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_wanted jsonb := wanted::jsonb;
  v_reason text := btrim(coalesce($2, ''), E' \t\r\n');
  v_ids uuid[];
begin
  if length(v_reason) not between 1 and 500 then
    raise exception 'a reason of 1 to 500 characters is needed' using errcode = 'check_violation';
  end if;
  -- A run that finds the same at this moment has to see that it is set aside, or to be seen here.
  perform pg_advisory_xact_lock(hashtextextended('findings', 20261125));
  v_ids := array(
    select f.id from supatoss.reconciliation_findings f
    where f.outcome in ('found', 'needs_person')
      and (v_wanted -> 'ids' is null
           or f.id in (select e.item::uuid from jsonb_array_elements_text(v_wanted -> 'ids') as e (item)))
      and (v_wanted ->> 'day' is null or f.day = (v_wanted ->> 'day')::date)
      and (v_wanted ->> 'order_id' is null or f.order_id = v_wanted ->> 'order_id')
      and (v_wanted ->> 'payment_key' is null or f.payment_key = v_wanted ->> 'payment_key')
    order by f.day, f.subject, f.id
    limit $5 + 1
    for update);
  if not $4 then
    with acted as (
      insert into supatoss.operator_actions (actor, address, action, finding_id, reason, status_before, status_after)
      select $3, left($6, 100), 'ignore', f.id, v_reason, f.outcome, 'set_aside'
      from supatoss.reconciliation_findings f where f.id = any (v_ids[:$5])
      returning id, finding_id
    )
    update supatoss.reconciliation_findings f set outcome = 'set_aside', action_id = a.id, updated_at = now()
    from acted a where f.id = a.finding_id;
  end if;
  return jsonb_build_object(
    'findings', (
      select coalesce(jsonb_agg(to_jsonb(o) - array['reconciliation_id', 'action_id', 'created_at', 'updated_at']
                                order by o.day, o.subject, o.id), '[]'::jsonb)
      from (
        select f.*, r.kind as scope
        from supatoss.reconciliation_findings f
        join supatoss.reconciliations r on r.id = f.reconciliation_id
        where f.id = any (v_ids[:$5])
      ) o),
    'has_more', cardinality(v_ids) > $5);
end;
$$;

-- For the operators' page: {runs, findings, open, set_aside, uncompared}. runs: the newest 20, each with the number of
-- its findings, of those repaired and of those open. findings: the newest 100 open ones, of one day unless it is null.
-- open: how many there are of every day. set_aside: the 20 that were set aside last, with actor, why and since.
-- uncompared: as supatoss_uncompared_days_v1, up to yesterday.
create function public.supatoss_ops_reconciliations_v1(p_day text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'runs', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'kind', r.kind, 'started_by', r.started_by, 'first_day', r.first_day, 'last_day', r.last_day,
               'status', r.status, 'applies', r.applies, 'created_at', r.created_at, 'finished_at', r.finished_at,
               'compared', r.compared, 'orders_asked', r.orders_asked, 'incomplete', r.incomplete,
               'problem', r.problem, 'found', f.found, 'repaired', f.repaired, 'open', f.open)
             order by r.created_at desc, r.id), '[]'::jsonb)
      from (select * from supatoss.reconciliations order by created_at desc limit 20) r
      cross join lateral (
        select count(*) as found, count(*) filter (where g.outcome = 'repaired') as repaired,
               count(*) filter (where g.outcome in ('found', 'needs_person')) as open
        from supatoss.reconciliation_findings g where g.reconciliation_id = r.id) f),
    'findings', (
      select coalesce(jsonb_agg(to_jsonb(o) - array['reconciliation_id', 'action_id', 'created_at']
                                order by o.day desc, o.subject), '[]'::jsonb)
      from (
        select f.*, r.kind as scope
        from supatoss.reconciliation_findings f
        join supatoss.reconciliations r on r.id = f.reconciliation_id
        where f.outcome in ('found', 'needs_person') and (p_day is null or f.day = p_day::date)
        order by f.day desc, f.subject
        limit 100
      ) o),
    'open', (select count(*) from supatoss.reconciliation_findings f where f.outcome in ('found', 'needs_person')),
    'set_aside', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'subject', s.subject, 'kind', s.kind, 'day', s.day, 'order_id', s.order_id, 'actor', s.actor,
               'why', s.why, 'since', s.since) order by s.since desc, s.subject), '[]'::jsonb)
      from (
        select f.*, o.actor, o.reason as why, o.created_at as since
        from supatoss.reconciliation_findings f
        join supatoss.operator_actions o on o.id = f.action_id
        where f.outcome = 'set_aside'
        order by o.created_at desc, f.subject
        limit 20
      ) s),
    'uncompared', public.supatoss_uncompared_days_v1(
      (timezone('Asia/Seoul', now())::date - 1)::text, 10))
$$;

-- Makes an order's row what Toss says of one of its payments. repair: {payment_key, order_id, price, event}, event as
-- in record_webhook_events_v1, price as in payment_price. Answers {event, status, reason, error, standing}.
--
-- The fold takes what the application wrote into the row since for the first state. Here Toss has been asked, so:
-- what the row claims about this very payment gives way to Toss's word, recorded as an event;
-- a price that was changed after the money had been accepted at Toss's price goes back to it. A price that no accepted
-- event bears out stays the application's, and the fold reports the mismatch: nothing is marked paid here that it would
-- refuse.
create function supatoss.repair_payment(p_repair jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_event jsonb := p_repair -> 'event';
  v_key text := p_repair ->> 'payment_key';
  v_order text := p_repair ->> 'order_id';
  v_recorded jsonb;
  v_row public.webhook_events;
  v_context text;
begin
  perform supatoss.lock_subjects(array[v_event]);
  begin
    perform 1 from public.payments p where p.order_id = v_order for update;
    update public.payments p
    set projected_price = supatoss.payment_price(p)
    where p.order_id = v_order and p.projected_price = p_repair ->> 'price'
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
    perform supatoss.project_payments(array[v_order], '{}');
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

-- dry_run does all of it, takes it back, and answers what would have come of it.
create function public.supatoss_repair_payment_v1(repair text, dry_run boolean default false)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  v_answer := supatoss.repair_payment(repair::jsonb);
  if dry_run then
    raise exception 'dry run' using errcode = 'SUPA1';
  end if;
  return v_answer;
exception when sqlstate 'SUPA1' then
  return v_answer || '{"event": null}'::jsonb;
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
create function supatoss.repair_settlement(p_repair jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_event jsonb := p_repair -> 'event';
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

-- dry_run as in supatoss_repair_payment_v1.
create function public.supatoss_repair_settlement_v1(repair text, dry_run boolean default false)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  v_answer := supatoss.repair_settlement(repair::jsonb);
  if dry_run then
    raise exception 'dry run' using errcode = 'SUPA1';
  end if;
  return v_answer;
exception when sqlstate 'SUPA1' then
  return v_answer || '{"event": null}'::jsonb;
end;
$$;

-- Open findings of runs that are over: {findings, has_more}, findings being the newest max_findings of a day or of
-- these ids, as supatoss_read_open_findings_v1 has them. wanted: {ids, day}; what is absent does not narrow.
create function public.supatoss_find_open_findings_v1(wanted text, max_findings integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  with found as materialized (
    select f.*, r.kind as scope, row_number() over (order by f.day desc, f.subject, f.id) as place
    from supatoss.reconciliation_findings f
    join supatoss.reconciliations r on r.id = f.reconciliation_id
    where f.outcome in ('found', 'needs_person') and r.status <> 'running'
      and ($1::jsonb -> 'ids' is null
           or f.id in (select e.item::uuid from jsonb_array_elements_text($1::jsonb -> 'ids') as e (item)))
      and ($1::jsonb ->> 'day' is null or f.day = ($1::jsonb ->> 'day')::date)
    order by place
    limit $2 + 1
  )
  select jsonb_build_object(
    'findings', coalesce(jsonb_agg(
        to_jsonb(f) - array['reconciliation_id', 'action_id', 'created_at', 'updated_at', 'place'] order by f.place)
      filter (where f.place <= $2), '[]'::jsonb),
    'has_more', count(*) > $2)
  from found f
$$;

-- An operator had open findings repaired: [{id, outcome, reason, event_id}]. How many were still open.
create function public.supatoss_note_repairs_v1(repaired text, actor text, address text default null)
returns integer
language plpgsql
set search_path = ''
as $$
declare
  v_noted integer;
begin
  perform pg_advisory_xact_lock(hashtextextended('findings', 20261125));
  with tried as (
    select f.id, f.outcome as before, t.outcome, t.reason, t.event_id
    from jsonb_to_recordset($1::jsonb) as t (id uuid, outcome text, reason text, event_id uuid)
    join supatoss.reconciliation_findings f on f.id = t.id
    where f.outcome in ('found', 'needs_person')
    for update of f
  ),
  acted as (
    insert into supatoss.operator_actions (actor, address, action, finding_id, event_id, status_before, status_after)
    select $2, left($3, 100), 'repair', t.id, t.event_id, t.before, t.outcome from tried t
  )
  update supatoss.reconciliation_findings f
  set outcome = t.outcome, reason = t.reason, event_id = coalesce(t.event_id, f.event_id), updated_at = now()
  from tried t where f.id = t.id;
  get diagnostics v_noted = row_count;
  return v_noted;
end;
$$;

select supatoss.close_functions();
