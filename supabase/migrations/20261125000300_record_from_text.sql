-- record_webhook_events_v1 from one text that holds a JSON array of events: the Data API hands a text on as it came, while it
-- reads and writes an array of JSON once more, which is most of what a call with many events costs it.
create function public.record_webhook_events_v2(events text)
returns jsonb
language sql
set search_path = ''
as $$
  select public.record_webhook_events_v1(array(
    select e.event from jsonb_array_elements(events::jsonb) with ordinality as e (event, place) order by e.place))
$$;

create or replace function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 3 $$;

select supatoss.close_functions();
