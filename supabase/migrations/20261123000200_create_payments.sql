-- One row per order. A project that already has the table keeps its rows; the columns are brought to these types.
create table if not exists public.payments (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  product_id uuid,
  payment_key varchar(200) not null,
  order_id varchar(100) not null,
  order_name varchar(100) not null,
  amount numeric not null,
  currency varchar(3) default 'KRW',
  payment_method varchar(50),
  payment_status varchar(20) not null,
  requested_at timestamptz,
  approved_at timestamptz,
  canceled_at timestamptz,
  failure_code varchar(50),
  failure_message text,
  receipt_url text,
  metadata jsonb,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

select supatoss.adopt_column_types('public.payments', array['amount']);
select supatoss.replace_check('public.payments', 'amount', 'payments_amount_check', 'amount >= 0');
-- Toss's eight statuses, and the two that applications of this schema write themselves (PENDING, FAILED).
select supatoss.replace_check('public.payments', 'payment_status', 'payments_payment_status_check',
  $$payment_status in ('PENDING', 'READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'DONE', 'CANCELED',
                       'PARTIAL_CANCELED', 'ABORTED', 'EXPIRED', 'FAILED')$$);

-- Toss's codes have no documented maximum.
alter table public.payments alter column failure_code type text;

alter table public.payments
  add column if not exists balance_amount numeric,
  add column if not exists cancels jsonb,
  add column if not exists virtual_account jsonb,
  add column if not exists merchant_id text,
  add column if not exists settled_at timestamptz,
  add column if not exists occurred_at timestamptz,
  add column if not exists application_state jsonb,
  add column if not exists projected_state text,
  add column if not exists projected_price text;

create unique index if not exists payments_payment_key_key on public.payments (payment_key);
create unique index if not exists payments_order_id_key on public.payments (order_id);
create index if not exists payments_user_id_created_at_idx on public.payments (user_id, created_at desc);

comment on table public.payments is 'One row per order: what the application asked for and what Toss reported about it.';
comment on column public.payments.amount is 'What the order costs, in units of currency (USD has cents). 0 while nobody has said it.';
comment on column public.payments.balance_amount is 'What can still be cancelled: the amount less the cancels. Null while nothing is paid.';
comment on column public.payments.cancels is 'Toss''s Cancel objects, one per transactionKey, oldest first.';
comment on column public.payments.virtual_account is 'Toss''s VirtualAccount object: bank, number, due date.';
comment on column public.payments.merchant_id is 'mId of the payment at Toss.';
comment on column public.payments.settled_at is 'When the first settlement that names this payment was done.';
comment on column public.payments.occurred_at is 'When the latest event of the attempt shown here occurred.';
comment on column public.payments.application_state is 'What the application last wrote into this row: the first state of the fold.';
comment on column public.payments.projected_state is 'Digest of what the fold last wrote; a difference means that the application wrote since.';
comment on column public.payments.projected_price is 'Amount and currency as the fold last wrote them.';

-- Deposit secrets stand apart from payments, so that a user's `select *` on payments keeps working and never shows one.
create table if not exists public.payment_secrets (
  order_id text not null,
  secret text not null,
  payment_key text,
  created_at timestamptz not null default now(),
  primary key (order_id, secret)
);
create index if not exists payment_secrets_payment_key_idx on public.payment_secrets (payment_key);
comment on table public.payment_secrets is
  'The `secret` of Toss''s Payment object: it proves a DEPOSIT_CALLBACK. The application may store it when it confirms.';
