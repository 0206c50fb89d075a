-- the guide's names, with constraints that refuse Toss's values
create table tiers (name varchar(20) primary key);
create table payments (
  id uuid primary key, user_id uuid, product_id uuid, payment_key varchar(40) unique not null,
  order_id varchar(100) not null, order_name varchar(100) not null, amount integer not null,
  currency varchar(3) default 'KRW', payment_method varchar(50) check (payment_method in ('CARD', 'TRANSFER')),
  payment_status varchar(20) not null default 'PENDING', requested_at timestamptz default now(),
  approved_at timestamptz, canceled_at timestamptz, failure_code varchar(50), failure_message varchar(100),
  receipt_url text, metadata text, virtual_account text, created_at timestamptz default now(),
  updated_at timestamptz default now(),
  constraint payments_order_id_key unique (order_id) deferrable initially deferred,
  constraint paid_with_a_method check (payment_status <> 'DONE' or payment_method is not null)
);
create table subscriptions (
  id uuid primary key default gen_random_uuid(), user_id uuid not null, product_id uuid, billing_key text not null,
  customer_key varchar(100) unique not null, status varchar(20) default 'ACTIVE', tier varchar(20) not null references tiers,
  started_at timestamptz not null, current_period_start timestamptz not null, current_period_end timestamptz not null,
  canceled_at timestamptz, billing_cycle varchar(10) default 'monthly', next_billing_date date, amount integer not null,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
create table webhook_events (
  id uuid default gen_random_uuid(), event_type varchar(50) not null
    check (event_type in ('PAYMENT_STATUS_CHANGED', 'DEPOSIT_CALLBACK')),
  payment_key varchar(200) references payments (payment_key), payload jsonb not null, processed boolean default false,
  processed_at timestamptz, created_at timestamptz default now(), unique (payment_key, event_type)
);
create publication changes for table webhook_events;
insert into tiers values ('BASIC');
insert into payments (id, payment_key, order_id, order_name, amount) values
  (gen_random_uuid(), 'placeholder-1', 'order-1', '강의', 50000);
insert into subscriptions (user_id, billing_key, customer_key, tier, started_at, current_period_start,
                           current_period_end, amount)
values (gen_random_uuid(), 'bk-1', 'customer-1', 'BASIC', now(), now(), now() + interval '1 month', 9900);
