-- The CLI runs a file in one transaction, where nothing is built concurrently. So the indexes of a large table come in
-- files of a second or so at a million rows: beside each, an adopted table is read, and its writers wait.
-- squawk-ignore-file require-concurrent-index-creation
select supatoss.lock_adopted('public.webhook_events', 'share');

-- The last eight hex digits of an id, by which people name an event. A B-tree of them would touch another page for each
-- event; this index has one entry for 128 pages, which is made when they are full.
create index if not exists webhook_events_short_id_idx on public.webhook_events
  using brin (substr(uuid_send(id), 13) bytea_bloom_ops (n_distinct_per_range = 1000, false_positive_rate = 0.001))
  with (autosummarize = on);
