// Server only: the secret keys pass row level security and move money.
import { createClient } from "@supabase/supabase-js";

import type { Database, Json } from "../database.types";

const CONFIRM_MILLISECONDS = 30_000; // card companies may take this long
const TEMPORARY = ["PROVIDER_ERROR", "IDEMPOTENT_REQUEST_PROCESSING", "ALREADY_PROCESSED_PAYMENT"];
const UNPAID = ["PENDING", "READY", "IN_PROGRESS", "ABORTED", "EXPIRED", "FAILED"];

export type TossPayment = {
  paymentKey: string;
  orderId: string;
  status: string;
  totalAmount: number;
  method: string | null;
  approvedAt: string | null;
  receipt: { url: string } | null;
  virtualAccount: Json;
};
export type Refusal = { code: string; message: string };

export function database() {
  return createClient<Database>(process.env.SUPABASE_URL!, process.env.SUPABASE_SECRET_KEY!, {
    auth: { persistSession: false },
  });
}

/** The payment, why Toss refused it, or null: Toss didn't say, and the webhook will. */
export async function confirm(
  paymentKey: string,
  orderId: string,
  amount: number,
): Promise<{ payment: TossPayment } | { refusal: Refusal } | null> {
  try {
    const answer = await askToss("/v1/payments/confirm", {
      method: "POST",
      body: JSON.stringify({ paymentKey, orderId, amount }),
      headers: { "content-type": "application/json", "idempotency-key": `confirm-${paymentKey}` },
    });
    const body = await answer.json();
    if (answer.ok) return { payment: body };
    if ([400, 403, 404].includes(answer.status) && !TEMPORARY.includes(body.code)) return { refusal: body };
  } catch {
    // No answer in time, or one that is not Toss's.
  }
  try {
    const answer = await askToss(`/v1/payments/${encodeURIComponent(paymentKey)}`);
    const payment: TossPayment = await answer.json();
    const isPaid = ["DONE", "WAITING_FOR_DEPOSIT"].includes(payment.status);
    if (isPaid && payment.orderId === orderId && payment.totalAmount === amount) return { payment };
  } catch {
    // The webhook will say it.
  }
  return null;
}

/** Writes what Toss answered, unless a webhook came first and knows more. */
export async function store(orderId: string, outcome: { payment: TossPayment } | { refusal: Refusal }) {
  const rows = database().from("payments");
  const { error } =
    "payment" in outcome
      ? await rows
          .update({
            payment_key: outcome.payment.paymentKey,
            payment_status: outcome.payment.status,
            payment_method: outcome.payment.method,
            approved_at: outcome.payment.approvedAt,
            receipt_url: outcome.payment.receipt?.url,
            virtual_account: outcome.payment.virtualAccount,
          })
          .eq("order_id", orderId)
          .in("payment_status", UNPAID)
      : await rows
          .update({
            payment_status: "FAILED",
            failure_code: outcome.refusal.code,
            failure_message: outcome.refusal.message,
          })
          .eq("order_id", orderId)
          .eq("payment_status", "PENDING");
  if (error) console.error(`order ${orderId} was not updated, the webhook will do it`, error);
}

function askToss(path: string, init: RequestInit = {}) {
  const key = btoa(`${process.env.TOSS_SECRET_KEY}:`); // the key is the user name; there is no password
  return fetch(`${process.env.TOSS_API_URL ?? "https://api.tosspayments.com"}${path}`, {
    ...init,
    headers: { ...init.headers, authorization: `Basic ${key}` },
    signal: AbortSignal.timeout(CONFIRM_MILLISECONDS),
    cache: "no-store",
  });
}
