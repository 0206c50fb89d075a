-- What comes beside bench.events events and bench.payments payments, in proportion: see bulk.py.
set session_replication_role = replica;

insert into public.subscriptions (
  billing_key, customer_key, status, tier, started_at, current_period_start, current_period_end, next_billing_date,
  amount, created_at, billing_key_issued_at)
select 'bk-' || n, 'customer-' || n, case when n % 20 < 17 then 'ACTIVE' when n % 20 < 19 then 'CANCELED' else 'EXPIRED' end,
       case n % 3 when 0 then 'basic' else 'pro' end, s.at, s.at, now() + n % 30 * interval '1 day',
       now() + n % 30 * interval '1 day', 9900, s.at, s.at
from generate_series(1, current_setting('bench.payments')::bigint / 30) as n
cross join lateral (select now() - n * interval '90 seconds' as at) s;

insert into public.settlements (
  settlement_key, kind, status, payment_key, order_id, transaction_key, seller_id, reference, amount, pay_out_amount,
  currency, sold_date, paid_out_date, settled_at, occurred_at, event_key)
select 'settlement:' || n, case n % 50 when 0 then 'payout' else 'settlement' end,
       case when n % 1000 = 0 then 'FAILED' else 'COMPLETED' end, p.payment_key, p.order_id, 'transaction-' || n,
       'seller-' || n % 50, 'payout-' || n, p.amount, p.amount * 0.97, 'KRW', s.at::date - 2, s.at::date, s.at, s.at,
       encode(sha256(n::text::bytea), 'hex')
from (select row_number() over () as n, q.* from public.payments q where q.payment_status = 'DONE'
      limit current_setting('bench.payments')::bigint / 3) p
cross join lateral (select p.created_at + interval '2 days' as at) s;

insert into supatoss.refused_deliveries (received_at, event_type, reason, http_status, source_address, body)
select now() - n * interval '7 minutes', case n % 3 when 0 then 'PAYMENT_STATUS_CHANGED' else 'METHOD_UPDATED' end,
       case n % 3 when 0 then 'invalid_signature' else 'acknowledged' end, case n % 3 when 0 then 401 else 200 end,
       '203.0.113.' || n % 250, repeat('x', 1400)
from generate_series(1000, 1, -1) as n;

-- A run a day for two years, with ten differences each; those of the last ten days are open. One run is in progress.
insert into supatoss.reconciliations (
  kind, started_by, first_day, last_day, day, closes_at, status, phase, finished_at, created_at, compared, listed)
select case when n % 20 = 0 then 'settlements' else 'payments' end, 'schedule', s.day, s.day, s.day, s.day + interval '1 day 5 hours',
       case when n = 0 then 'running' else 'finished' end, case when n = 0 then 'compare' else 'list' end,
       case when n > 0 then s.day + interval '1 day 6 hours' end, s.day + interval '1 day 5 hours', 28000, 28000
from generate_series(730, 0, -1) as n
cross join lateral (select current_date - 1 - n::integer as day) s;
insert into supatoss.reconciliation_findings (
  reconciliation_id, subject, kind, day, payment_key, order_id, ours, theirs, outcome, updated_at)
select r.id, 'payment-' || r.first_day || n, (array['missing', 'extra', 'amount', 'status', 'time'])[1 + n % 5],
       r.first_day, 'payment-' || r.first_day || n, 'order-' || r.first_day || n, '{"status": "DONE"}',
       '{"status": "CANCELED", "mId": "tbenchshop01"}',
       case when r.first_day >= current_date - 10 then case n % 2 when 0 then 'found' else 'needs_person' end
            when n = 3 then 'set_aside' when n < 3 then 'resolved' else 'repaired' end, r.created_at
from supatoss.reconciliations r cross join generate_series(1, 10) as n;
insert into supatoss.reconciliation_transactions (
  reconciliation_id, transaction_key, subject, payment_key, order_id, status, amount, currency, transaction_at)
select r.id, 'transaction-' || p.id, p.payment_key, p.payment_key, p.order_id, p.payment_status, p.amount, 'KRW', p.approved_at
from supatoss.reconciliations r
join public.payments p on p.approved_at >= r.day::timestamp at time zone 'Asia/Seoul'
  and p.approved_at < (r.day + 1)::timestamp at time zone 'Asia/Seoul'
where r.status = 'running';

insert into supatoss.operator_actions (actor, action, event_id, reason, status_before, status_after, created_at)
select '김운영', 'ignore', w.id, '환불 완료', 'failed', 'ignored', w.created_at
from public.webhook_events w, generate_series(1, 3) as n where w.status = 'failed';
with acted as (
  insert into supatoss.operator_actions (actor, action, finding_id, reason, status_before, status_after, created_at)
  select '김운영', 'ignore', f.id, '확인', 'found', 'set_aside', f.updated_at
  from supatoss.reconciliation_findings f where f.outcome = 'set_aside'
  returning id, finding_id
)
update supatoss.reconciliation_findings f set action_id = a.id from acted a where f.id = a.finding_id;

insert into supatoss.alerts (rule, subject, started_at, seen_at, ended_at, start_told_at, end_told_at)
select 'event_failed', 'order-' || n, s.at, s.at, case when n > 20 then s.at + interval '1 hour' end, s.at,
       case when n > 20 then s.at + interval '1 hour' end
from generate_series(5000, 1, -1) as n
cross join lateral (select now() - n * interval '100 minutes' as at) s;
insert into supatoss.operator_sessions (id, operator, created_at, expires_at)
select gen_random_uuid(), '김운영', now() - n * interval '1 hour', now() + (24 - n) * interval '1 hour'
from generate_series(1, 2000) as n;
insert into supatoss.processes (name) values ('machine:web:1'), ('machine:worker:1');
reset session_replication_role;
