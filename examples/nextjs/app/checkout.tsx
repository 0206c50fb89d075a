"use client";

import { ANONYMOUS, loadTossPayments } from "@tosspayments/tosspayments-sdk";
import { useState } from "react";

export function Checkout() {
  const [notice, setNotice] = useState("");

  async function pay() {
    try {
      const answer = await fetch("/orders", { method: "POST" });
      if (!answer.ok) throw new Error("the order was not stored");
      const { orderId, orderName, amount } = await answer.json();
      const toss = await loadTossPayments(process.env.NEXT_PUBLIC_TOSS_CLIENT_KEY!);
      await toss.payment({ customerKey: ANONYMOUS }).requestPayment({
        method: "CARD",
        amount: { currency: "KRW", value: amount },
        orderId,
        orderName,
        successUrl: `${location.origin}/orders/${orderId}/success`,
        failUrl: `${location.origin}/orders/${orderId}`,
      });
    } catch {
      setNotice("결제를 마치지 못했습니다. 다시 시도해 주세요."); // closed windows come here, too
    }
  }

  return (
    <>
      <button onClick={pay}>결제하기</button>
      <p role="status">{notice}</p>
    </>
  );
}
