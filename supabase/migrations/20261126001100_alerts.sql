-- What is wrong now, and what was: one open row a rule and subject, whatever number of processes look.
create table supatoss.alerts (
  id uuid primary key default gen_random_uuid(),
  rule text not null,
  subject text not null,
  details jsonb not null default '{}'::jsonb,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  ended_at timestamptz,
  start_told_at timestamptz,
  end_told_at timestamptz,
  telling_token uuid,
  telling_until timestamptz,
  telling_attempts integer not null default 0,
  judged_limit numeric,
  sightings jsonb not null default '{}'::jsonb,
  created_at timestamptz not null default now()
);
create unique index alerts_open_key on supatoss.alerts (rule, subject) where ended_at is null;
create index alerts_untold_idx on supatoss.alerts (started_at)
  where start_told_at is null or (ended_at is not null and end_told_at is null);
create index alerts_rule_subject_ended_at_idx on supatoss.alerts (rule, subject, ended_at);

alter table supatoss.alerts enable row level security;
revoke all on table supatoss.alerts from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.alerts to service_role;

comment on table supatoss.alerts is
  'Invariants that do not hold: when it began and ended, and when operators were told of it.';
comment on column supatoss.alerts.subject is 'What it is about: an order, a key, a process, or empty.';
comment on column supatoss.alerts.seen_at is 'When the facts were read that last showed it.';
comment on column supatoss.alerts.telling_token is
  'Who is telling the operators; the lease ends by itself, and somebody else tells them.';
comment on column supatoss.alerts.judged_limit is
  'The strictest limit that it was seen with; null if its rule has none.';
comment on column supatoss.alerts.sightings is
  'Of a rule about what processes see themselves: when each of those last saw it that still do.';

-- Processes that look after alerts. One that stops says so; one that is gone without a word is an alert, until another
-- came in its place.
create table supatoss.processes (
  name text primary key,
  place text generated always as (regexp_replace(name, ':[^:]*$', '')) stored,
  created_at timestamptz not null default now(),
  beating_since timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  patience interval not null default '5 minutes'
);
alter table supatoss.processes enable row level security;
revoke all on table supatoss.processes from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.processes to service_role;

comment on table supatoss.processes is 'Processes that run now, and those that stopped without a word within a day.';
comment on column supatoss.processes.name is 'machine:role:process id; the role is web or worker.';
comment on column supatoss.processes.place is 'machine:role: where another process replaces this one.';
comment on column supatoss.processes.beating_since is 'Since when it has been heard of without a longer pause.';
comment on column supatoss.processes.patience is 'The longest pause: five minutes, or three of its own intervals.';

create function supatoss.alert_for_log(
  p_rule text, p_subject text, p_details jsonb, p_started_at timestamptz, p_ended_at timestamptz)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('rule', p_rule, 'subject', p_subject, 'details', p_details, 'started_at', p_started_at,
                            'ended_at', p_ended_at)
$$;

-- Who set aside what an alert is about, its events or its day's differences: {set_aside_by}, or nothing. What is
-- ignored is not solved. One of its tables is made later, so it is read when it is called.
create function supatoss.set_aside(p_alert supatoss.alerts)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return coalesce((
    select jsonb_build_object('set_aside_by', a.actor)
    from (
      select o.actor, o.created_at
      from jsonb_array_elements_text(
        case when jsonb_typeof(p_alert.details -> 'ids') = 'array' then p_alert.details -> 'ids' end) as i (id)
      join public.webhook_events w on w.id = i.id::uuid
      join supatoss.operator_actions o on o.event_id = w.id
      where o.action = 'ignore' and w.status = 'ignored' and w.reason = 'operator'
      union all
      select o.actor, o.created_at
      from supatoss.reconciliation_findings f
      join supatoss.operator_actions o on o.id = f.action_id
      where p_alert.rule = 'reconciliation_difference' and f.day::text = p_alert.subject and f.outcome = 'set_aside'
        and o.created_at >= p_alert.started_at
    ) a
    order by a.created_at desc limit 1), '{}'::jsonb);
end;
$$;

