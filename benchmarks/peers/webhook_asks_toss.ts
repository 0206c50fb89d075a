// The guide's edge function for deliveries without a signature: it looks the payment up at Toss, compares the amount
// with the order's, and writes what Toss answered. Three calls of the Data API an event, as in webhook.ts.
import { createClient } from "@supabase/supabase-js";

const supabase = createClient(Deno.env.get("SUPABASE_URL")!, Deno.env.get("SUPABASE_SECRET_KEY")!, {
  auth: { persistSession: false, autoRefreshToken: false },
});
const toss = Deno.env.get("TOSS_API_URL")!;
const authorization = `Basic ${btoa(`${Deno.env.get("TOSS_SECRET_KEY")!}:`)}`;

async function receive(request: Request): Promise<Response> {
  const event = JSON.parse(await request.text());
  const answer = await fetch(`${toss}/v1/payments/${encodeURIComponent(event.data.paymentKey)}`, {
    headers: { authorization },
    signal: AbortSignal.timeout(5000),
  });
  if (answer.status === 404) return new Response("Unknown payment", { status: 401 });
  if (!answer.ok) throw new Error(`Toss answered ${answer.status}`);
  const payment = await answer.json();
  if (payment.status !== event.data.status) return new Response("Toss shows another status", { status: 401 });
  const inserted = await supabase
    .from("webhook_events")
    .insert({ event_type: event.eventType, payment_key: payment.paymentKey, payload: { ...event, data: payment } });
  if (inserted.error) throw inserted.error;
  const found = await supabase
    .from("payments")
    .select("id, payment_status, amount")
    .eq("order_id", payment.orderId)
    .single();
  if (found.error) throw found.error;
  if (found.data.amount !== payment.totalAmount) return new Response("The amount differs", { status: 400 });
  if (found.data.payment_status !== payment.status) {
    const written = await supabase
      .from("payments")
      .update({
        payment_key: payment.paymentKey,
        payment_method: payment.method,
        payment_status: payment.status,
        requested_at: payment.requestedAt,
        approved_at: payment.approvedAt,
        receipt_url: payment.receipt?.url,
      })
      .eq("id", found.data.id);
    if (written.error) throw written.error;
  }
  return Response.json({ received: true });
}

Deno.serve(
  { hostname: Deno.env.get("HOST"), port: Number(Deno.env.get("PORT")), onListen: () => {} },
  async (request) => {
    if (request.method === "GET") return new Response("ok");
    try {
      return await receive(request);
    } catch (error) {
      console.error(error);
      return new Response("error", { status: 500 });
    }
  },
);
