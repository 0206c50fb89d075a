-- Settlements by transaction key or settlement key. keys: JSON array of {transaction_key, settlement_key}.
create function public.supatoss_read_settlements_v1(keys text)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'settlement_key', s.settlement_key, 'transaction_key', s.transaction_key, 'amount', s.amount::text,
           'pay_out_amount', s.pay_out_amount::text, 'currency', s.currency)), '[]'::jsonb)
  from public.settlements s
  where s.kind = 'settlement'
    and (s.transaction_key = any (array(select k.item ->> 'transaction_key' from jsonb_array_elements($1::jsonb) as k (item)))
         or s.settlement_key = any (array(select k.item ->> 'settlement_key' from jsonb_array_elements($1::jsonb) as k (item))))
$$;

-- Records what Toss says of a settlement, and lets it count whatever the row says now. Answers {event, status, reason, error}.
create function public.supatoss_repair_settlement_v1(repair text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_event jsonb := repair::jsonb -> 'event';
  v_recorded jsonb;
  v_row public.webhook_events;
begin
  perform supatoss.lock_subjects_v1(array[v_event]);
  update public.settlements s set occurred_at = '-infinity'
  where s.settlement_key = v_event -> 'change' ->> 'settlement_key';
  v_recorded := public.record_webhook_events_v1(array[v_event]) -> 0;
  perform supatoss.project_settlements_v1(array[(v_recorded ->> 'id')::uuid]);
  select * into v_row from public.webhook_events w where w.id = (v_recorded ->> 'id')::uuid;
  return jsonb_build_object('event', v_row.id, 'status', v_row.status, 'reason', v_row.reason, 'error', v_row.last_error);
end;
$$;

select supatoss.close_functions();
