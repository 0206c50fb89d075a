-- payments of another provider
create table payments (
  id serial primary key, imp_uid varchar(50) unique, merchant_uid varchar(60) unique not null, pg_provider varchar(30),
  amount numeric(12, 2) not null, status varchar(20) not null default 'ready', paid_at timestamptz
);
insert into payments (imp_uid, merchant_uid, pg_provider, amount, status) values
  ('imp_1', 'merchant_1', 'another', 12000, 'paid');
