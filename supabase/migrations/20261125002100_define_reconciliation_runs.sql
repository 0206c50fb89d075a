-- Begins a run, or goes on with the one that broke off. request: {kind, started_by, first_day, last_day, closes_at, applies,
-- lease_seconds, resume_seconds}. outcome: opened | resumed (the caller has the lease), busy (somebody else has it),
-- done (a scheduled run that is finished).
create function public.supatoss_open_reconciliation_v1(request text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_request jsonb := request::jsonb;
  v_run public.reconciliations;
  v_outcome text := 'resumed';
begin
  perform pg_advisory_xact_lock(hashtextextended('reconciliations', 20261125));
  -- What a run of last week had listed says nothing about today: it is left, and a new one begins.
  update public.reconciliations r
  set status = 'abandoned', lease_token = null, updated_at = now()
  where r.status = 'running' and r.started_by = 'operator' and (r.lease_until is null or r.lease_until <= now())
    and r.created_at <= now() - make_interval(secs => (v_request ->> 'resume_seconds')::double precision);
  delete from public.reconciliation_transactions t
  using public.reconciliations r where r.id = t.reconciliation_id and r.status = 'abandoned';

  select * into v_run from public.reconciliations r
  where r.kind = v_request ->> 'kind' and r.started_by = v_request ->> 'started_by'
    and r.first_day = (v_request ->> 'first_day')::date and r.last_day = (v_request ->> 'last_day')::date
    and r.applies = (v_request ->> 'applies')::boolean
    and (r.status = 'running' or (r.started_by = 'schedule' and r.status = 'finished'))
  for update;
  if not found then
    v_outcome := 'opened';
    insert into public.reconciliations as r (kind, started_by, first_day, last_day, day, closes_at, applies)
    values (v_request ->> 'kind', v_request ->> 'started_by', (v_request ->> 'first_day')::date,
            (v_request ->> 'last_day')::date, (v_request ->> 'first_day')::date, (v_request ->> 'closes_at')::timestamptz,
            (v_request ->> 'applies')::boolean)
    returning * into v_run;
  elsif v_run.status = 'finished' then
    v_outcome := 'done';
  elsif v_run.lease_until > now() then
    v_outcome := 'busy';
  end if;
  if v_outcome = 'resumed' then
    -- What Toss was silent about when the run broke off is asked again.
    update public.reconciliation_findings f set outcome = 'found', reason = null, updated_at = now()
    where f.reconciliation_id = v_run.id and f.outcome = 'needs_person' and f.reason = 'not_answered';
  end if;
  if v_outcome in ('opened', 'resumed') then
    update public.reconciliations r
    set lease_token = gen_random_uuid(), updated_at = now(),
        lease_until = now() + make_interval(secs => (v_request ->> 'lease_seconds')::double precision)
    where r.id = v_run.id
    returning * into v_run;
  end if;
  return jsonb_build_object(
    'outcome', v_outcome, 'id', v_run.id, 'lease', case when v_outcome in ('opened', 'resumed') then v_run.lease_token end,
    'day', v_run.day, 'phase', v_run.phase, 'position', v_run.position, 'closes_at', v_run.closes_at,
    'listed', v_run.listed, 'compared', v_run.compared, 'finished_at', v_run.finished_at);
end;
$$;

-- One step of a run in one transaction: what Toss listed, what was found, and where the run goes on. step: {id, lease,
-- lease_seconds, day, phase, position, compared, ends_day, is_finished}. False when the lease is somebody else's by now.
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
  perform 1 from public.reconciliations r
  where r.id = v_id and r.lease_token = (v_step ->> 'lease')::uuid and r.status = 'running'
  for update;
  if not found then
    return false;
  end if;
  -- Toss may list a row of a boundary twice; it counts once.
  insert into public.reconciliation_transactions (
    reconciliation_id, transaction_key, subject, payment_key, order_id, status, amount, currency, transaction_at)
  select v_id, t.item ->> 'transaction_key', t.item ->> 'subject', t.item ->> 'payment_key', t.item ->> 'order_id',
         t.item ->> 'status', (t.item ->> 'amount')::numeric, t.item ->> 'currency', (t.item ->> 'transaction_at')::timestamptz
  from unnest(transactions) as t (item)
  on conflict (reconciliation_id, transaction_key) do nothing;
  get diagnostics v_listed = row_count;

  insert into public.reconciliation_findings as f (
    reconciliation_id, subject, kind, day, payment_key, order_id, transaction_key, ours, theirs, outcome, reason, event_id)
  select v_id, t.item ->> 'subject', t.item ->> 'kind', (t.item ->> 'day')::date, t.item ->> 'payment_key',
         t.item ->> 'order_id', t.item ->> 'transaction_key', t.item -> 'ours', t.item -> 'theirs', t.item ->> 'outcome',
         t.item ->> 'reason', (t.item ->> 'event_id')::uuid
  from unnest(findings) as t (item)
  on conflict (reconciliation_id, subject) do update set
    kind = excluded.kind, day = excluded.day, payment_key = excluded.payment_key, order_id = excluded.order_id,
    transaction_key = excluded.transaction_key, ours = excluded.ours, theirs = excluded.theirs, outcome = excluded.outcome,
    reason = excluded.reason, event_id = excluded.event_id, updated_at = now();

  if (v_step ->> 'ends_day')::boolean then
    delete from public.reconciliation_transactions t where t.reconciliation_id = v_id;
  end if;
  update public.reconciliations r
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
  update public.reconciliations r set lease_token = null, lease_until = null, updated_at = now()
  where r.id = $1::uuid and r.lease_token = $2::uuid
$$;

-- Findings of a run after a subject, by subject.
create function public.supatoss_read_reconciliation_findings_v1(
  reconciliation text, after_subject text, of_outcome text, max_findings integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(f) - array['id', 'reconciliation_id', 'created_at', 'updated_at'] order by f.subject), '[]'::jsonb)
  from (
    select * from public.reconciliation_findings g
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
    select g.kind, g.outcome, count(*) as count from public.reconciliation_findings g
    where g.reconciliation_id = $1::uuid group by g.kind, g.outcome
  ) c
$$;

select supatoss.close_functions();
