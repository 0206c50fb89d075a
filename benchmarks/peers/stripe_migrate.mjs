// Makes stripe-sync-engine's schema in the database of the first argument.
import { runMigrations } from "@supabase/stripe-sync-engine";

const errors = [];
await runMigrations({
  databaseUrl: process.argv[2],
  schema: "stripe",
  logger: { info() {}, error: (error) => errors.push(error) },
});
if (errors.length) {
  console.error(...errors);
  process.exit(1);
}
