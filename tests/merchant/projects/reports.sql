-- the guide's tables, with reports, rules and publications that hang on times without a zone
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, payment_key varchar(200) unique not null,
  order_id varchar(100) unique not null, order_name varchar(100) not null, amount integer not null,
  currency varchar(3) default 'KRW', payment_method varchar(50),
  payment_status varchar(20) not null check (payment_status in ('PENDING', 'DONE', 'CANCELED', 'FAILED')),
  requested_at timestamp default now(), approved_at timestamp, canceled_at timestamp, failure_code varchar(50),
  failure_message text, receipt_url text, metadata jsonb, created_at timestamp not null default now(),
  updated_at timestamp default now(),
  paid_on date generated always as (approved_at::date) stored,
  check (approved_at is null or approved_at >= '2020-01-01'::timestamp)
);
create index payments_by_day on payments (date(created_at), user_id);
create index payments_lately on payments (payment_status) where created_at > '2024-01-01'::timestamp;
create index payments_plain on payments (created_at desc) where canceled_at is not null;
create statistics payments_days on date(created_at), payment_status from payments;
create table subscriptions (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, billing_key text not null,
  customer_key varchar(100) not null, status varchar(20) check (status in ('ACTIVE', 'PAUSED', 'CANCELED', 'EXPIRED')),
  tier varchar(20) not null, started_at timestamp not null, current_period_start timestamp not null,
  current_period_end timestamp not null, canceled_at timestamp, billing_cycle varchar(10) default 'monthly',
  next_billing_date timestamp, amount integer not null, created_at timestamp default now(),
  updated_at timestamp default now(),
  constraint one_period exclude using gist (tsrange(current_period_start, current_period_end) with &&)
    where (status = 'PAUSED')
);
create table audit (id bigint generated always as identity primary key, what text, at timestamptz default now());
create function note() returns trigger language plpgsql as $$
begin
  insert into public.audit (what) values (tg_name);
  return new;
end;
$$;
create trigger on_approval after update of approved_at, payment_status on payments
  for each row when (new.approved_at is distinct from old.approved_at) execute function note();
create rule keep_billed as on delete to subscriptions where old.next_billing_date is not null do instead nothing;
create policy "lately" on payments for select to authenticated using (created_at > now() - interval '90 days');
create view latest_payments as select id, created_at, amount from payments order by created_at desc limit 10;
create materialized view daily_sales as
  select created_at::date as day, sum(amount) as total from payments where payment_status = 'DONE' group by 1;
create unique index daily_sales_day on daily_sales (day);
create materialized view weekly_sales as
  select date_trunc('week', day) as week, sum(total) as total from daily_sales group by 1;
create function approved_between(since timestamp, until timestamp) returns bigint language sql stable
begin atomic
  select count(*) from payments where approved_at between since and until;
end;
create function latest(n integer) returns table (order_id varchar, at timestamp) language plpgsql stable as $$
begin
  return query select p.order_id, p.created_at from payments p order by p.created_at desc limit n;
end;
$$;
create publication shop_events for table payments (id, order_id, payment_status, created_at);
insert into payments (payment_key, order_id, order_name, amount, payment_status, approved_at) values
  ('tviva1', 'order-1', '첫 주문', 9900, 'DONE', '2024-01-01 10:00:00'),
  ('placeholder-2', 'order-2', '둘째 주문', 5000, 'PENDING', null);
