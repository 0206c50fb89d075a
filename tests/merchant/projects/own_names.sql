-- tables of its own named alerts, settlements, reconciliations and webhook_health
create table alerts (id serial primary key, user_id uuid, message text not null, is_read boolean default false);
create table settlements (id serial primary key, seller_id uuid not null, month date not null, amount integer);
alter table settlements enable row level security;
create policy "own settlements" on settlements for select using (auth.uid() = seller_id);
create table reconciliations (id serial primary key, bank text, day date);
create view webhook_health as select count(*) as unread from alerts where not is_read;
insert into alerts (message) values ('hello');
insert into settlements (seller_id, month, amount) values (gen_random_uuid(), '2024-01-01', 100000);
