// Keeps a page live: when something has happened, the same page is asked for again, and the parts that
// changed (marked `data-live`) are put in place. The server draws everything; nothing is built here.
"use strict";

const BOARD_MS = 2000;
const JOB_MS = 1000;

async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!response.ok) return null;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next && next.outerHTML !== part.dataset.seen) swap(part, next);
  }
  return fresh;
}

function swap(part, next) {
  const focused = part.contains(document.activeElement) ? key(document.activeElement) : null;
  const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
  const seen = next.outerHTML;
  const placed = document.importNode(next, true);
  part.replaceWith(placed);
  placed.dataset.seen = seen;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) [...placed.querySelectorAll("a, button")].find((element) => key(element) === focused)?.focus();
}

function key(element) {
  return element.id || element.getAttribute("href") || "";
}

function board() {
  const tick = async () => {
    try {
      if (!document.hidden) await refresh();
    } catch { /* the server is away; the next tick asks again */ }
    setTimeout(tick, BOARD_MS);
  };
  setTimeout(tick, BOARD_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refresh().catch(() => {}));
}

function job(body) {
  if (body.hasAttribute("data-ended")) return;
  let waiting = false;
  let last = 0;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(async () => {
      waiting = false;
      last = Date.now();
      try {
        await refresh();
      } catch { /* the stream comes back, and with it the next refresh */ }
    }, Math.max(0, last + JOB_MS - Date.now()));
  };
  const source = new EventSource(`${body.dataset.events}?after=${body.dataset.after}`);
  for (const type of body.dataset.types.split(" ")) source.addEventListener(type, soon);
  source.addEventListener("end", () => {
    source.close();
    soon();
  });
}

// The value of every line under the pointer, read off the drawing itself.
document.addEventListener("pointermove", (event) => {
  const chart = event.target instanceof Element ? event.target.closest("svg.chart") : null;
  if (!chart) return;
  const box = chart.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const { left, right, steps } = chart.dataset;
  const share = Math.min(Math.max((x - left) / (right - left), 0), 1);
  const readings = [`step ${Math.round(share * steps)}`];
  for (const line of chart.querySelectorAll("polyline.line")) {
    const places = line.getAttribute("points").split(" ").map((pair) => Number(pair.split(",")[0]));
    const nearest = places.reduce((best, place, i) => (Math.abs(place - x) < Math.abs(places[best] - x) ? i : best), 0);
    if (x <= places[places.length - 1] + 6) readings.push(`${line.dataset.name} ${line.dataset.values.split(",")[nearest]}`);
  }
  chart.parentElement.querySelector(".reading").textContent = readings.join(" · ");
});

for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
if (document.body.dataset.page === "board") board();
if (document.body.dataset.page === "job") job(document.body);