-- Takes one look of a process: {read_at, observer, interval_seconds, findings, judged, past}.
-- findings: [{rule, subject, details, limit, seen_at, told}]. limit: what the rule was judged with, if processes may
-- differ in it; lower is stricter. seen_at: when the observer saw it itself, for rules about what processes see.
-- told: the observer has told the operators already, while this database was away.
-- judged: [{rule, limit, subject, seen_at}], the rules that the look has an opinion about; a subject narrows it.
-- past: [{id, rule, subject, details, started_at, ended_at, start_told, end_told}], what began while this database was
-- away and is over.
-- Answers {open: {rule: number}, began: [alert], ended: [alert]}, an alert being {rule, subject, details, started_at,
-- ended_at}.
-- Only an opinion ends an alert: not a laxer limit than the one it was seen with, and not another process's view while
-- the one that saw it still does. Of whom nothing was heard for 15 minutes, that no longer counts, if the observer has
-- listened for so long: while this database was away, nobody was heard of. Looks overlap: facts that were read before
-- an alert was last seen do not end it, and before it ended do not start it again.
create function public.supatoss_note_alerts_v1(look text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_look jsonb := look::jsonb;
  v_observer text := v_look ->> 'observer';
  v_read_at timestamptz := (v_look ->> 'read_at')::timestamptz;
  v_silence_since timestamptz;
  v_began jsonb;
  v_ended jsonb;
begin
  -- One look after the other: two that start the same alert at once would both wait for its unique key.
  perform pg_advisory_xact_lock(hashtextextended('alerts', 20261125));

  insert into supatoss.processes as p (name, patience)
  values (v_observer, greatest(interval '5 minutes',
                               3 * make_interval(secs => (v_look ->> 'interval_seconds')::double precision)))
  on conflict (name) do update set
    seen_at = now(), patience = excluded.patience,
    beating_since = case when p.seen_at < now() - p.patience then now() else p.beating_since end
  returning case when p.beating_since <= v_read_at - interval '15 minutes' then v_read_at - interval '15 minutes'
                 else '-infinity' end
  into v_silence_since;
  delete from supatoss.processes p where p.seen_at < now() - interval '1 day';

  insert into supatoss.alerts
    (id, rule, subject, details, started_at, seen_at, ended_at, start_told_at, end_told_at)
  select p.id, p.rule, p.subject, coalesce(p.details, '{}'::jsonb), p.started_at, p.ended_at, p.ended_at,
         case when p.start_told then p.started_at end, case when p.end_told then p.ended_at end
  from jsonb_to_recordset(v_look -> 'past') as p (
    id uuid, rule text, subject text, details jsonb, started_at timestamptz, ended_at timestamptz,
    start_told boolean, end_told boolean)
  -- Somebody else may have the same open here; its end is told from there.
  where not exists (
    select 1 from supatoss.alerts e where e.rule = p.rule and e.subject = p.subject and e.ended_at is null)
  on conflict (id) do nothing;

  with found as (
    select f.*, coalesce(f.seen_at, v_read_at) as at
    from jsonb_to_recordset(v_look -> 'findings')
      as f (rule text, subject text, details jsonb, "limit" numeric, seen_at timestamptz, told boolean)
  ),
  noted as (
    insert into supatoss.alerts as a
      (rule, subject, details, started_at, seen_at, judged_limit, sightings, start_told_at)
    select f.rule, f.subject, coalesce(f.details, '{}'::jsonb), f.at, f.at, f."limit",
           case when f.seen_at is null then '{}'::jsonb else jsonb_build_object(v_observer, f.at) end,
           case when f.told then now() end
    from found f
    where not exists (
      select 1 from supatoss.alerts e where e.rule = f.rule and e.subject = f.subject and e.ended_at >= f.at)
    on conflict (rule, subject) where ended_at is null
    do update set seen_at = greatest(a.seen_at, excluded.seen_at), details = excluded.details,
                  judged_limit = least(a.judged_limit, excluded.judged_limit),
                  sightings = a.sightings || excluded.sightings,
                  start_told_at = coalesce(a.start_told_at, excluded.start_told_at)
    returning a.*, a.xmax = 0 as is_new
  )
  select coalesce(jsonb_agg(supatoss.alert_for_log(n.rule, n.subject, n.details, n.started_at, n.ended_at))
                  filter (where n.is_new), '[]'::jsonb)
  into v_began
  from noted n;

  update supatoss.alerts a
  set sightings = a.sightings - v_observer
  from jsonb_to_recordset(v_look -> 'judged') as j (rule text, subject text, seen_at timestamptz)
  where a.ended_at is null and j.rule = a.rule and j.seen_at is not null
    and (j.subject is null or j.subject = a.subject)
    and (a.sightings ->> v_observer)::timestamptz < j.seen_at;

  with over as (
    update supatoss.alerts a
    set ended_at = now(), details = a.details || supatoss.set_aside(a)
    where a.ended_at is null and a.seen_at < v_read_at
      and exists (
        select 1 from jsonb_to_recordset(v_look -> 'judged')
          as j (rule text, "limit" numeric, subject text, seen_at timestamptz)
        where j.rule = a.rule
          and case
            when j.seen_at is not null then not exists (
              select 1 from jsonb_each_text(a.sightings) as s (observer, at)
              where s.at::timestamptz >= v_silence_since)
            else coalesce(j."limit" <= a.judged_limit, true) or a.seen_at < v_silence_since
          end)
    returning a.*
  )
  select coalesce(jsonb_agg(supatoss.alert_for_log(o.rule, o.subject, o.details, o.started_at, o.ended_at)),
                  '[]'::jsonb)
  into v_ended
  from over o;

  return jsonb_build_object(
    'open', (select coalesce(jsonb_object_agg(o.rule, o.count), '{}'::jsonb)
             from (select a.rule, count(*) from supatoss.alerts a where a.ended_at is null group by a.rule) o),
    'began', v_began, 'ended', v_ended);
end;
$$;

-- A process stops and says so: what it alone saw is no longer seen by anybody.
create function public.supatoss_forget_process_v1(observer text)
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('alerts', 20261125));
  -- With those that it replaced: they are gone no more because of it.
  delete from supatoss.processes p using supatoss.processes me
  where me.name = observer and p.place = me.place and (p.name = me.name or p.seen_at < me.created_at);
  update supatoss.alerts a set sightings = a.sightings - observer where a.ended_at is null and a.sightings ? observer;
