-- What an operator replays or ignores at once: chosen and tried first, then confirmed, and done once however often the
-- form is sent.
create table supatoss.operator_batches (
  id uuid primary key,
  created_at timestamptz not null default now(),
  actor text not null check (length(actor) between 1 and 200),
  action text not null check (action in ('replay', 'ignore')),
  chosen jsonb not null,
  event_ids uuid[] not null check (cardinality(event_ids) between 1 and 500),
  dry_run jsonb not null,
  has_more boolean not null,
  confirmed_at timestamptz,
  confirmed_by text check (length(confirmed_by) <= 200),
  reason text check (length(reason) <= 500),
  outcomes jsonb not null default '[]',
  lease_until timestamptz,
  finished_at timestamptz
);
create index operator_batches_created_at_idx on supatoss.operator_batches (created_at);

alter table supatoss.operator_batches enable row level security;
revoke all on table supatoss.operator_batches from public, anon, authenticated, service_role;
grant select, insert, update, delete on table supatoss.operator_batches to service_role;

comment on table supatoss.operator_batches is
  'Events that an operator replayed or ignored at once. operator_actions has what was done to each.';
comment on column supatoss.operator_batches.chosen is 'How the events were chosen: the filter of the list, or ticked.';
comment on column supatoss.operator_batches.dry_run is
  'What the dry run said: [{event, event_type, order_id, outcome, status, reason}], in the order of event_ids.';
comment on column supatoss.operator_batches.has_more is 'Whether more events matched than a batch takes.';
comment on column supatoss.operator_batches.outcomes is 'What became of each: [{event, outcome, status, reason}].';
comment on column supatoss.operator_batches.lease_until is 'Until then the request that does it is taken to be alive.';

create function supatoss.batch_as_json(b supatoss.operator_batches)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', b.id, 'created_at', b.created_at, 'actor', b.actor, 'action', b.action, 'chosen', b.chosen,
    'dry_run', b.dry_run, 'has_more', b.has_more, 'confirmed_at', b.confirmed_at,
    'confirmed_by', b.confirmed_by, 'reason', b.reason, 'outcomes', b.outcomes, 'finished_at', b.finished_at,
    'is_leased', coalesce(b.lease_until > now(), false))
$$;

-- Keeps a batch that was tried: {id, actor, action, chosen, event_ids, dry_run, has_more}. The same id twice is one
-- batch. Those of more than 90 days ago are forgotten.
create function public.supatoss_open_batch_v1(batch text)
returns void
language plpgsql
set search_path = ''
as $$
begin
  delete from supatoss.operator_batches b where b.created_at < now() - interval '90 days';
  insert into supatoss.operator_batches (id, actor, action, chosen, event_ids, dry_run, has_more)
  select r.id, r.actor, r.action, r.chosen, r.event_ids, r.dry_run, r.has_more
  from jsonb_to_record(batch::jsonb) as r (
    id uuid, actor text, action text, chosen jsonb, event_ids uuid[], dry_run jsonb, has_more boolean)
  on conflict (id) do nothing;
end;
$$;

-- A batch; null where there is none.
create function public.supatoss_read_batch_v1(batch uuid)
returns jsonb
language sql stable
set search_path = ''
as $$
  select supatoss.batch_as_json(b) from supatoss.operator_batches b where b.id = $1
$$;

-- Takes a batch for a minute, to do what is not done yet. Null where it is finished, somebody else is at it, or it was
-- tried more than an hour ago. Who confirmed it first, and why, stays.
create function public.supatoss_claim_batch_v1(batch uuid, actor text, reason text)
returns jsonb
language sql
set search_path = ''
as $$
  update supatoss.operator_batches b
  set confirmed_at = coalesce(b.confirmed_at, now()), confirmed_by = coalesce(b.confirmed_by, $2),
      reason = case when b.confirmed_at is null then $3 else b.reason end,
      lease_until = now() + interval '1 minute'
  where b.id = $1 and b.finished_at is null and (b.lease_until is null or b.lease_until <= now())
    and (b.confirmed_at is not null or b.created_at > now() - interval '1 hour')
  returning supatoss.batch_as_json(b)
$$;

-- Notes what became of some of its events, a JSON array, and keeps the batch for another minute; it is finished when
-- all have an outcome.
create function public.supatoss_note_batch_v1(batch uuid, outcomes text)
returns void
language sql
set search_path = ''
as $$
  update supatoss.operator_batches b
  set outcomes = b.outcomes || $2::jsonb, lease_until = now() + interval '1 minute',
      finished_at = case when jsonb_array_length(b.outcomes || $2::jsonb) >= cardinality(b.event_ids) then now() end
  where b.id = $1
$$;

select supatoss.close_functions();
