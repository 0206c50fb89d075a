-- Retention: the payload of what is finished goes after a time, the key row stays, so a late duplicate is still a duplicate.
-- `change` stays whole: a late event folds all events of its order again, and the fold reads every part of it.
alter table public.webhook_events add column if not exists payload_emptied_at timestamptz;
comment on column public.webhook_events.payload_emptied_at is 'When retention emptied the payload, which is {} since.';

-- Rows of ours alone: those that somebody else wrote (unkeyed) are not ours to empty.
create index if not exists webhook_events_retention_idx on public.webhook_events (created_at)
  where payload_emptied_at is null and status in ('processed', 'ignored') and event_key not like 'unkeyed:%';

-- Empties up to max_events payloads, oldest first; rows that somebody is writing are passed over. Answers how many.
create function public.supatoss_empty_payloads_v1(older_than_days integer, max_events integer)
returns integer
language plpgsql
set search_path = ''
as $$
declare
  v_emptied integer;
begin
  if older_than_days < 30 then
    raise exception 'payloads are kept for at least 30 days' using errcode = 'invalid_parameter_value';
  end if;
  with due as (
    select w.id from public.webhook_events w
    where w.created_at < now() - make_interval(days => older_than_days) and w.payload_emptied_at is null
      and w.status in ('processed', 'ignored') and w.event_key not like 'unkeyed:%'
    order by w.created_at
    limit max_events
    for update skip locked
  )
  update public.webhook_events w set payload = '{}'::jsonb, payload_emptied_at = now() from due where w.id = due.id;
  get diagnostics v_emptied = row_count;
  return v_emptied;
end;
$$;

select supatoss.close_functions();
