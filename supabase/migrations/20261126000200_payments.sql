-- One row per order. A project that has the table keeps it as it is: rows, types that work, grants and policies.
select supatoss.lock_adopted('public.payments', 'access exclusive');

create table if not exists public.payments (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  product_id uuid,
  payment_key varchar(200) not null,
  order_id varchar(100) not null,
  order_name varchar(100) not null,
  amount numeric not null constraint payments_amount_check check (amount >= 0),
  currency text default 'KRW',
  payment_method varchar(50),
  payment_status varchar(20) not null,
  requested_at timestamptz,
  approved_at timestamptz,
  canceled_at timestamptz,
  failure_code text,
  failure_message text,
  receipt_url text,
  metadata jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  -- Toss's eight statuses, and the two that applications of this schema write themselves (PENDING, FAILED).
  constraint payments_payment_status_check check (
    payment_status in ('PENDING', 'READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'DONE', 'CANCELED',
                       'PARTIAL_CANCELED', 'ABORTED', 'EXPIRED', 'FAILED'))
);

-- To text, and to a longer varchar, no row is rewritten. Toss's codes have no documented maximum.
select supatoss.adopt_columns('public.payments',
  '{"payment_key": 200, "order_id": 100, "order_name": 100, "payment_method": 50, "payment_status": 20,
    "currency": null, "failure_code": null, "failure_message": null, "receipt_url": null}');
select supatoss.order_ids_by_time('public.payments');
select supatoss.widen_check('public.payments', 'payment_status',
  $$payment_status in ('PENDING', 'READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'DONE', 'CANCELED',
                       'PARTIAL_CANCELED', 'ABORTED', 'EXPIRED', 'FAILED')$$);

-- What a project may not have.
alter table public.payments
  add column if not exists user_id uuid,
  add column if not exists product_id uuid,
  add column if not exists order_name varchar(100),
  -- squawk-ignore adding-field-with-default
  add column if not exists currency text default 'KRW',
  add column if not exists payment_method varchar(50),
  add column if not exists requested_at timestamptz,
  add column if not exists approved_at timestamptz,
  add column if not exists canceled_at timestamptz,
  add column if not exists failure_code text,
  add column if not exists failure_message text,
  add column if not exists receipt_url text,
  add column if not exists metadata jsonb;
select supatoss.add_clock('public.payments', 'created_at');
select supatoss.add_clock('public.payments', 'updated_at');

-- What is ours.
alter table public.payments
  add column if not exists balance_amount numeric,
  add column if not exists cancels jsonb,
  add column if not exists virtual_account jsonb,
  add column if not exists merchant_id text,
  add column if not exists settled_at timestamptz,
  add column if not exists occurred_at timestamptz,
  add column application_state jsonb,
  add column projected_state text,
  add column projected_price text;
select supatoss.keep_old_times('public.payments');

-- A fresh project starts strict: users read their own payments; all else is the service's.
select supatoss.restrict_new('public.payments', '{}');
grant select, insert, update, delete on table public.payments to service_role;

comment on table public.payments is
  'One row per order: what the application asked for and what Toss reported about it.';
comment on column public.payments.amount is
  'What the order costs, in units of currency (USD has cents). 0 while nobody has said it.';
comment on column public.payments.balance_amount is
  'What can still be cancelled: the amount less the cancels. Null while nothing is paid.';
comment on column public.payments.cancels is 'Toss''s Cancel objects, one per transactionKey, oldest first.';
comment on column public.payments.virtual_account is 'Toss''s VirtualAccount object: bank, number, due date.';
comment on column public.payments.merchant_id is 'mId of the payment at Toss.';
comment on column public.payments.settled_at is 'When the first settlement that names this payment was done.';
comment on column public.payments.occurred_at is 'When the latest event of the attempt shown here occurred.';
comment on column public.payments.application_state is
  'What the application last wrote into this row: the first state of the fold.';
comment on column public.payments.projected_state is
  'Digest of what the fold last wrote; a difference means that the application wrote since.';
comment on column public.payments.projected_price is 'Amount and currency as the fold last wrote them.';

-- Of two events at one time the one whose status stands later in this list is the later one.
create function supatoss.status_rank(p_status text)
returns integer
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return array_position(array['PENDING', 'READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'EXPIRED', 'FAILED', 'ABORTED',
                              'DONE', 'PARTIAL_CANCELED', 'CANCELED'], p_status);
end;
$$;

-- Whether a status means that money moved.
create function supatoss.is_moved(p_status text)
returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  return p_status in ('DONE', 'PARTIAL_CANCELED', 'CANCELED');
end;
$$;

-- What the fold writes, as one comparable value. The fold keeps it in payments.projected_state; a row that has
-- another digest was written by the application since. Do not change this formula: every stored digest would differ,
-- every row would look written by the application, and the next event of each order would take Toss's own report for
-- the application's word. A test holds it with fixed values. A change has to write projected_state of all rows anew
-- in the same migration.
create function supatoss.state_digest(
  p_payment_key text, p_status text, p_approved_at timestamptz, p_canceled_at timestamptz, p_requested_at timestamptz,
  p_method text, p_receipt_url text, p_order_name text, p_failure_code text, p_failure_message text)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return md5(jsonb_build_array(
    p_payment_key, p_status, extract(epoch from p_approved_at), extract(epoch from p_canceled_at),
    extract(epoch from p_requested_at), p_method, p_receipt_url, p_order_name, p_failure_code, p_failure_message
  )::text);
end;
$$;

-- Amount and currency as one comparable value, kept in payments.projected_price: what state_digest says about changes
-- of the formula holds for this one too.
create function supatoss.price_text(p_amount numeric, p_currency text)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return trim_scale(p_amount)::text || ' ' || coalesce(p_currency, '');
end;
$$;

create function supatoss.payment_state(p public.payments)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return supatoss.state_digest(
    p.payment_key, p.payment_status, p.approved_at, p.canceled_at, p.requested_at, p.payment_method, p.receipt_url,
    p.order_name, p.failure_code, p.failure_message);
end;
$$;

create function supatoss.payment_price(p public.payments)
returns text
language plpgsql stable
set search_path = ''
as $$
begin
  return supatoss.price_text(p.amount, p.currency);
end;
$$;

select supatoss.close_functions();
