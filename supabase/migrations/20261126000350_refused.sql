-- Deliveries that were refused, or acknowledged without proof: the newest 1,000, for the operator who looks for what is
-- missing. Nothing here was believed, so nothing here is an event.
create table if not exists supatoss.refused_deliveries (
  id bigint generated always as identity primary key,
  received_at timestamptz not null default now(),
  event_type text,
  reason text not null,
  http_status integer not null,
  source_address text,
  body text
);
alter table supatoss.refused_deliveries enable row level security;
revoke all on table supatoss.refused_deliveries from public, anon, authenticated;
grant select, insert, delete on table supatoss.refused_deliveries to service_role;

comment on table supatoss.refused_deliveries is
  'The newest 1,000 deliveries that were refused, or acknowledged without proof.';
comment on column supatoss.refused_deliveries.body is 'Its first 8 KiB, as they came; they may hold a secret.';

create function supatoss.insert_refused(p_delivery jsonb)
returns void
language sql
set search_path = ''
as $$
  insert into supatoss.refused_deliveries (received_at, event_type, reason, http_status, source_address, body)
  values (coalesce((p_delivery ->> 'received_at')::timestamptz, now()), left(p_delivery ->> 'event_type', 200),
          left(p_delivery ->> 'reason', 100), (p_delivery ->> 'http_status')::integer,
          left(p_delivery ->> 'source_address', 100), left(p_delivery ->> 'body', 8192))
$$;

-- Keeps refused deliveries, a JSON array of {received_at, event_type, reason, http_status, source_address, body}, and
-- forgets all but the newest 1,000. Answers how many were written.
create function public.supatoss_note_refused_v1(deliveries text)
returns integer
language plpgsql
set search_path = ''
as $$
declare
  v_text text;
  v_written integer := 0;
begin
  -- As json the array is split without its texts being read: what jsonb cannot hold spoils one delivery alone.
  for v_text in select e.item::text from json_array_elements(deliveries::json) as e (item) loop
    begin
      begin
        perform supatoss.insert_refused(v_text::jsonb);
      exception when data_exception then
        -- U+0000, and halves of a character, are not text to PostgreSQL.
        perform supatoss.insert_refused(
          regexp_replace(v_text, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g')::jsonb);
      end;
      v_written := v_written + 1;
    exception when data_exception or integrity_constraint_violation then
      null;  -- A note that cannot be kept is no reason to lose its neighbours.
    end;
  end loop;
  delete from supatoss.refused_deliveries r
  where r.id <= (select o.id from supatoss.refused_deliveries o order by o.id desc offset 1000 limit 1);
  return v_written;
end;
$$;

-- Refused deliveries with a lower id than before_id, or the newest: [{id, received_at, event_type, reason, http_status,
-- source_address, body}], newest first, at most 1,000.
create function public.supatoss_read_refused_v1(max_deliveries integer, before_id bigint)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(r) order by r.id desc), '[]'::jsonb)
  from (
    select * from supatoss.refused_deliveries d
    where before_id is null or d.id < before_id
    order by d.id desc
    limit least(greatest(max_deliveries, 0), 1000)
  ) r
$$;

select supatoss.close_functions();
