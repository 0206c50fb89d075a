// Makes stripe-sync-engine's schema in the database of the first argument.
import { createRequire } from "node:module";

// Its ES module looks for the migrations through __dirname, which ES modules do not have.
const { runMigrations } = createRequire(import.meta.url)("@supabase/stripe-sync-engine");

const errors = [];
await runMigrations({
  databaseUrl: process.argv[2],
  schema: "stripe",
  logger: { info() {}, error: (...error) => errors.push(...error) },
});
if (errors.length) {
  console.error(...errors);
  process.exit(1);
}
