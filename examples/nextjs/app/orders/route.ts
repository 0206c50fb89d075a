import { randomBytes } from "node:crypto";

import { database } from "../../lib/payments";

const NAME = "원두 1kg";
const PRICE = 9_900; // from the server, never from the page

/** Stores an order with its price, before anything is paid. */
export async function POST() {
  const orderId = `order_${randomBytes(12).toString("base64url")}`;
  const { error } = await database().from("payments").insert({
    order_id: orderId,
    payment_key: orderId, // Toss's key is not known yet, and the column is unique
    order_name: NAME,
    amount: PRICE,
    payment_status: "PENDING",
    // user_id: the signed-in user's id, so that they can read the row
  });
  if (error) return Response.json({ error: "주문을 저장하지 못했습니다." }, { status: 503 });
  return Response.json({ orderId, orderName: NAME, amount: PRICE }, { status: 201 });
}