end;
$$;

-- Takes alerts of whose start or end nobody has been told, for lease_seconds. Who tells confirms afterwards; without
-- that the lease ends and somebody tells again. So operators hear of each at least once, and twice only if a process
-- dies in between.
create function public.supatoss_claim_alerts_v1(max_alerts integer, lease_seconds integer)
returns jsonb
language sql
set search_path = ''
as $$
  with untold as (
    select a.id from supatoss.alerts a
    where (a.start_told_at is null or (a.ended_at is not null and a.end_told_at is null))
      -- A project that gets its first target hears of what is and was wrong today, not of its whole past.
      and (a.ended_at is null or a.ended_at > now() - interval '1 day')
      and (a.telling_until is null or a.telling_until <= now())
    order by a.started_at, a.id
    limit max_alerts
    for update skip locked
  ),
  claimed as (
    update supatoss.alerts a
    set telling_token = gen_random_uuid(), telling_until = now() + make_interval(secs => lease_seconds),
        telling_attempts = a.telling_attempts + 1
    from untold u where u.id = a.id
    returning a.*
  )
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', c.id, 'token', c.telling_token, 'rule', c.rule, 'subject', c.subject, 'details', c.details,
           'phase', case when c.start_told_at is null then 'start' else 'end' end,
           'started_at', c.started_at, 'ended_at', c.ended_at, 'attempts', c.telling_attempts)
         order by c.started_at, c.id), '[]'::jsonb)
  from claimed c
$$;

-- Operators have been told: tokens is a JSON array. The number of alerts that were still the caller's.
create function public.supatoss_confirm_alerts_v1(tokens text)
returns integer
language sql
set search_path = ''
as $$
  with told as (
    update supatoss.alerts a
    set end_told_at = case when a.start_told_at is not null then now() end,
        start_told_at = coalesce(a.start_told_at, now()),
        telling_token = null, telling_until = null, telling_attempts = 0
    where a.telling_token in (select e.item::uuid from jsonb_array_elements_text(tokens::jsonb) as e (item))
    returning 1
  )
  select count(*)::integer from told
$$;

-- Open differences between Toss's records of payments and ours: {reconciled_at, kinds: {kind: number}, days: [{day,
-- findings, kinds}]}. reconciled_at: when the newest of the compared days was compared first; before there is one, when
-- the schedule began. days: the newest max_items, and those that have an open alert. Its tables are made later, so it
-- is read when it is called.
create function supatoss.reconciliation_facts(max_items integer)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    with kinds as (
      select f.day, f.kind, count(*) as findings
      from supatoss.reconciliation_findings f
      join supatoss.reconciliations r on r.id = f.reconciliation_id
      where f.outcome in ('found', 'needs_person') and r.kind = 'payments'
      group by f.day, f.kind
    ),
    days as (
      select k.day, sum(k.findings) as findings, jsonb_object_agg(k.kind, k.findings) as kinds,
             row_number() over (order by k.day desc) as place
      from kinds k group by k.day
    )
    select jsonb_build_object(
      'reconciled_at', coalesce(
        (select r.finished_at from supatoss.reconciliations r
         where supatoss.last_compared_day(r) is not null
         order by supatoss.last_compared_day(r) desc, r.finished_at limit 1),
        (select min(r.first_tried_at) from supatoss.reconciliations r where r.started_by = 'schedule')),
      'kinds', (select coalesce(jsonb_object_agg(s.kind, s.findings), '{}'::jsonb)
                from (select k.kind, sum(k.findings) as findings from kinds k group by k.kind) s),
      'days', (select coalesce(jsonb_agg(jsonb_build_object(
                        'day', d.day, 'findings', d.findings, 'kinds', d.kinds) order by d.day), '[]'::jsonb)
               from days d
               where d.place <= max_items or exists (
                 select 1 from supatoss.alerts a
                 where a.rule = 'reconciliation_difference' and a.subject = d.day::text and a.ended_at is null))));
