-- Checks that were made without looking at the rows of before. Looking takes a while, but keeps nobody out.
select supatoss.validate_checks('public.payments', '{payment_status}');
select supatoss.validate_checks('public.webhook_events', '{status, proof}');
