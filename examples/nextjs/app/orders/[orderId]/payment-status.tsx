"use client";

import type { SupabaseClient } from "@supabase/supabase-js";
import { useEffect, useState } from "react";

import type { Database } from "../../../database.types";

/** The order's status, live. `supabase` is the browser's client, signed in as the buyer. */
export function PaymentStatus({ supabase, orderId }: { supabase: SupabaseClient<Database>; orderId: string }) {
  const [status, setStatus] = useState<string>();

  useEffect(() => {
    const read = async () => {
      const { data } = await supabase.from("payments").select("payment_status").eq("order_id", orderId).maybeSingle();
      if (data) setStatus(data.payment_status);
    };
    const channel = supabase
      .channel(`order-${orderId}`)
      .on(
        "postgres_changes",
        { event: "*", schema: "public", table: "payments", filter: `order_id=eq.${orderId}` },
        (change) => setStatus((change.new as { payment_status?: string }).payment_status),
      )
      .subscribe((state) => {
        if (state === "SUBSCRIBED") void read(); // what changed before, or while the connection was away
      });
    return () => void supabase.removeChannel(channel);
  }, [supabase, orderId]);

  return <p aria-live="polite">{status ?? "결제를 확인하고 있습니다"}</p>;
}
