-- Who is signed in to the operators' page. A cookie is worth nothing without its row here, on whichever machine.
create table supatoss.operator_sessions (
  id uuid primary key,
  operator text not null check (length(operator) between 1 and 100),
  address text check (length(address) <= 100),
  created_at timestamptz not null default now(),
  confirmed_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  ended_by text check (length(ended_by) <= 200)
);
alter table supatoss.operator_sessions enable row level security;
revoke all on table supatoss.operator_sessions from public, anon, authenticated, service_role;
grant select, insert, update, delete on table supatoss.operator_sessions to service_role;

comment on table supatoss.operator_sessions is 'Sign-ins to the operators'' page: who, from where, and until when.';
comment on column supatoss.operator_sessions.confirmed_at is 'When the password was last given.';
comment on column supatoss.operator_sessions.ended_by is 'Who signed it out; null where it was its own browser.';

-- Begins a session; the same id twice is one session. Sessions of more than 90 days ago are forgotten.
create function public.supatoss_open_session_v1(session_id uuid, operator text, address text, seconds integer)
returns void
language plpgsql
set search_path = ''
as $$
begin
  delete from supatoss.operator_sessions s where s.created_at < now() - interval '90 days';
  insert into supatoss.operator_sessions (id, operator, address, expires_at)
  values ($1, $2, left($3, 100), now() + make_interval(secs => $4))
  on conflict (id) do nothing;
end;
$$;

-- An open session: {operator, confirmed_seconds: since the password was last given}; null where it has ended.
create function public.supatoss_read_session_v1(session_id uuid)
returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('operator', s.operator, 'confirmed_seconds', extract(epoch from now() - s.confirmed_at))
  from supatoss.operator_sessions s
  where s.id = session_id and s.ended_at is null and s.expires_at > now()
$$;

-- The operator of an open session has given the password again.
create function public.supatoss_confirm_session_v1(session_id uuid)
returns void
language sql
set search_path = ''
as $$
  update supatoss.operator_sessions s set confirmed_at = now() where s.id = session_id and s.ended_at is null
$$;

-- Ends open sessions: one, all of an operator, or with neither every one. How many were ended.
create function public.supatoss_end_sessions_v1(session_id uuid, operator text, ended_by text)
returns integer
language sql
set search_path = ''
as $$
  with ended as (
    update supatoss.operator_sessions s
    set ended_at = now(), ended_by = left($3, 200)
    where s.ended_at is null and s.expires_at > now()
      and ($1 is null or s.id = $1) and ($2 is null or s.operator = $2)
    returning 1
  )
  select count(*)::integer from ended
$$;

-- Open sessions, newest first, at most 100: [{id, operator, address, created_at}].
create function public.supatoss_list_sessions_v1()
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'operator', o.operator, 'address', o.address,
                                               'created_at', o.created_at) order by o.created_at desc), '[]'::jsonb)
  from (
    select * from supatoss.operator_sessions s
    where s.ended_at is null and s.expires_at > now() order by s.created_at desc limit 100
  ) o
$$;

select supatoss.close_functions();
