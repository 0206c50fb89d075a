-- payment_history, written once a payment is confirmed
create table payment_history (
  id serial primary key, user_id uuid, payment_key text, order_id text not null, amount integer, plan text,
  status varchar(20) default 'DONE', raw jsonb, created_at timestamp default now()
);
insert into payment_history (payment_key, order_id, amount, plan) values ('tviva1', 'plan-1', 9900, 'pro');
create view monthly_sales as
  select date_trunc('month', created_at) as month, sum(amount) as total from payment_history group by 1;
