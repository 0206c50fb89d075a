-- What customers subscribe to; billing.sql says what a billing key goes through. A table of ours has one live row per
-- customer_key; one that a project has already may have several, such as two tiers.
select supatoss.lock_adopted('public.subscriptions', 'access exclusive');

create table if not exists public.subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  product_id uuid,
  billing_key text not null,
  customer_key varchar(300) not null,
  status varchar(20) not null,
  tier varchar(20) not null,
  started_at timestamptz not null,
  current_period_start timestamptz not null,
  current_period_end timestamptz not null,
  canceled_at timestamptz,
  billing_cycle varchar(20) default 'monthly',
  next_billing_date timestamptz,
  amount numeric not null constraint subscriptions_amount_check check (amount >= 0),
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  constraint subscriptions_status_check check (status in ('ACTIVE', 'PAUSED', 'CANCELED', 'EXPIRED')),
  constraint subscriptions_billing_cycle_check check (billing_cycle in ('monthly', 'yearly'))
);

-- A customerKey of Toss has up to 300 characters.
select supatoss.adopt_columns('public.subscriptions',
  '{"customer_key": 300, "status": 20, "tier": 20, "billing_cycle": 20, "billing_key": null}');

-- What a project may not have.
alter table public.subscriptions
  add column if not exists user_id uuid,
  add column if not exists product_id uuid,
  add column if not exists tier varchar(20),
  add column if not exists started_at timestamptz,
  add column if not exists current_period_start timestamptz,
  add column if not exists current_period_end timestamptz,
  add column if not exists canceled_at timestamptz,
  -- squawk-ignore adding-field-with-default
  add column if not exists billing_cycle varchar(20) default 'monthly',
  add column if not exists next_billing_date timestamptz,
  add column if not exists amount numeric;
select supatoss.add_clock('public.subscriptions', 'created_at');
select supatoss.add_clock('public.subscriptions', 'updated_at');

-- What is ours.
alter table public.subscriptions
  add column if not exists billing_key_issued_at timestamptz,
  add column if not exists billing_key_deleted_at timestamptz,
  add column billing_state jsonb;
select supatoss.keep_old_times('public.subscriptions');

-- A fresh project starts strict: users read their own subscriptions, but never the billing key.
select supatoss.restrict_new('public.subscriptions', '{billing_key, billing_state}');
grant select, insert, update, delete on table public.subscriptions to service_role;

do $$
begin
  if not supatoss.is_adopted('public.subscriptions') then
    create unique index subscriptions_live_customer_key_key
      on public.subscriptions (customer_key) where status in ('ACTIVE', 'PAUSED');
  end if;
end;
$$;
create index if not exists subscriptions_customer_key_idx on public.subscriptions (customer_key);
create index if not exists subscriptions_billing_key_idx on public.subscriptions (billing_key);
create index if not exists subscriptions_application_billing_key_idx
  on public.subscriptions ((billing_state #>> '{application,billing_key}')) where billing_state is not null;
create index if not exists subscriptions_user_id_idx on public.subscriptions (user_id);
create index if not exists subscriptions_next_billing_date_idx
  on public.subscriptions (next_billing_date) where status = 'ACTIVE';

comment on column public.subscriptions.billing_key_issued_at is
  'When the key in billing_key was issued, as its event says.';
comment on column public.subscriptions.billing_key_deleted_at is
  'When the key in billing_key was deleted, as its event says.';
comment on column public.subscriptions.billing_state is
  'application: what the application last wrote into this row; written: what we last did. A difference from the row'
  ' means that the application wrote since.';
