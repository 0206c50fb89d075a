-- What people did to events, and why: written in the transaction that does it, changed and deleted by nobody.
create table public.operator_actions (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  actor text not null check (length(actor) between 1 and 200),
  action text not null check (length(action) between 1 and 50),
  event_id uuid,
  reason text check (length(reason) <= 500),
  status_before text,
  status_after text
);
create index operator_actions_created_at_idx on public.operator_actions (created_at desc);
create index operator_actions_event_id_idx on public.operator_actions (event_id, created_at);

alter table public.operator_actions enable row level security;
revoke all on table public.operator_actions from public, anon, authenticated;
revoke all on table public.operator_actions from service_role;
grant select, insert on table public.operator_actions to service_role;

comment on table public.operator_actions is 'Audit trail: who did what to which event, when and why.';
comment on column public.operator_actions.actor is 'Who: a name of the operators'' page, or user@machine of the command line.';
comment on column public.operator_actions.action is 'What: replay or ignore.';
