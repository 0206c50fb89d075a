const section = document.querySelector("#state");
const POLL_MILLISECONDS = 1000;
let shown = "";

async function refresh() {
  try {
    const answer = await fetch(section.dataset.url);
    if (answer.ok) show(await answer.json());
  } catch {
    // Offline for a moment: the next try follows.
  }
  if ("waiting" in section.dataset) setTimeout(refresh, POLL_MILLISECONDS);
}

function show(state) {
  if (!state.isWaiting) {
    delete section.dataset.waiting;
    document.querySelector("#bank")?.remove();
  }
  const news = JSON.stringify(state);
  if (news === shown) return; // a screen reader reads whatever is replaced
  shown = news;
  section.dataset.status = state.status;
  section.querySelector("h1").textContent = state.title;
  section.querySelector("dl").replaceChildren(
    ...state.details.flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
  );
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

if ("waiting" in section.dataset) setTimeout(refresh, POLL_MILLISECONDS);
