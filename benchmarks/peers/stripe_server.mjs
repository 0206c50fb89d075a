// A thin HTTP server before Supabase's stripe-sync-engine.
import { createServer } from "node:http";
import { StripeSync } from "@supabase/stripe-sync-engine";

const sync = new StripeSync({
  poolConfig: { connectionString: process.env.DATABASE_URL, max: 20 },
  stripeSecretKey: "sk_test_made_up_for_benchmarks",
  stripeWebhookSecret: process.env.STRIPE_WEBHOOK_SECRET,
  backfillRelatedEntities: false,
});

const server = createServer(async (request, response) => {
  if (request.method === "GET") {
    response.writeHead(200, { "content-length": 2 }).end("ok");
    return;
  }
  const parts = [];
  for await (const part of request) parts.push(part);
  let status = 200;
  let answer = '{"received":true}';
  try {
    await sync.processWebhook(Buffer.concat(parts), request.headers["stripe-signature"]);
  } catch (error) {
    console.error(error);
    status = 400;
    answer = '{"error":"refused"}';
  }
  response.writeHead(status, { "content-type": "application/json", "content-length": answer.length }).end(answer);
});
server.keepAliveTimeout = 65_000;
server.listen(Number(process.env.PORT), process.env.HOST);
