// The guide's edge function: three calls of the Data API an event.
import { createClient } from "@supabase/supabase-js";

const supabase = createClient(Deno.env.get("SUPABASE_URL")!, Deno.env.get("SUPABASE_SECRET_KEY")!, {
  auth: { persistSession: false, autoRefreshToken: false },
});
const encoder = new TextEncoder();
const key = await crypto.subtle.importKey(
  "raw",
  encoder.encode(Deno.env.get("TOSS_SECRET_KEY")!),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["sign"],
);

async function isGenuine(body: string, time: string, signature: string): Promise<boolean> {
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(`${body}:${time}`)));
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("") === signature;
}

async function receive(request: Request): Promise<Response> {
  const body = await request.text();
  const time = request.headers.get("tosspayments-webhook-transmission-time") ?? "";
  if (!(await isGenuine(body, time, request.headers.get("tosspayments-webhook-signature") ?? ""))) {
    return new Response("Invalid signature", { status: 401 });
  }
  const event = JSON.parse(body);
  const payment = event.data;
  const inserted = await supabase
    .from("webhook_events")
    .insert({ event_type: event.eventType, payment_key: payment.paymentKey, payload: event });
  if (inserted.error) throw inserted.error;
  const found = await supabase
    .from("payments")
    .select("id, payment_status")
    .eq("payment_key", payment.paymentKey)
    .maybeSingle();
  if (found.error) throw found.error;
  if (found.data?.payment_status !== payment.status) {
    const written = await supabase.from("payments").upsert(
      {
        payment_key: payment.paymentKey,
        order_id: payment.orderId,
        order_name: payment.orderName,
        amount: payment.totalAmount,
        currency: payment.currency,
        payment_method: payment.method,
        payment_status: payment.status,
        requested_at: payment.requestedAt,
        approved_at: payment.approvedAt,
        receipt_url: payment.receipt?.url,
      },
      { onConflict: "payment_key" },
    );
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
