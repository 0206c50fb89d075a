// Stands in for https://js.tosspayments.com/v2/standard: the payment window of TossPayments(clientKey).payment().
(() => {
  const WINDOW = new URL("/window", document.currentScript.src);

  const TossPayments = (clientKey) => ({
    payment: ({ customerKey }) => ({
      requestPayment: (request) =>
        // The real window is an iframe on desktops and a page of its own on phones (windowTarget: "self"); here, always
        // the latter. The page leaves, so the promise stays open.
        new Promise(() => {
          const form = document.createElement("form");
          form.method = "post";
          form.action = WINDOW;
          const field = document.createElement("input");
          field.type = "hidden";
          field.name = "request";
          field.value = JSON.stringify({ ...request, clientKey, customerKey });
          form.append(field);
          document.body.append(form);
          form.submit();
        }),
    }),
  });
  TossPayments.ANONYMOUS = "@@ANONYMOUS";
  window.TossPayments = TossPayments;
})();
