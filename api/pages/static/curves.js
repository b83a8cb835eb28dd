// Draws a job's curves so that one can look into them: zoom, values under the pointer, smoothing, log scale.
// Without this script the server's own drawing stands in its place. Numbers come from the API, as for anybody.
"use strict";

{
  const MAX_POINTS = 1000; // of each stage; the server keeps the lowest and the highest
  const MANY_POINTS = 20_000; // of a stage, with what was told since: time to have them thinned again
  const DASHES = { baseline: [6, 4], hard_labels: [9, 3, 2, 3], assistant: [3, 3], tutor: [12, 4] };
  const plots = document.getElementById("plots");
  const controls = document.getElementById("plot-controls");
  const sync = uPlot.sync("job");
  let charts = [];
  let zoom = null;
  let tag = null;
  let stages = {};
  let attempt = Number(plots.dataset.attempt);
  let loading = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "gray";
  const smoothing = () => Number(controls.querySelector("[name=smoothing]").value);
  const isLog = () => controls.querySelector("[name=log]").checked;

  // ---- What there is to draw -------------------------------------------------------------------------------

  // One group a chart: its title, how values are told, and its lines.
  function groups(stages, metric, title) {
    const found = new Map();
    const take = (key, about, name, stage, label) => {
      const values = stage.columns[name];
      if (!values || !values.some((value) => value !== null)) return;
      if (!found.has(key)) found.set(key, { key, lines: [], ...about });
      found.get(key).lines.push({ label, role: stage.role, steps: stage.columns.step, values });
    };
    const roles = JSON.parse(plots.dataset.roles);
    for (const [name, stage] of Object.entries(stages)) {
      const label = roles[stage.role] || name;
      const terms = Object.keys(stage.columns).filter((key) => key.startsWith("loss/"));
      take("score", { title: `Validation ${title}`, share: true, level: true }, `validation/${metric}`, stage, label);
      take("agreement", { title: "Agreement with the teacher, validation", share: true }, "validation/agreement", stage, label);
      take("loss", { title: "Training loss", smooth: true, log: true }, "loss", stage, label);
      if (stage.role === "student" && terms.length > 1)
        for (const term of terms) take("terms", { title: "Student's loss, term by term", smooth: true, log: true }, term, stage, term.slice(5));
      take("temperature", { title: "Learned temperature" }, "temperature", stage, label);
      take("rate", { title: "Learning rate" }, "learning_rate", stage, label);
    }
    const order = ["score", "agreement", "loss", "terms", "temperature", "rate"];
    return order.filter((key) => found.has(key)).map((key) => styled(found.get(key)));
  }

  // Lines of one chart are told apart by the colour of their role, terms of one role by their dashes.
  function styled(group) {
    const labels = [...new Set(group.lines.map((line) => line.label))];
    const many = group.lines.length > labels.length;
    for (const line of group.lines) {
      line.dash = group.key === "terms" ? [[], [6, 3], [2, 3], [9, 3, 2, 3]][labels.indexOf(line.label) % 4] : DASHES[line.role];
      line.alpha = many ? 0.55 : 1;
    }
    return { ...group, labels };
  }

  function smoothed(values, weight) {
    if (!weight) return values;
    let sum = 0;
    let count = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      count = weight * count + (1 - weight);
      return sum / count;
    });
  }

  function table(group) {
    const weight = group.smooth ? smoothing() : 0;
    const log = group.log && isLog();
    const tables = group.lines.map((line) => {
      const values = smoothed(line.values, weight);
      return [line.steps, log ? values.map((value) => (value > 0 ? value : null)) : values];
    });
    return uPlot.join(tables);
  }

  // ---- How it is drawn ---------------------------------------------------------------------------------------

  const told = (group, value) => (group.share ? `${(100 * value).toFixed(1)} %` : Number(value.toPrecision(4)).toString());

  function options(group, width) {
    const quiet = color("quiet");
    const axis = { stroke: quiet, grid: { stroke: color("rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const lines = group.lines.map((line) => ({
      label: line.label, stroke: color(line.role), alpha: line.alpha, width: 2, dash: line.dash, spanGaps: true,
      points: { show: line.values.filter((value) => value !== null).length === 1 },
    }));
    const log = group.log && isLog();
    return {
      width, height: 240, legend: { show: false }, cursor: { sync: { key: sync.key }, y: false, points: { size: 6 } },
      scales: { x: { time: false, range: (_, first, last) => (first === null ? [0, 1] : [first, Math.max(last, first + 1)]) }, y: log ? { distr: 3 } : { range: group.level ? scoreRange : range } },
      series: [{ label: "step" }, ...lines],
      axes: [{ ...axis, size: 34 }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : told(group, tick))) }],
      hooks: { draw: group.level ? [level] : [], setCursor: [(plot) => read(plot, group)], setScale: [zoomed] },
    };
  }

  // Values that hardly differ would ask for more ticks than there can be.
  function range(plot, low, high) {
    if (low === null) return [0, 1];
    const room = Math.max((high - low) / 12, Math.abs(high) / 50, 1e-9);
    return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  }

  // The end of a training matters more than its start, and the teacher's level belongs into the picture.
  function scoreRange(plot, low, high) {
    if (low === null) return [0, 1];
    const teacher = Number(plots.dataset.level || high);
    const top = Math.max(high, teacher);
    const room = Math.max(top - low, 0.02) / 12;
    return [low >= 0 ? Math.max(0, low - room) : low - room, top <= 1 ? Math.min(1, top + room) : top + room];
  }

  function level(plot) {
    const value = plots.dataset.level;
    if (!value) return;
    const { ctx, bbox } = plot;
    const y = plot.valToPos(Number(value), "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) return;
    ctx.save();
    ctx.strokeStyle = color("teacher");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  // Each label with the mean of its values, of those that there are.
  function means(group, values) {
    const byLabel = new Map();
    for (const [label, value] of values)
      if (value !== null && value !== undefined) byLabel.set(label, [...(byLabel.get(label) || []), value]);
    return [...byLabel].map(([label, found]) => `${label} ${told(group, found.reduce((a, b) => a + b) / found.length)}`);
  }

  // What each line says where the pointer is: the newest value at or before that step, the mean of a label's lines.
  function read(plot, group) {
    const { idx } = plot.cursor;
    const place = plot.root.parentElement.querySelector(".reading");
    if (idx === null || idx === undefined) return void (place.textContent = "");
    const here = group.lines.map((line, which) => {
      const values = plot.data[which + 1];
      let at = idx;
      while (at > 0 && (values[at] === null || values[at] === undefined)) at -= 1;
      return [line.label, values[at]];
    });
    place.textContent = [`step ${plot.data[0][idx]}`, ...means(group, here)].join(" · ");
  }

  // One chart was zoomed: all others follow.
  let following = false;
  function zoomed(plot, key) {
    if (key !== "x") return;
    const { min, max } = plot.scales.x;
    plot.root.closest("figure")?.setAttribute("data-range", `${min} ${max}`);
    if (following || !charts.some((chart) => chart.plot === plot)) return;
    const steps = plot.data[0];
    zoom = min > steps[0] || max < steps[steps.length - 1] ? { min, max } : null;
    following = true;
    for (const { plot: other } of charts) if (other !== plot) other.setScale("x", zoom || whole(other));
    following = false;
    document.getElementById("unzoom").hidden = !zoom;
  }

  const whole = (plot) => ({ min: plot.data[0][0], max: plot.data[0][plot.data[0].length - 1] });

  // ---- Keeping it up to date ---------------------------------------------------------------------------------

  function figure(group) {
    const holder = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = group.title;
    const reading = document.createElement("p");
    reading.className = "reading";
    reading.setAttribute("aria-hidden", "true");
    holder.append(caption, reading);
    plots.append(holder);
    return holder;
  }

  function draw(all) {
    const shape = (one) => `${one.key}:${one.lines.map((line) => line.label + line.role).join()}`;
    const same = charts.length === all.length && all.every((one, i) => shape(one) === shape(charts[i].group));
    if (same) {
      all.forEach((group, i) => {
        charts[i].group.lines = group.lines;
        charts[i].plot.setData(table(group), !zoom);
        say(charts[i]);
      });
      return;
    }
    for (const { plot } of charts) plot.destroy();
    charts = [];
    plots.replaceChildren();
    for (const group of all) {
      const holder = figure(group);
      const plot = new uPlot(options(group, holder.clientWidth - 24), table(group));
      holder.insertBefore(plot.root, holder.lastChild);
      plot.root.setAttribute("role", "img");
      charts.push({ plot, group });
      say(charts.at(-1));
      if (zoom) plot.setScale("x", zoom);
    }
  }

  // What the picture says to who cannot see it: the newest value of each label, the mean of its lines.
  function say({ plot, group }) {
    const values = group.lines.map((line) => [line.label, line.values.findLast((value) => value !== null)]);
    const step = Math.max(...group.lines.map((line) => line.steps.at(-1)));
    plot.root.setAttribute("aria-label", `${group.title}, up to step ${step}: ${means(group, values).join(", ")}`);
  }

  function redraw() {
    const all = charts.map(({ group }) => group);
    for (const { plot } of charts) plot.destroy();
    charts = [];
    plots.replaceChildren();
    draw(all);
  }

  const last = (stage) => stages[stage]?.columns.step.at(-1) ?? -1;

  // The teacher's level is where its curve stands, if it was trained here.
  function show() {
    const metric = `validation/${plots.dataset.metric}`;
    const scores = Object.values(stages).filter((stage) => stage.role === "teacher").map((stage) => stage.columns[metric]);
    const level = scores[0]?.findLast((value) => value !== null);
    if (level !== undefined) plots.dataset.level = level;
    plots.dataset.points = Object.values(stages).reduce((sum, stage) => sum + stage.columns.step.length, 0);
    const all = groups(stages, plots.dataset.metric, plots.dataset.title);
    const ready = all.length > 0;
    document.getElementById("curves").hidden = !ready;
    plots.hidden = controls.hidden = !ready;
    document.body.classList.toggle("plotted", ready);
    if (ready) draw(all);
  }

  async function fetched() {
    const response = await fetch(`${plots.dataset.metrics}?max_points=${MAX_POINTS}`, { headers: tag ? { "If-None-Match": tag } : {} });
    if (response.status === 304 || !response.ok) return;
    tag = response.headers.get("ETag");
    stages = (await response.json()).stages;
    show();
  }

  // One at a time; the server may be away, and the next word of it asks again.
  function load() {
    loading ??= fetched().catch(() => {}).finally(() => { loading = null; });
    return loading;
  }

  // Points that were measured since: they are appended, if what they follow is here; else all are asked for.
  async function take(news) {
    await loading;
    const isNew = news.attempt !== attempt;
    attempt = news.attempt;
    if (isNew || Object.entries(news.after).some(([stage, step]) => last(stage) < step)) return load();
    for (const [name, more] of Object.entries(news.stages)) {
      const stage = (stages[name] ??= { ...more, columns: { step: [] } });
      const first = more.columns.step.findIndex((step) => step > last(name));
      if (first < 0) continue;
      const had = stage.columns.step.length;
      const count = more.columns.step.length - first;
      for (const key of new Set([...Object.keys(stage.columns), ...Object.keys(more.columns)])) {
        const column = (stage.columns[key] ??= Array(had).fill(null));
        column.push(...(more.columns[key]?.slice(first) ?? Array(count).fill(null)));
      }
    }
    if (Object.values(stages).some((stage) => stage.columns.step.length > MANY_POINTS)) return load();
    if (Object.keys(news.stages).length) show();
  }

  controls.addEventListener("input", redraw);
  document.getElementById("unzoom").addEventListener("click", () => {
    zoom = null;
    for (const { plot } of charts) plot.setScale("x", whole(plot));
  });
  new ResizeObserver(() => {
    for (const { plot } of charts) plot.setSize({ width: plot.root.parentElement.clientWidth - 24, height: 240 });
  }).observe(plots);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("stillhouse:ended", async (event) => {
    plots.dataset.level = event.detail.getElementById("plots").dataset.level ?? "";
    await load();
    show();
  });
  let taken = load();
  document.addEventListener("stillhouse:points", (event) => {
    taken = taken.then(() => take(event.detail)); // in their order
  });
}
