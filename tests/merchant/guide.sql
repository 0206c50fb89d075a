-- the guide's project whole: foreign keys, triggers, a view, policies; approved_at holds Korean time
-- Before supatoss. The triggers name tables without their schema, and policies of other tables read payments and
-- subscriptions. Times are without a zone: created_at, updated_at and canceled_at in UTC, approved_at in Korean wall
-- time. Roles and the schema auth are there.
create table profiles (
  id uuid primary key, name text, credits integer not null default 0, paid_orders integer not null default 0
);
create table products (
  id uuid primary key default gen_random_uuid(), name text not null, price integer not null
);
create table payments (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references profiles (id) on delete cascade,
  product_id uuid references products (id),
  payment_key varchar(200) unique not null,
  order_id varchar(100) unique not null,
  order_name varchar(100) not null,
  amount integer not null check (amount >= 0),
  currency varchar(3) default 'KRW',
  payment_method varchar(50),
  payment_status varchar(20) not null check (payment_status in ('PENDING', 'DONE', 'CANCELED', 'FAILED')),
  requested_at timestamp default now(),
  approved_at timestamp,
  canceled_at timestamp,
  failure_code varchar(50),
  failure_message text,
  receipt_url text,
  metadata jsonb,
  created_at timestamp default now(),
  updated_at timestamp default now()
);
create index idx_payments_user_id on payments (user_id);
create index idx_payments_status on payments (payment_status);
create index idx_payments_payment_key on payments (payment_key);
create index idx_payments_created_at on payments (created_at desc);

create table subscriptions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid references profiles (id) on delete cascade,
  product_id uuid references products (id),
  billing_key text not null,
  customer_key varchar(100) not null,
  status varchar(20) default 'ACTIVE' check (status in ('ACTIVE', 'PAUSED', 'CANCELED', 'EXPIRED')),
  tier varchar(20) not null,
  started_at timestamp default now(),
  current_period_start timestamp default now(),
  current_period_end timestamp not null,
  canceled_at timestamp,
  billing_cycle varchar(10) default 'monthly' check (billing_cycle in ('monthly', 'yearly')),
  next_billing_date timestamp,
  amount integer not null,
  created_at timestamp default now(),
  updated_at timestamp default now()
);

create table subscription_payments (
  id uuid primary key default gen_random_uuid(),
  subscription_id uuid not null references subscriptions (id) on delete cascade,
  payment_id uuid not null references payments (id) on delete cascade,
  billing_date date not null default current_date,
  status varchar(20) not null default 'SUCCESS',
  created_at timestamp default now()
);

create table webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_type varchar(50) not null,
  payment_key varchar(200),
  payload jsonb not null,
  processed boolean default false,
  processed_at timestamp,
  created_at timestamp default now()
);
create index idx_webhook_events_processed on webhook_events (processed);
create index idx_webhook_events_created_at on webhook_events (created_at desc);

-- "When a payment becomes DONE, add credits": it names its tables without their schema.
create function add_credits() returns trigger language plpgsql as $$
begin
  if new.payment_status = 'DONE' and (tg_op = 'INSERT' or old.payment_status is distinct from 'DONE') then
    update profiles set credits = credits + new.amount / 100, paid_orders = paid_orders + 1 where id = new.user_id;
  end if;
  return new;
end;
$$;
create trigger payments_add_credits after insert or update on payments for each row execute function add_credits();

create function touch_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end;
$$;
create trigger payments_touch before update on payments for each row execute function touch_updated_at();
create trigger subscriptions_touch before update on subscriptions for each row execute function touch_updated_at();

create view sales_of_today as
  select payment_status, sum(amount) as total from payments where date(created_at) = current_date group by payment_status;

grant select, insert, update, delete on all tables in schema public to anon, authenticated, service_role;
grant usage on schema public to anon, authenticated, service_role;

alter table profiles enable row level security;
alter table payments enable row level security;
alter table subscriptions enable row level security;
alter table subscription_payments enable row level security;
create policy "own profile" on profiles for select using (auth.uid() = id);
create policy "own payments" on payments for select using (auth.uid() = user_id);
create policy "own orders" on payments for insert with check (auth.uid() = user_id);
create policy "own subscriptions" on subscriptions for select using (auth.uid() = user_id);
create policy "own subscription payments" on subscription_payments for select using (
  exists (select 1 from subscriptions s where s.id = subscription_payments.subscription_id and s.user_id = auth.uid()));
-- Policies of other tables read ours.
alter table products enable row level security;
create policy "bought products" on products for select using (
  price = 0 or exists (select 1 from payments p where p.product_id = products.id and p.user_id = auth.uid()));

insert into profiles (id, name) values
  ('00000000-0000-0000-0000-000000000001', '김하나'), ('00000000-0000-0000-0000-000000000002', '이둘');
insert into products (id, name, price) values
  ('00000000-0000-0000-0000-0000000000a1', '월 이용권', 9900), ('00000000-0000-0000-0000-0000000000a2', '맛보기', 0);
insert into payments (payment_key, order_id, order_name, amount, payment_status, requested_at, approved_at, created_at,
                      updated_at, user_id, product_id) values
  -- Paid at 10:00 in Korea, 01:00 in UTC.
  ('tviva20240101000001', 'order_1', '첫 주문', 9900, 'DONE', '2024-01-01 00:59:00', '2024-01-01T10:00:00+09:00',
   '2024-01-01 00:59:00', '2024-01-01 01:00:02', '00000000-0000-0000-0000-000000000001',
   '00000000-0000-0000-0000-0000000000a1'),
  ('placeholder-2', 'order_2', '둘째 주문', 5000, 'PENDING', '2024-01-02 00:00:00', null,
   '2024-01-02 00:00:00', '2024-01-02 00:00:00', '00000000-0000-0000-0000-000000000002', null);
insert into subscriptions (id, user_id, product_id, billing_key, customer_key, status, tier, started_at,
                           current_period_start, current_period_end, next_billing_date, amount, billing_cycle) values
  ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-000000000001', null, 'bk-old', 'customer_1',
   'CANCELED', 'PRO', '2023-01-01', '2023-01-01', '2023-02-01', null, 9900, 'monthly'),
  ('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-000000000001', null, 'bk-new', 'customer_1',
   'ACTIVE', 'PRO', '2024-01-01', '2024-01-01', '2024-01-31', '2024-01-31', 9900, 'monthly'),
  -- A second tier of the same customer.
  ('00000000-0000-0000-0000-0000000000b3', '00000000-0000-0000-0000-000000000001', null, 'bk-team', 'customer_1',
   'ACTIVE', 'TEAM', '2024-01-05', '2024-01-05', '2024-02-04', '2024-02-04', 29900, 'monthly');
insert into webhook_events (event_type, payment_key, payload, processed, processed_at, created_at) values
  ('PAYMENT_STATUS_CHANGED', 'tviva20240101000001', '{"eventType": "PAYMENT_STATUS_CHANGED"}', true,
   '2024-01-01 01:00:01', '2024-01-01 01:00:00'),
  ('PAYMENT_STATUS_CHANGED', 'tviva20240101000001', '{"eventType": "PAYMENT_STATUS_CHANGED"}', true,
   '2024-01-01 01:00:02', '2024-01-01 01:00:02'),
  ('BILLING_KEY_ISSUED', null, '{"eventType": "BILLING_KEY_ISSUED"}', false, null, '2024-01-01 02:00:00');
