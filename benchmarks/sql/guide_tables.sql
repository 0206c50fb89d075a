-- The tables of the merchant's guide that its webhook function writes, with the indexes that the guide gives them and no more.
create table public.payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid,
  payment_key varchar(200) unique not null, order_id varchar(100) unique not null, order_name varchar(100) not null,
  amount integer not null check (amount >= 0), currency varchar(3) default 'KRW', payment_method varchar(50),
  payment_status varchar(20) not null check (payment_status in ('PENDING', 'DONE', 'CANCELED', 'FAILED')),
  requested_at timestamp, approved_at timestamp, canceled_at timestamp, failure_code varchar(50), failure_message text,
  receipt_url text, metadata jsonb, created_at timestamp default now(), updated_at timestamp default now()
);
create table public.webhook_events (
  id uuid primary key default gen_random_uuid(), event_type varchar(50) not null, payment_key varchar(200),
  payload jsonb not null, processed boolean default false, processed_at timestamp, created_at timestamp default now()
);
alter table public.payments enable row level security;
create policy "read own" on public.payments for select using (auth.uid() = user_id);
