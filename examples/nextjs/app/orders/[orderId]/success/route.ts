import { confirm, database, store } from "../../../../lib/payments";

/** successUrl: the buyer agreed, and nothing is paid yet. Refreshing is safe. */
export async function GET(request: Request, { params }: { params: Promise<{ orderId: string }> }) {
  const { orderId } = await params;
  const query = new URL(request.url).searchParams;
  const { data: order, error } = await database()
    .from("payments")
    .select("amount")
    .eq("order_id", orderId)
    .maybeSingle();
  if (error) return new Response("잠시 후 새로고침해 주세요. 두 번 결제되지 않습니다.", { status: 503 });
  if (!order) return new Response("주문을 찾을 수 없습니다.", { status: 404 });
  const paymentKey = query.get("paymentKey");
  if (!paymentKey || Number(query.get("amount")) !== Number(order.amount)) {
    return new Response("주문 금액과 결제 금액이 다릅니다.", { status: 400 });
  }
  const outcome = await confirm(paymentKey, orderId, Number(order.amount));
  if (outcome) await store(orderId, outcome);
  return new Response(null, { status: 303, headers: { location: `/orders/${orderId}` } });
}
