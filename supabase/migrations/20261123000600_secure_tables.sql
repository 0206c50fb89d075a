-- Row level security on every table. Users read their own payments and subscriptions; all else is the service's.
alter table public.payments enable row level security;
alter table public.payment_secrets enable row level security;
alter table public.subscriptions enable row level security;
alter table public.webhook_events enable row level security;
alter table public.settlements enable row level security;

-- Column by column as well: a project may have granted single columns, which the table's revoke would leave.
do $$
declare
  v_table regclass;
  v_columns text;
begin
  foreach v_table in array array['public.payments', 'public.payment_secrets', 'public.subscriptions',
                                 'public.webhook_events', 'public.settlements']::regclass[]
  loop
    execute format('revoke all on table %s from public, anon, authenticated', v_table);
    select string_agg(quote_ident(attname), ', ') into v_columns
    from pg_catalog.pg_attribute where attrelid = v_table and attnum > 0 and not attisdropped;
    execute format('revoke select (%1$s), insert (%1$s), update (%1$s), references (%1$s) on table %2$s from public, anon, authenticated',
                   v_columns, v_table);
    execute format('grant select, insert, update, delete on table %s to service_role', v_table);
  end loop;

  grant select on table public.payments to authenticated;
  select string_agg(quote_ident(attname), ', ') into v_columns
  from pg_catalog.pg_attribute
  where attrelid = 'public.subscriptions'::regclass and attnum > 0 and not attisdropped and attname <> 'billing_key';
  execute format('grant select (%s) on table public.subscriptions to authenticated', v_columns);
end;
$$;

-- A policy that a project has on webhook_events would open it again.
do $$
declare
  v_policy record;
begin
  for v_policy in
    select policyname, tablename from pg_catalog.pg_policies
    where schemaname = 'public' and tablename in ('webhook_events', 'payment_secrets', 'settlements')
  loop
    execute format('drop policy %I on public.%I', v_policy.policyname, v_policy.tablename);
  end loop;
end;
$$;

drop policy if exists supatoss_users_read_own_payments on public.payments;
create policy supatoss_users_read_own_payments on public.payments
  for select to authenticated using (user_id = (select auth.uid()));
drop policy if exists supatoss_users_read_own_subscriptions on public.subscriptions;
create policy supatoss_users_read_own_subscriptions on public.subscriptions
  for select to authenticated using (user_id = (select auth.uid()));