end;
$$;

-- What the rules of alerts look at. Every look is by a small partial index, so that it stays cheap beside ten million
-- rows.
-- {read_at, oldest_waiting_seconds, failed: [{rule, subject, reason, order_id, error, events, ids}], has_more_failed,
-- unapproved: [order_id], overcancelled: [{order_id, amount, canceled}], unrefunded: [order_id], gone: [process],
-- acknowledged: [type], reconciliation: as reconciliation_facts, newest_event_at, recent_events}. failed has one
-- element a rule and subject, the order, else the payment, else the event, with its reason, its error and its events
-- from the oldest one. Lists are oldest first and hold at most max_items, of failed for each rule; what an open alert
-- is about comes first, for as long as it holds. recent_events counts, up to 20, the events of the seven days before
-- the newest one.
create function public.supatoss_read_alert_facts_v1(max_items integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  with failing as (
    -- 1,000 of each are looked through: events about one order take no places from others.
    (select w.id, 'double_charge' as rule, w.reason, w.order_id, w.payment_key, w.last_error, w.created_at
     from public.webhook_events w
     where w.status = 'failed' and w.reason = 'double_charge'
     order by w.created_at limit 1000)
    union
    (select w.id, 'amount_mismatch', w.reason, w.order_id, w.payment_key, w.last_error, w.created_at
     from public.webhook_events w
     where w.status = 'failed' and w.reason in ('amount_mismatch', 'approval_amount_mismatch')
     order by w.created_at limit 1000)
    union
    -- Messages of the database can hold values of rows, so these events' errors stay where they are.
    (select w.id, 'event_failed', w.reason, w.order_id, w.payment_key, null, w.created_at
     from public.webhook_events w
     where w.status = 'failed'
       and coalesce(w.reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge')
     order by w.created_at limit 1000)
    union
    -- What an open alert is about, however many others fail before it.
    select w.id, r.rule, w.reason, w.order_id, w.payment_key,
           case when r.rule <> 'event_failed' then w.last_error end, w.created_at
    from supatoss.alerts a
    cross join lateral jsonb_array_elements_text(
      case when jsonb_typeof(a.details -> 'ids') = 'array' then a.details -> 'ids' end) as i (id)
    join public.webhook_events w on w.id = i.id::uuid
    cross join lateral (select case
      when w.reason = 'double_charge' then 'double_charge'
      when w.reason in ('amount_mismatch', 'approval_amount_mismatch') then 'amount_mismatch'
      else 'event_failed' end as rule) r
    where a.ended_at is null and a.rule in ('double_charge', 'amount_mismatch', 'event_failed') and w.status = 'failed'
  ),
  subjects as (
    select f.rule, s.subject, count(*) as events, min(f.created_at) as since,
           (array_agg(f.reason order by f.created_at, f.id))[1] as reason,
           (array_agg(f.order_id order by f.created_at, f.id))[1] as order_id,
           (array_agg(f.last_error order by f.created_at, f.id))[1] as error,
           (array_agg(f.id order by f.created_at, f.id))[1:20] as ids,
           row_number() over (partition by f.rule order by min(f.created_at), s.subject) as place
    from failing f
    cross join lateral (select coalesce(f.order_id, f.payment_key, f.id::text) as subject) s
    group by f.rule, s.subject
  ),
  failed as (
    select s.*,
           s.place <= max_items or exists (
             select 1 from supatoss.alerts a
             where a.rule = s.rule and a.subject = s.subject and a.ended_at is null) as is_shown
    from subjects s
  ),
  cancelled as (
    (select p.order_id, p.amount, p.cancels, p.virtual_account from public.payments p
     where p.cancels is not null and p.updated_at > now() - interval '1 day'
     order by p.updated_at desc limit 5000)
    union
    -- An alert stays open for as long as it is true, longer than a day too.
    select p.order_id, p.amount, p.cancels, p.virtual_account
    from supatoss.alerts a join public.payments p on p.order_id = a.subject
    where a.ended_at is null
      and (a.rule = 'cancels_above_total'
           -- Whoever pays the money back by hand does not change what Toss says of its own attempt.
           or (a.rule = 'refund_failed' and a.started_at > now() - interval '14 days'))
  ),
  overcancelled as (
    select c.order_id, c.amount, s.canceled, exists (
             select 1 from supatoss.alerts a
             where a.rule = 'cancels_above_total' and a.subject = c.order_id and a.ended_at is null) as is_open
    from cancelled c
    cross join lateral (
      select sum((i.item ->> 'cancelAmount')::numeric) as canceled
      from jsonb_array_elements(case when jsonb_typeof(c.cancels) = 'array' then c.cancels end) as i (item)
      where coalesce(i.item ->> 'cancelStatus', 'DONE') = 'DONE'
        and i.item ->> 'cancelAmount' ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$') s
    where s.canceled > c.amount
    order by is_open desc, c.order_id limit max_items
  ),
  unrefunded as (
    select c.order_id, exists (
             select 1 from supatoss.alerts a
             where a.rule = 'refund_failed' and a.subject = c.order_id and a.ended_at is null) as is_open
    from cancelled c
    where c.virtual_account ->> 'refundStatus' in ('FAILED', 'PARTIAL_FAILED')
    order by is_open desc, c.order_id limit max_items
  ),
  newest as (
    select w.created_at from public.webhook_events w
    where w.created_at is not null and w.event_type not like 'supatoss.%' order by w.created_at desc limit 1
  )
  select jsonb_build_object(
    'read_at', now(),
    'oldest_waiting_seconds', public.supatoss_oldest_waiting_seconds_v1(),
    'failed', (select coalesce(jsonb_agg(jsonb_build_object(
                 'rule', f.rule, 'subject', f.subject, 'reason', f.reason, 'order_id', f.order_id, 'error', f.error,
                 'events', f.events, 'ids', to_jsonb(f.ids))
               order by f.since, f.rule, f.subject), '[]'::jsonb)
               from failed f where f.is_shown),
    'has_more_failed', (select coalesce(bool_or(not f.is_shown), false) from failed f),
    'unapproved', (select coalesce(jsonb_agg(u.order_id order by u.order_id), '[]'::jsonb) from (
                     (select p.order_id from public.payments p
                      where p.payment_status = 'DONE' and p.approved_at is null and p.projected_state is not null
                      order by p.order_id limit max_items)
                     union
                     select p.order_id
                     from supatoss.alerts a join public.payments p on p.order_id = a.subject
                     where a.rule = 'done_without_approval' and a.ended_at is null and p.payment_status = 'DONE'
                       and p.approved_at is null and p.projected_state is not null) u),
    'overcancelled', (select coalesce(jsonb_agg(jsonb_build_object(
                        'order_id', o.order_id, 'amount', o.amount::text, 'canceled', o.canceled::text)), '[]'::jsonb)
                      from overcancelled o),
    'unrefunded', (select coalesce(jsonb_agg(u.order_id), '[]'::jsonb) from unrefunded u),
    'gone', (select coalesce(jsonb_agg(g.name), '[]'::jsonb) from (
               select p.name from supatoss.processes p
               where p.seen_at < now() - p.patience and p.seen_at > now() - interval '1 day'
                 and not exists (
                   select 1 from supatoss.processes q
                   where q.place = p.place and q.name <> p.name and q.created_at > p.seen_at)
                 -- While the database was away, nobody was heard of: each has its time to come back.
                 and exists (
                   select 1 from supatoss.processes q
                   where q.seen_at - greatest(q.beating_since, p.seen_at) >= p.patience)
               order by p.seen_at limit max_items) g),
    'acknowledged', (select coalesce(jsonb_agg(t.event_type), '[]'::jsonb) from (
                       select d.event_type from supatoss.refused_deliveries d
                       where d.reason = 'acknowledged' and d.event_type is not null
                         and d.received_at > now() - interval '1 day'
                       group by d.event_type order by max(d.received_at) desc limit 50) t),
    'reconciliation', supatoss.reconciliation_facts(max_items),
    'newest_event_at', (select n.created_at from newest n),
    'recent_events', (select count(*) from (
                        select 1 from public.webhook_events w, newest n
                        where w.created_at > n.created_at - interval '7 days' and w.created_at <= n.created_at
                        limit 20) r))
$$;

select supatoss.close_functions();
