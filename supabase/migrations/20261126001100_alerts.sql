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
comment on column supatoss.alerts.subject is 'What it is about: an event, an order, a process, or empty.';
comment on column supatoss.alerts.seen_at is 'When the facts were read that last showed it.';
comment on column supatoss.alerts.telling_token is
  'Who is telling the operators; the lease ends by itself, and somebody else tells them.';

-- Takes what one look found: {read_at, observer, findings: [{rule, subject, details}], own_rules}. Starts and ends
-- alerts, and answers the number of open ones a rule. own_rules are about one process: their subject is the observer,
-- who alone ends them, unless nothing was heard of it for 15 minutes. Looks overlap: facts that were read before an
-- alert was last seen do not end it, and before it ended do not start it again.
create function public.supatoss_note_alerts_v1(look text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_look jsonb := look::jsonb;
  v_read_at timestamptz := (v_look ->> 'read_at')::timestamptz;
  v_own_rules text[] := array(select jsonb_array_elements_text(v_look -> 'own_rules'));
begin
  -- One look after the other: two that start the same alert at once would both wait for its unique key.
  perform pg_advisory_xact_lock(hashtextextended('alerts', 20261125));

  insert into supatoss.alerts as a (rule, subject, details, started_at, seen_at)
  select f.item ->> 'rule', f.item ->> 'subject', coalesce(f.item -> 'details', '{}'::jsonb), v_read_at, v_read_at
  from jsonb_array_elements(v_look -> 'findings') as f (item)
  where not exists (
    select 1 from supatoss.alerts e
    where e.rule = f.item ->> 'rule' and e.subject = f.item ->> 'subject' and e.ended_at >= v_read_at)
  on conflict (rule, subject) where ended_at is null
  do update set seen_at = greatest(a.seen_at, excluded.seen_at), details = excluded.details;

  update supatoss.alerts a
  set ended_at = now()
  where a.ended_at is null and a.seen_at < v_read_at
    and (a.rule <> all (v_own_rules) or a.subject = v_look ->> 'observer'
         or a.seen_at < v_read_at - interval '15 minutes');

  return (select coalesce(jsonb_object_agg(o.rule, o.count), '{}'::jsonb)
          from (select a.rule, count(*) from supatoss.alerts a where a.ended_at is null group by a.rule) o);
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

-- What the rules of alerts look at. Every look is by a small partial index, so that it stays cheap beside ten million
-- rows.
-- {read_at, oldest_waiting_seconds, failed: [{id, reason, order_id, error}], has_more_failed, unapproved:
-- [order_id], overcancelled: [{order_id, amount, canceled}], newest_event_at, recent_events}. Lists are oldest first
-- and hold at most max_items; recent_events counts, up to 20, the events of the seven days before the newest one.
create function public.supatoss_read_alert_facts_v1(max_items integer)
returns jsonb
language sql stable
set search_path = ''
as $$
  with money as (
    select w.id, w.reason, w.order_id, w.last_error, w.created_at from public.webhook_events w
    where w.status = 'failed' and w.reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge')
    order by w.created_at limit max_items + 1
  ),
  other as (
    -- Messages of the database can hold values of rows, so these events' errors stay where they are.
    select w.id, w.reason, w.order_id, null::text as last_error, w.created_at from public.webhook_events w
    where w.status = 'failed'
      and coalesce(w.reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge')
    order by w.created_at limit max_items + 1
  ),
  failed as (
    (select * from money order by created_at limit max_items)
    union all
    (select * from other order by created_at limit max_items)
  ),
  cancelled as (
    (select p.order_id, p.amount, p.cancels from public.payments p
     where p.cancels is not null and p.updated_at > now() - interval '1 day'
     order by p.updated_at desc limit 5000)
    union
    -- An alert stays open for as long as it is true, longer than a day too.
    select p.order_id, p.amount, p.cancels
    from supatoss.alerts a join public.payments p on p.order_id = a.subject
    where a.rule = 'cancels_above_total' and a.ended_at is null
  ),
  overcancelled as (
    select c.order_id, c.amount, s.canceled
    from cancelled c
    cross join lateral (
      select sum((i.item ->> 'cancelAmount')::numeric) as canceled
      from jsonb_array_elements(case when jsonb_typeof(c.cancels) = 'array' then c.cancels end) as i (item)
      where coalesce(i.item ->> 'cancelStatus', 'DONE') = 'DONE'
        and i.item ->> 'cancelAmount' ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$') s
    where s.canceled > c.amount
    order by c.order_id limit max_items
  ),
  newest as (
    select w.created_at from public.webhook_events w
    where w.created_at is not null and w.event_type not like 'supatoss.%' order by w.created_at desc limit 1
  )
  select jsonb_build_object(
    'read_at', now(),
    'oldest_waiting_seconds', public.supatoss_oldest_waiting_seconds_v1(),
    'failed', (select coalesce(jsonb_agg(jsonb_build_object(
                 'id', f.id, 'reason', f.reason, 'order_id', f.order_id, 'error', f.last_error)
               order by f.created_at, f.id), '[]'::jsonb)
               from failed f),
    'has_more_failed', (select count(*) > max_items from money) or (select count(*) > max_items from other),
    'unapproved', (select coalesce(jsonb_agg(u.order_id order by u.order_id), '[]'::jsonb) from (
                     select p.order_id from public.payments p
                     where p.payment_status = 'DONE' and p.approved_at is null and p.projected_state is not null
                     order by p.order_id limit max_items) u),
    'overcancelled', (select coalesce(jsonb_agg(jsonb_build_object(
                        'order_id', o.order_id, 'amount', o.amount::text, 'canceled', o.canceled::text)), '[]'::jsonb)
                      from overcancelled o),
    'newest_event_at', (select n.created_at from newest n),
    'recent_events', (select count(*) from (
                        select 1 from public.webhook_events w, newest n
                        where w.created_at > n.created_at - interval '7 days' and w.created_at <= n.created_at
                        limit 20) r))
$$;

select supatoss.close_functions();
