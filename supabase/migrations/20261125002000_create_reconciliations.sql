-- Runs that compare Toss's records with ours: where each run stands, what Toss listed for its day, and what was found.
create table if not exists public.reconciliations (
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
create unique index if not exists reconciliations_running_key
  on public.reconciliations (kind, first_day, last_day, applies) where status = 'running' and started_by = 'operator';
-- Once a day, whatever the number of workers.
create unique index if not exists reconciliations_scheduled_key
  on public.reconciliations (kind, first_day) where started_by = 'schedule';
create index if not exists reconciliations_created_at_idx on public.reconciliations (created_at desc);

comment on table public.reconciliations is 'Runs that compare Toss''s records of some days with ours.';
comment on column public.reconciliations.first_day is 'A calendar day in Korea, as last_day and day are.';
comment on column public.reconciliations.closes_at is 'End of the range, fixed when the run began: Toss is never paged over a moving end.';
comment on column public.reconciliations.applies is 'Whether the run repairs what it finds.';
comment on column public.reconciliations.position is 'Where the phase of the day goes on after an interruption.';
comment on column public.reconciliations.lease_token is 'Who works on the run; every step takes this token.';

-- The transactions that Toss lists for the day a run is at; gone when the day is done.
create table if not exists public.reconciliation_transactions (
  reconciliation_id uuid not null references public.reconciliations (id) on delete cascade,
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
create index if not exists reconciliation_transactions_subject_idx
  on public.reconciliation_transactions (reconciliation_id, subject);
comment on column public.reconciliation_transactions.subject is
  'What the transaction is about: its payment key; order:… or transaction:… where Toss names none.';

create table if not exists public.reconciliation_findings (
  id uuid primary key default gen_random_uuid(),
  reconciliation_id uuid not null references public.reconciliations (id) on delete cascade,
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
comment on table public.reconciliation_findings is 'Differences between Toss''s records and ours, one a payment or settlement.';
comment on column public.reconciliation_findings.event_id is 'The event that the repair recorded.';

-- Which payments moved money in some days. BRIN costs a write nothing, and rows lie in the order of their days.
create index if not exists payments_money_at_idx on public.payments using brin ((coalesce(approved_at, created_at)));
create index if not exists payments_canceled_at_idx on public.payments (canceled_at) where canceled_at is not null;
create index if not exists payments_partial_cancels_idx
  on public.payments (payment_key) where payment_status = 'PARTIAL_CANCELED';
create index if not exists settlements_transaction_key_idx
  on public.settlements (transaction_key) where transaction_key is not null;

alter table public.reconciliations enable row level security;
alter table public.reconciliation_transactions enable row level security;
alter table public.reconciliation_findings enable row level security;
revoke all on table public.reconciliations, public.reconciliation_transactions, public.reconciliation_findings
  from public, anon, authenticated;
grant select, insert, update, delete
  on table public.reconciliations, public.reconciliation_transactions, public.reconciliation_findings to service_role;
