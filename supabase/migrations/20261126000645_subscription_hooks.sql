-- public.on_subscription_changed: as on_payment_changed (hooks.sql), once a change of a billing key.

create table supatoss.announced_subscriptions (
  billing_key text primary key,
  customer_key text not null,
  replaces text,
  stage text not null,
  state jsonb,
  announced_at timestamptz
);
create index announced_subscriptions_customer_key_idx on supatoss.announced_subscriptions (customer_key);
comment on table supatoss.announced_subscriptions is
  'What on_subscription_changed was told last of the subscription that uses each billing key.';
comment on column supatoss.announced_subscriptions.replaces is 'The billing key before it, of the same subscription.';
comment on column supatoss.announced_subscriptions.stage is
  'open: nothing told yet; live; replaced: by another key; canceled.';

alter table supatoss.announced_subscriptions enable row level security;
revoke all on table supatoss.announced_subscriptions from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.announced_subscriptions to service_role;

-- The columns of a row that changes are about.
create function supatoss.announced_billing(s public.subscriptions)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'billing_key', s.billing_key, 'status', s.status, 'canceled_at', s.canceled_at,
    'billing_key_issued_at', s.billing_key_issued_at, 'billing_key_deleted_at', s.billing_key_deleted_at);
end;
$$;

-- As remember_payments. A row that only the application has written so far is open.
create function supatoss.remember_subscriptions(p_customer_key text)
returns void
language plpgsql
set search_path = ''
as $$
begin
  insert into supatoss.announced_subscriptions (billing_key, customer_key, stage, state)
  select distinct on (s.billing_key) s.billing_key, s.customer_key,
         case when s.status not in ('ACTIVE', 'PAUSED') then 'canceled'
              when s.billing_state is null then 'open' else 'live' end, supatoss.announced_billing(s)
  from public.subscriptions s
  where s.customer_key = p_customer_key
    and (s.billing_state is null or s.billing_state #>> '{written,billing_key}' = s.billing_key)
  order by s.billing_key, s.status in ('ACTIVE', 'PAUSED') desc
  on conflict (billing_key) do nothing;
end;
$$;

-- What was told last of the billing key that a row has now, or of the one that it had before.
create function supatoss.announced_before(s public.subscriptions)
returns supatoss.announced_subscriptions
language plpgsql stable
set search_path = ''
as $$
declare
  v_told supatoss.announced_subscriptions;
begin
  select * into v_told from supatoss.announced_subscriptions a where a.billing_key = s.billing_key;
  if not found then
    select * into v_told from supatoss.announced_subscriptions a
    where a.customer_key = s.customer_key and a.stage in ('open', 'live') and not exists (
      select 1 from public.subscriptions o where o.billing_key = a.billing_key)
    order by a.announced_at desc nulls last, a.billing_key limit 1;
  end if;
  return v_told;
end;
$$;

-- The change that leads from what was told last to the row, on Toss's word alone; null: none.
create function supatoss.subscription_change(p_told supatoss.announced_subscriptions, s public.subscriptions)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  if s.status in ('ACTIVE', 'PAUSED') then
    return case
      when supatoss.billing_key_time(s.billing_key, 'issued') is null then null
      when p_told.billing_key <> s.billing_key or (p_told.stage = 'open' and p_told.replaces is not null)
        then 'key_changed'
      when p_told.billing_key is null or p_told.stage = 'open' then 'activated'
    end;
  end if;
  return case when s.billing_key_deleted_at is not null and p_told.stage in ('open', 'live')
                   and p_told.state is not null then 'canceled' end;
end;
$$;

-- Tells the project of a subscription's change, if there is one. Whether all is told now.
create function supatoss.announce_subscription(s public.subscriptions)
returns boolean
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_told supatoss.announced_subscriptions := supatoss.announced_before(s);
  v_change text := supatoss.subscription_change(v_told, s);
  v_before public.subscriptions;
  v_is_told boolean := true;
  v_context text;
begin
  if v_change is null then
    return true;
  end if;
  if v_told.state is not null then
    v_before := jsonb_populate_record(s, v_told.state);
  end if;
  if v_told.billing_key is distinct from s.billing_key then
    update supatoss.announced_subscriptions a set stage = 'replaced' where a.billing_key = v_told.billing_key;
    insert into supatoss.announced_subscriptions (billing_key, customer_key, replaces, stage, state)
    values (s.billing_key, s.customer_key, v_told.billing_key, 'open', v_told.state);
  end if;
  perform supatoss.check_deferred(true);
  begin
    perform supatoss.check_deferred(false);
    execute 'select public.on_subscription_changed($1, $2, $3)' using v_change, v_before, s;
    perform supatoss.check_deferred(true);
    update supatoss.announced_subscriptions a
    set stage = case v_change when 'canceled' then 'canceled' else 'live' end,
        state = supatoss.announced_billing(s), announced_at = now()
    where a.billing_key = s.billing_key;
  exception when others or assert_failure then
    if supatoss.is_cured_by_retry(sqlstate, sqlerrm) then
      raise;
    end if;
    get stacked diagnostics v_context = pg_exception_context;
    v_is_told := false;
    perform supatoss.fail_hook(
      (select w.id from public.webhook_events w
       where w.change ->> 'kind' = 'billing'
         and (w.change ->> 'customer_key' = s.customer_key or w.change ->> 'billing_key' = s.billing_key)
         and (w.status = 'processed' or (w.status = 'failed' and w.reason = 'hook_failed'))
       order by w.status = 'failed' desc, w.processed_at desc nulls last, w.last_delivered_at desc, w.id desc limit 1),
      format('on_subscription_changed(%L): %s', v_change, supatoss.describe_refusal(sqlerrm, sqlstate, v_context)));
  end;
  perform supatoss.check_deferred(false);
  return v_is_told;
end;
$$;

-- Tells the project what has changed of a customer's subscriptions: what ended goes first.
create function supatoss.announce_subscriptions(p_customer_key text)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_subscription public.subscriptions;
  v_is_told boolean := true;
begin
  for v_subscription in
    select * from public.subscriptions s where s.customer_key = p_customer_key
    order by s.status in ('ACTIVE', 'PAUSED'), s.started_at, s.id
  loop
    v_is_told := supatoss.announce_subscription(v_subscription) and v_is_told;
  end loop;
  if v_is_told then
    perform supatoss.mend_hooks(array(
      select w.id from public.webhook_events w
      where w.change ->> 'kind' = 'billing' and w.status = 'failed' and w.reason = 'hook_failed'
        and (w.change ->> 'customer_key' = p_customer_key
             or w.change ->> 'billing_key' in (
               select s.billing_key from public.subscriptions s where s.customer_key = p_customer_key))));
  end if;
end;
$$;

-- For a project that has fulfilled its orders otherwise until now: what its rows say today counts as told. Returns how
-- many orders and subscriptions were new.
create function supatoss.skip_existing_changes()
returns bigint
language plpgsql
set search_path = ''
as $$
declare
  v_payments bigint;
  v_subscriptions bigint;
begin
  insert into supatoss.announced_payments (order_id, stage, state)
  select p.order_id, supatoss.stage_of(p.payment_status, p.balance_amount), supatoss.announced_state(p)
  from public.payments p
  on conflict (order_id) do nothing;
  get diagnostics v_payments = row_count;
  insert into supatoss.announced_subscriptions (billing_key, customer_key, stage, state)
  select distinct on (s.billing_key) s.billing_key, s.customer_key,
         case when s.status in ('ACTIVE', 'PAUSED') then 'live' else 'canceled' end, supatoss.announced_billing(s)
  from public.subscriptions s
  order by s.billing_key, s.status in ('ACTIVE', 'PAUSED') desc
  on conflict (billing_key) do nothing;
  get diagnostics v_subscriptions = row_count;
  return v_payments + v_subscriptions;
end;
$$;

select supatoss.close_functions();
