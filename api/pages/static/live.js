// Keeps a page live: the parts of it (marked `data-live`) that have changed are put in place. A job's page is
// told of them, any other asks for itself again. The server draws everything; nothing is built here.
"use strict";

const AGAIN_MS = 3000;
const ASKED_FOR = "#earlier > summary, #log summary";

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
  const was = part === document.activeElement;
  const focused = part.contains(document.activeElement) ? key(document.activeElement) : null;
  const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
  const ticked = [...part.querySelectorAll("input:checked")].map((input) => input.id);
  const seen = next.outerHTML;
  const placed = document.importNode(next, true);
  part.replaceWith(placed);
  placed.dataset.seen = seen;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const id of ticked) if (document.getElementById(id)) document.getElementById(id).checked = true;
  furnish(placed);
  if (was) placed.focus();
  if (focused) [...placed.querySelectorAll("a, button, input")].find((element) => key(element) === focused)?.focus();
}

function key(element) {
  return element.id || element.getAttribute("href") || "";
}

function poll(milliseconds) {
  const tick = async () => {
    try {
      if (!document.hidden) await refresh();
    } catch { /* the server is away; the next tick asks again */ }
    setTimeout(tick, milliseconds);
  };
  setTimeout(tick, milliseconds);
  document.addEventListener("visibilitychange", () => document.hidden || refresh().catch(() => {}));
}

// A job's page is not asked for again: the server tells which parts have changed, and what was measured.
function follow(stream) {
  let source;
  let waiting = false;
  // Earlier events and the log are long, and not told: who has them open asks for them, every few seconds at most.
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => refresh().catch(() => {}).finally(() => { waiting = false; }), AGAIN_MS);
  };
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest(ASKED_FOR)) refresh().catch(() => {});
  });
  const listen = () => {
    source = new EventSource(stream);
    source.addEventListener("parts", (event) => {
      for (const [id, text] of Object.entries(JSON.parse(event.data))) {
        const part = document.getElementById(id);
        const next = new DOMParser().parseFromString(text, "text/html").getElementById(id);
        if (part && next && next.outerHTML !== part.dataset.seen) swap(part, next);
      }
      if (document.querySelector("#earlier[open], #log details[open]")) soon();
    });
    source.addEventListener("points", (event) => {
      document.dispatchEvent(new CustomEvent("stillhouse:points", { detail: JSON.parse(event.data) }));
    });
    source.addEventListener("end", () => {
      source.close();
      ended();
    });
    // A link that was cut comes back by itself; one that was refused does not: the job has ended, or somebody
    // in between (a proxy's 502, a 429) says no for now.
    source.addEventListener("error", async () => {
      if (source.readyState === EventSource.CLOSED && !(await ended())) setTimeout(listen, AGAIN_MS);
    });
  };
  const ended = async () => {
    const fresh = await refresh().catch(() => null);
    if (!fresh || fresh.body.hasAttribute("data-stream")) return false;
    document.dispatchEvent(new CustomEvent("stillhouse:ended", { detail: fresh }));
    return true;
  };
  listen();
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

// Commands name this server as the browser knows it, and can be copied; where the browser keeps its clipboard from
// pages, which it does without https, they are selected, and that is said.
function furnish(part) {
  for (const place of part.querySelectorAll("[data-origin]")) place.textContent = location.origin;
  for (const button of part.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    if (navigator.clipboard) continue;
    button.textContent = "Select";
    button.setAttribute("aria-label", button.getAttribute("aria-label").replace("Copy", "Select"));
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
  if (!button) return;
  const text = button.closest(".command").querySelector("pre");
  let said = "Copied.";
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch { // there is none, or it is refused
    getSelection().selectAllChildren(text);
    said = "Selected: copy it by hand, since this browser gives its clipboard to pages by https only.";
  }
  button.nextElementSibling.textContent = said;
});

// A sheet of commands lies over what is below it: a click beside it, or Escape, puts it away.
const sheet = () => document.querySelector(".as details[open]");
document.addEventListener("click", (event) => {
  if (!sheet()?.contains(event.target)) sheet()?.removeAttribute("open");
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" ? sheet() : null;
  if (!open) return;
  open.removeAttribute("open");
  open.querySelector("summary").focus();
});

furnish(document);
if (document.body.dataset.poll) poll(Number(document.body.dataset.poll));
if (document.body.dataset.stream) follow(document.body.dataset.stream);
