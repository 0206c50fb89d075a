-- The tables as projects of the merchant's guide have them before supatoss: times without a zone, in UTC.
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid,
  payment_key varchar(200) unique not null, order_id varchar(100) unique not null, order_name varchar(100) not null,
  amount integer not null check (amount >= 0), currency varchar(3) default 'KRW', payment_method varchar(50),
  payment_status varchar(20) not null check (payment_status in ('PENDING', 'DONE', 'CANCELED', 'FAILED')),
  requested_at timestamp, approved_at timestamp, canceled_at timestamp, failure_code varchar(50), failure_message text,
  receipt_url text, metadata jsonb, created_at timestamp default now(), updated_at timestamp default now()
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, billing_key text not null,
  customer_key varchar(100) not null, status varchar(20) check (status in ('ACTIVE', 'PAUSED', 'CANCELED', 'EXPIRED')),
  tier varchar(20) not null, started_at timestamp not null, current_period_start timestamp not null,
  current_period_end timestamp not null, canceled_at timestamp,
  billing_cycle varchar(10) check (billing_cycle in ('monthly', 'yearly')), next_billing_date timestamp,
  amount integer not null, created_at timestamp default now(), updated_at timestamp default now()
);
create table webhook_events (
  id uuid primary key default gen_random_uuid(), event_type varchar(50) not null, payment_key varchar(200),
  payload jsonb not null, processed boolean default false, processed_at timestamp, created_at timestamp default now()
);
alter table payments enable row level security;
alter table subscriptions enable row level security;
create policy "read own" on payments for select using (auth.uid() = user_id);
create policy "read own" on subscriptions for select using (auth.uid() = user_id);

insert into payments (payment_key, order_id, order_name, amount, payment_status, approved_at, created_at, user_id) values
  ('tviva1', 'order_1', '첫 주문', 9900, 'DONE', '2024-01-01 01:00:00', '2024-01-01 00:59:00', '00000000-0000-0000-0000-000000000001'),
  ('placeholder-2', 'order_2', '둘째 주문', 5000, 'PENDING', null, '2024-01-02 00:00:00', '00000000-0000-0000-0000-000000000002');
insert into subscriptions (billing_key, customer_key, status, tier, started_at, current_period_start, current_period_end, amount, billing_cycle)
values ('bk-old', 'customer_1', 'CANCELED', 'PRO', '2023-01-01', '2023-01-01', '2023-02-01', 9900, 'monthly'),
       ('bk-new', 'customer_1', 'ACTIVE', 'PRO', '2024-01-01', '2024-01-01', '2024-02-01', 9900, 'monthly');
insert into webhook_events (event_type, payment_key, payload, processed, processed_at, created_at) values
  ('PAYMENT_STATUS_CHANGED', 'tviva1', '{"eventType": "PAYMENT_STATUS_CHANGED"}', true, '2024-01-01 01:00:01', '2024-01-01 01:00:00'),
  ('PAYMENT_STATUS_CHANGED', 'tviva1', '{"eventType": "PAYMENT_STATUS_CHANGED"}', true, '2024-01-01 01:00:02', '2024-01-01 01:00:02'),
  ('BILLING_KEY_ISSUED', null, '{"eventType": "BILLING_KEY_ISSUED"}', false, null, '2024-01-01 02:00:00');
