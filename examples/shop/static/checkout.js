const form = document.querySelector("#checkout");
const button = form.querySelector("button");
const notice = document.querySelector("#notice");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  notice.textContent = "결제창을 여는 중입니다.";
  try {
    await pay(form.dataset.clientKey, new FormData(form).get("method"));
  } catch (error) {
    const isClosed = ["USER_CANCEL", "PAY_PROCESS_CANCELED"].includes(error.code);
    notice.textContent = isClosed ? "결제를 취소했습니다." : "결제창을 열지 못했습니다. 다시 시도해 주세요.";
    button.disabled = false;
  }
});

// Coming back with the browser's own button shows the page as it was left.
window.addEventListener("pageshow", () => {
  button.disabled = false;
  notice.textContent = "";
});

async function pay(clientKey, method) {
  const answer = await fetch("/orders", { method: "POST" });
  if (!answer.ok) throw new Error(`the order was not stored: ${answer.status}`);
  const order = await answer.json();
  const payment = TossPayments(clientKey).payment({ customerKey: TossPayments.ANONYMOUS });
  await payment.requestPayment({
    method,
    amount: { currency: "KRW", value: order.amount },
    orderId: order.orderId,
    orderName: order.orderName,
    successUrl: `${location.origin}/orders/${order.orderId}/success`,
    failUrl: `${location.origin}/orders/${order.orderId}/fail`,
  });
}
