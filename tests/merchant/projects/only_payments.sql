-- payments of the guide alone, as the guide writes them: times without a zone
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, payment_key varchar(200) unique not null,
  order_id varchar(100) unique not null, order_name varchar(100) not null, amount integer not null,
  currency varchar(3) default 'KRW', payment_method varchar(50), payment_status varchar(20) not null,
  requested_at timestamp default now(), approved_at timestamp, canceled_at timestamp, failure_code varchar(50),
  failure_message text, receipt_url text, metadata jsonb, created_at timestamp default now(),
  updated_at timestamp default now()
);
insert into payments (payment_key, order_id, order_name, amount, payment_status) values
  ('tviva1', 'order-1', '첫 주문', 9900, 'DONE'), ('placeholder-2', 'order-2', '둘째 주문', 5000, 'PENDING');
