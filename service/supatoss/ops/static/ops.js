// What the page adds where there is JavaScript: the chart, figures that stay fresh, and words for screen readers.
"use strict";

(() => {
  const REFRESH_MILLISECONDS = 30000;
  const STATUSES = ["processed", "ignored", "pending", "failed"];
  let chart = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** The rows of the table beside the chart, oldest first: [{time, label, href, values}], times in seconds. */
  function readTable(table) {
    return [...table.tBodies[0].rows].reverse().map((row) => ({
      time: Number(row.dataset.time),
      label: row.dataset.label,
      href: row.dataset.href,
      values: STATUSES.map((status) => Number(row.dataset[status])),
    }));
  }

  /** Bars of one hour stand on each other, so each series is the sum of itself and those below it. */
  function stacked(rows) {
    const sums = STATUSES.map((_, index) => rows.map((row) => row.values.slice(0, index + 1).reduce((a, b) => a + b, 0)));
    return [rows.map((row) => row.time), ...sums];
  }

  function drawChart() {
    const place = document.querySelector("[data-chart]");
    if (chart) chart.destroy();
    chart = null;
    if (!place || typeof uPlot === "undefined") return;
    const rows = readTable(document.getElementById(place.dataset.chart));
    if (rows.length === 0) return;
    place.hidden = false;
    const names = JSON.parse(place.dataset.names);
    const readout = document.getElementById(place.dataset.readout);
    const offsetSeconds = 9 * 3600; // Korean time, whatever the zone of the browser
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const [time, ...series] = stacked(rows);
    const hour = 3600;
    chart = new uPlot(
      {
        width: place.clientWidth - 24,
        height: 218,
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Asia/Seoul"),
        scales: { x: { time: true, range: () => [time[0] - hour / 2, time[time.length - 1] + hour / 2] }, y: { range: (_, __, max) => [0, Math.max(max * 1.08, 4)] } },
        axes: [
          { ...axis, grid: { show: false }, space: 64, size: 30, values: (_, splits) => splits.map((value) => {
            const at = new Date((value + offsetSeconds) * 1e3);
            return at.getUTCHours() === 0 ? `${at.getUTCMonth() + 1}/${at.getUTCDate()}` : `${String(at.getUTCHours()).padStart(2, "0")}:00`;
          }) },
          { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (_, splits) => splits.map((value) => value.toLocaleString("en")) },
        ],
        // The highest sum is drawn first, so that the lower ones cover it.
        series: [{}, ...[...STATUSES].reverse().map((status) => ({ fill: color(`--bar-${status}`), stroke: color(`--bar-${status}`), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.78, 34] }) }))],
        hooks: {
          setCursor: [(self) => {
            const row = rows[self.cursor.idx];
            readout.textContent = row ? `${row.label}  ·  ${STATUSES.map((status, index) => `${names[status]} ${row.values[index].toLocaleString("en")}`).join("  ·  ")}` : readout.dataset.hint;
          }],
        },
      },
      [time, ...series.reverse()],
      place,
    );
    readout.textContent = readout.dataset.hint;
    chart.over.addEventListener("click", () => openEvents(rows, chart));
  }

  /** To the events of a bar: of its status where the pointer is on one, else of the whole hour. */
  function openEvents(rows, self) {
    const row = rows[self.cursor.idx];
    if (!row) return;
    const at = self.posToVal(self.cursor.top, "y");
    let sum = 0;
    const status = STATUSES.find((_, index) => (sum += row.values[index]) > at && row.values[index] > 0);
    location.assign(status && at >= 0 ? `${row.href}&status=${status}` : row.href);
  }

  /** Says what a part of the page now shows. */
  function announce() {
    const words = document.querySelector("[data-announce]");
    const live = document.getElementById("live");
    if (words && live) live.textContent = words.dataset.announce;
  }

  function focusNotice() {
    const notice = document.querySelector("[data-focus]");
    if (notice) notice.focus();
  }

  function refresh() {
    const figures = document.querySelector("[data-refresh]");
    // Not while somebody reads the numbers inside, and not in a tab that nobody sees.
    if (figures && document.visibilityState === "visible" && !figures.contains(document.activeElement) && !figures.querySelector("details[open]")) {
      htmx.trigger(figures, "refresh");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    drawChart();
    focusNotice();
    setInterval(refresh, REFRESH_MILLISECONDS);
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth !== width) {
        width = innerWidth;
        drawChart();
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    const id = event.detail.target.id;
    if (id === "figures") drawChart();
    if (id === "results" && event.detail.requestConfig.triggeringEvent?.type !== "live") announce();
    if (id === "content") focusNotice();
  });

  // An answer that is not 200 still says something: the page shows it as it would without htmx.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 && event.detail.target.id !== "figures") event.detail.shouldSwap = true;
  });
})();

// Events: parts that stay fresh by themselves, ticked rows, and buttons that copy.
(() => {
  const STEP_SECONDS = 2;
  let waited = 0;

  const part = () => document.querySelector("[data-live]");
  const ticked = () => [...document.querySelectorAll("input.tick:checked")];

  /** Says whether the list is live, paused because somebody works in it, or could not be refreshed. */
  function tell(state) {
    for (const words of document.querySelectorAll("[data-live-state]")) words.hidden = words.dataset.liveState !== state;
  }

  function isInUse(list) {
    return ticked().length > 0 || (list.contains(document.activeElement) && document.activeElement !== list);
  }

  function refresh() {
    const list = part();
    if (!list || document.visibilityState !== "visible") return;
    if (isInUse(list)) {
      tell("paused");
      return;
    }
    waited += STEP_SECONDS;
    if (waited < Number(list.dataset.live)) return;
    waited = 0;
    htmx.trigger(list, "live");
  }

  /** What needs a script is hidden until there is one. */
  function prepare() {
    for (const button of document.querySelectorAll("[data-copy], [data-tick-all]")) button.hidden = false;
    if (part()) tell("on");
  }

  function count() {
    const number = document.querySelector("[data-ticked]");
    if (number) number.textContent = ticked().length ? `(${ticked().length})` : "";
  }

  async function copy(button) {
    const source = document.querySelector(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Without https there is no clipboard: what is selected can be copied by hand.
      getSelection().selectAllChildren(source);
      return;
    }
    document.getElementById("live").textContent = button.dataset.done;
    const words = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = words; }, 2000);
  }

  document.addEventListener("DOMContentLoaded", () => {
    prepare();
    setInterval(refresh, STEP_SECONDS * 1000);
  });
  document.addEventListener("htmx:afterSwap", prepare);

  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-tick-all] input");
    if (all) for (const box of document.querySelectorAll("input.tick")) box.checked = all.checked;
    if (all || event.target.matches("input.tick")) {
      count();
      tell(ticked().length ? "paused" : "on");
    }
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  // A list that can't be refreshed stays as it is, with its time.
  function isOfRefresh(event) {
    return event.detail.requestConfig?.triggeringEvent?.type === "live";
  }
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (isOfRefresh(event) && event.detail.xhr.status >= 400) {
      event.detail.shouldSwap = false;
      tell("failed");
    }
  });
  document.addEventListener("htmx:sendError", (event) => { if (isOfRefresh(event)) tell("failed"); });
})();
