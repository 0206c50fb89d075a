-- What customers subscribe to; billing.sql says what a billing key goes through. A table of ours has one live row per
-- customer_key; one that a project has already may have several, such as two tiers.
select set_config('supatoss.has_subscriptions', (to_regclass('public.subscriptions') is not null)::text, false);

create table if not exists public.subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  product_id uuid,
  billing_key text not null,
  customer_key varchar(100) not null,
  status varchar(20) not null,
  tier varchar(20) not null,
  started_at timestamptz not null,
  current_period_start timestamptz not null,
  current_period_end timestamptz not null,
  canceled_at timestamptz,
  billing_cycle varchar(20) default 'monthly',
  next_billing_date timestamptz,
  amount numeric not null,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

select supatoss.adopt_column_types('public.subscriptions', array['amount']);
select supatoss.replace_check('public.subscriptions', 'amount', 'subscriptions_amount_check', 'amount >= 0');
select supatoss.replace_check('public.subscriptions', 'status', 'subscriptions_status_check',
  $$status in ('ACTIVE', 'PAUSED', 'CANCELED', 'EXPIRED')$$);
select supatoss.replace_check('public.subscriptions', 'billing_cycle', 'subscriptions_billing_cycle_check',
  $$billing_cycle in ('monthly', 'yearly')$$);

-- A customerKey of Toss has up to 300 characters. To a longer varchar no row is rewritten.
-- squawk-ignore changing-column-type
alter table public.subscriptions alter column customer_key type varchar(300);

alter table public.subscriptions
  add column if not exists billing_key_issued_at timestamptz,
  add column if not exists billing_key_deleted_at timestamptz,
  add column if not exists billing_state jsonb;

-- Users read their own subscriptions, but never the billing key; all else is the service's.
alter table public.subscriptions enable row level security;
revoke all on table public.subscriptions from public, anon, authenticated;
grant select, insert, update, delete on table public.subscriptions to service_role;
do $$
begin
  execute format('grant select (%s) on table public.subscriptions to authenticated', (
    select string_agg(quote_ident(attname), ', ') from pg_catalog.pg_attribute
    where attrelid = 'public.subscriptions'::regclass and attnum > 0 and not attisdropped
      and attname not in ('billing_key', 'billing_state')));
end;
$$;
drop policy if exists supatoss_users_read_own_subscriptions on public.subscriptions;
create policy supatoss_users_read_own_subscriptions on public.subscriptions
  for select to authenticated using (user_id = (select auth.uid()));

do $$
begin
  if current_setting('supatoss.has_subscriptions') = 'false' then
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
