-- For benchmarks only: PGlite has no other door than the Data API, and the oracle has to see rows.
create function public.benchmark_query(query text)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rows jsonb;
begin
  execute 'select coalesce(jsonb_agg(to_jsonb(q)), ''[]''::jsonb) from (' || query || ') q' into v_rows;
  return v_rows;
end;
$$;
create function public.benchmark_execute(statement text)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
  execute statement;
end;
$$;
revoke all on function public.benchmark_query(text) from public, anon, authenticated;
revoke all on function public.benchmark_execute(text) from public, anon, authenticated;
grant execute on function public.benchmark_query(text) to service_role;
grant execute on function public.benchmark_execute(text) to service_role;
