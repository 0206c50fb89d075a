-- A seller's settlements (SETTLEMENT_COMPLETED) and payouts (payout.changed).
create table if not exists public.settlements (
  id uuid primary key default gen_random_uuid(),
  settlement_key text not null,
  kind text not null check (kind in ('settlement', 'payout')),
  status text not null,
  payment_key text,
  order_id text,
  transaction_key text,
  reference text,
  seller_id text,
  amount numeric,
  pay_out_amount numeric,
  fee numeric,
  currency varchar(3),
  sold_date date,
  paid_out_date date,
  requested_at timestamptz,
  settled_at timestamptz,
  failure_code text,
  failure_message text,
  metadata jsonb,
  occurred_at timestamptz not null,
  event_key text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint settlements_settlement_key_key unique (settlement_key)
);
create index if not exists settlements_payment_key_idx on public.settlements (payment_key) where payment_key is not null;
create index if not exists settlements_order_id_idx on public.settlements (order_id) where order_id is not null;
create index if not exists settlements_sold_date_idx on public.settlements (sold_date);

comment on column public.settlements.settlement_key is 'kind:id as Toss names it; where Toss names none, derived from what the settlement is about.';
comment on column public.settlements.reference is 'The merchant''s own id (refPayoutId).';
comment on column public.settlements.seller_id is 'Who is paid (destination of a payout).';
comment on column public.settlements.event_key is 'The event that wrote this state; with occurred_at it makes the order of events total.';
