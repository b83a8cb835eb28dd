// The form of a new job. The spec is the truth: fields write into it by JSON pointer and are filled in from it,
// and whatever has no field stands in it untouched. The API's dry run says what is wrong, beside the field.
"use strict";

{
  const CHECK_MS = 400;
  const form = document.getElementById("new");
  const text = document.getElementById("spec");
  const said = document.getElementById("checked");
  const submit = document.getElementById("submit");
  const catalogues = {};
  let spec = {};
  let checks = 0;
  let sent = {};

  // ---- The spec and its places ---------------------------------------------------------------------------------

  const keys = (pointer) => pointer.split("/").slice(1);
  const SIDES = ["/teacher", "/student"];
  const ENTRIES = ["/teacher/model", "/student/model", "/data", "/task", "/method", "/temperature", "/weighting", "/path", "/curriculum"];
  const isEntry = (pointer) => ENTRIES.includes(pointer) || /^\/objectives\/\d+$/.test(pointer);

  // A word may stand for a whole part, `student: mlp` is {model: {name: mlp}}, and a number for a temperature.
  function spelt(pointer, value) {
    if (typeof value === "number" && pointer === "/temperature") return { name: "fixed", value };
    if (typeof value !== "string") return value;
    if (SIDES.includes(pointer)) return { model: value };
    return isEntry(pointer) ? { name: value } : value;
  }

  function at(pointer) {
    let value = spec;
    let path = "";
    for (const key of keys(pointer)) {
      if (value === null || typeof value !== "object") return undefined;
      path += `/${key}`;
      value = spelt(path, value[key]);
    }
    return value;
  }

  function put(pointer, value) {
    let holder = spec;
    let path = "";
    const path_keys = keys(pointer);
    const last = path_keys.pop();
    for (const key of path_keys) {
      path += `/${key}`;
      holder[key] = spelt(path, holder[key]) ?? (key === "objectives" ? [] : {});
      holder = holder[key];
    }
    if (value !== undefined) holder[last] = value;
    else if (Array.isArray(holder)) holder.splice(Number(last), 1);
    else delete holder[last];
    const objectives = Object.keys(spec.objectives ?? []).map((place) => `/objectives/${place}`);
    for (const part of [...objectives, "/objectives", ...ENTRIES, ...SIDES, "/training"]) shorten(part);
  }

  function shorten(pointer) {
    const path_keys = keys(pointer);
    const last = path_keys.pop();
    const holder = path_keys.reduce((value, key) => (value && typeof value === "object" ? value[key] : undefined), spec);
    const value = holder?.[last];
    if (!value || typeof value !== "object") return;
    const [only, ...more] = Object.keys(value);
    if (only === undefined) delete holder[last];
    else if (!more.length && only === (SIDES.includes(pointer) ? "model" : "name") && typeof value[only] === "string") holder[last] = value[only];
  }

  // ---- Fields out of JSON Schemas ------------------------------------------------------------------------------

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function kind(schema) {
    const kinds = (schema.anyOf || schema.oneOf || [schema]).filter((one) => one.type !== "null");
    const [one] = kinds;
    if (kinds.length > 1 || !one || one.$ref) return { kind: "json", one: {} };
    if (one.enum) return { kind: "choice", one };
    if (one.type === "boolean") return { kind: "flag", one };
    if (one.type === "integer" || one.type === "number") return { kind: "number", one };
    return { kind: one.type === "string" ? "text" : "json", one };
  }

  function field(pointer, name, schema) {
    const id = `f${pointer.replaceAll("/", "-")}`;
    const { kind: is, one } = kind(schema);
    const usual = schema.default === undefined ? "" : JSON.stringify(schema.default).replace(/^"(.*)"$/, "$1");
    const shared = { id, "data-pointer": pointer, "data-kind": is, "aria-describedby": schema.description ? `h-${id}` : null };
    let input;
    if (is === "choice" || is === "flag") {
      const choices = is === "flag" ? ["true", "false"] : one.enum.map(String);
      input = element("select", shared, element("option", { value: "" }, usual === "" ? "" : `${usual} (default)`), ...choices.map((choice) => element("option", { value: choice }, choice)));
    } else {
      const numeric = is === "number" ? { type: "number", step: one.type === "integer" ? 1 : "any", min: one.minimum, max: one.maximum } : { type: "text" };
      input = element("input", { ...shared, ...numeric, placeholder: usual === "null" ? "" : usual });
    }
    const help = schema.description ? [element("p", { class: "help", id: `h-${id}` }, schema.description)] : [];
    return element("div", { class: "field" }, element("label", { for: id }, name), input, ...help);
  }

  function value(input) {
    const written = input.value.trim();
    if (written === "") return undefined;
    switch (input.dataset.kind) {
      case "number": return Number(written);
      case "flag": return written === "true";
      case "lines": return written.split("\n").map((line) => line.trim()).filter(Boolean);
      case "json": try { return JSON.parse(written); } catch { return written; }
      default: return written;
    }
  }

  function show(input) {
    const found = at(input.dataset.pointer);
    if (input === document.activeElement) return;
    if (found === undefined || found === null) input.value = "";
    else if (input.dataset.kind === "lines" && Array.isArray(found)) input.value = found.join("\n");
    else input.value = typeof found === "object" ? JSON.stringify(found) : String(found);
  }

  // What may be chosen on an axis: its entries, and sizes that have a name of their own.
  function part(holder) {
    const { base, axis } = holder.dataset;
    const place = holder.querySelector(".entry");
    if (!axis) {
      fill(place, base, JSON.parse(form.dataset.training), ["max_steps", "num_train_epochs", "learning_rate", "per_device_train_batch_size", "optim"]);
      return;
    }
    const entries = catalogues[axis];
    const chosen = at(`${base}/name`);
    const names = entries.flatMap((entry) => [entry.name, ...Object.keys(entry.known || {})]);
    if (chosen && !names.includes(chosen)) names.unshift(chosen);
    const id = `f-${holder.dataset.part}-entry`;
    const select = element("select", { id, "data-pointer": `${base}/name`, "data-kind": "text" }, ...names.map((name) => element("option", { value: name }, name)));
    const none = holder.dataset.none ?? "";
    if (!chosen || none) select.prepend(element("option", { value: "" }, none));
    select.value = chosen || "";
    const entry = entries.find((one) => one.name === chosen);
    const about = entry ? [element("p", { class: "help" }, entry.summary.split("\n\n")[0])] : [];
    place.replaceChildren(element("label", { for: id }, "Which"), select, ...about);
    if (entry) fill(place, base, entry.schema, [...(entry.schema.required || []), "weight", "value"]);
  }

  function fill(place, base, schema, first) {
    const names = Object.keys(schema.properties).filter((name) => name !== "name");
    const isFirst = (name) => first.includes(name) || at(`${base}/${name}`) !== undefined;
    if (base === "/training") place.replaceChildren();
    place.append(...names.filter(isFirst).map((name) => field(`${base}/${name}`, name, schema.properties[name])));
    const others = names.filter((name) => !isFirst(name)).map((name) => field(`${base}/${name}`, name, schema.properties[name]));
    if (others.length) place.append(element("details", {}, element("summary", {}, `${others.length} more option${others.length > 1 ? "s" : ""}`), ...others));
  }

  // One more than there are, so that another can be chosen.
  function objectives() {
    const place = document.getElementById("objectives");
    const many = Math.min((at("/objectives") ?? []).length + 1, 16);
    while (place.children.length > many) place.lastElementChild.remove();
    while (place.children.length < many) {
      const number = place.children.length;
      const parts = { "data-part": `objective-${number}`, "data-axis": "objectives", "data-base": `/objectives/${number}`, "data-none": "none: the method has its own" };
      place.append(element("fieldset", parts, element("legend", {}, `Objective ${number + 1}`), element("div", { class: "entry" })));
    }
  }

  function render() {
    objectives();
    for (const holder of form.querySelectorAll("[data-part]")) part(holder);
    for (const input of form.querySelectorAll("#fields [data-pointer]")) show(input);
  }

  // ---- Checked while it is written -----------------------------------------------------------------------------

  // Lists of numbers and words stay on one line.
  const written = () => JSON.stringify(spec, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inside) => `[${inside.replace(/,\s+/g, ", ")}]`);
  const isOurs = () => { try { const read = JSON.parse(text.value); return read && typeof read === "object" && !Array.isArray(read) ? read : null; } catch { return null; } };
  const media = () => (isOurs() ? "application/json" : "application/yaml");
  const post = (path, more = {}) => fetch(path, { method: "POST", body: text.value, headers: { "Content-Type": media(), ...more } });

  function tell(errors, good) {
    for (const old of form.querySelectorAll(".wrong")) old.remove();
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    const inputs = [...form.querySelectorAll("#fields [data-pointer]")];
    const left = errors.filter((error) => {
      const near = inputs.filter((input) => error.pointer === input.dataset.pointer || error.pointer.startsWith(`${input.dataset.pointer}/`) || input.dataset.pointer === `${error.pointer}/name`);
      const input = near.sort((a, b) => b.dataset.pointer.length - a.dataset.pointer.length)[0];
      if (!input) return true;
      input.setAttribute("aria-invalid", "true");
      for (let folded = input.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
      input.after(element("p", { class: "wrong" }, [error.message, error.hint].filter(Boolean).join(" → ")));
      return false;
    });
    said.hidden = false;
    said.classList.toggle("error", errors.length > 0);
    said.classList.toggle("good", errors.length === 0);
    submit.disabled = errors.length > 0;
    const count = errors.length === 1 ? "One thing is not right yet." : `${errors.length} things are not right yet.`;
    said.replaceChildren(element("p", {}, errors.length ? count : good), ...left.map((error) => element("p", {}, element("code", {}, error.pointer || "/"), ` ${error.message}`)));
  }

  async function check() {
    const mine = ++checks;
    document.dispatchEvent(new CustomEvent("stillhouse:spec"));
    const response = await post("/v1/jobs?dry_run=true");
    const body = await response.json();
    if (mine !== checks) return;
    if (!response.ok) return tell(body.errors?.length ? body.errors : [{ pointer: "", message: body.detail }], "");
    tell([], "It would be accepted.");
    const estimate = await (await post("/v1/jobs/estimate")).json();
    if (mine === checks) tell([], told(estimate));
  }

  function told(estimate) {
    const [teacher, student] = estimate.networks.map((one) => (one.parameters === null ? "?" : one.parameters.toLocaleString("en")));
    const time = estimate.seconds ? `about ${Math.max(1, Math.round(estimate.seconds.median))} s, as ${estimate.seconds.jobs} like it took` : "time unknown: none like it has run yet";
    return `It would be accepted: ${estimate.steps.toLocaleString("en")} steps, ${teacher} to ${student} parameters, at least ${Math.round(estimate.memory_bytes / 1e6)} MB; ${time}. ${estimate.waiting} waiting.`;
  }

  let timer;
  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => check().catch(() => tell([{ pointer: "", message: "The server does not answer." }], "")), CHECK_MS);
  }

  // ---- What people do --------------------------------------------------------------------------------------------

  form.querySelector("#fields").addEventListener("input", (event) => {
    const { pointer } = event.target.dataset;
    if (!pointer) return;
    if (pointer.endsWith("/name") && pointer !== "/name") {
      put(pointer.slice(0, -5), event.target.value ? { name: event.target.value } : undefined);
      text.value = written();
      if (pointer.startsWith("/objectives/")) render(); // others may have moved up
      else part(event.target.closest("[data-part]"));
      document.getElementById(event.target.id)?.focus();
    } else {
      put(pointer, value(event.target));
      text.value = written();
    }
    soon();
  });

  function read() {
    const ours = isOurs();
    document.getElementById("fields").classList.toggle("by-hand", !ours);
    document.getElementById("fields").inert = !ours; // what is no JSON is the server's to read
    if (ours) {
      spec = ours;
      render();
      const axes = document.getElementById("axes");
      axes.open ||= ["objectives", ...[...axes.querySelectorAll("[data-part]")].map((one) => one.dataset.part)].some((name) => name in spec);
    }
    soon();
  }
  text.addEventListener("input", read);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    // The same spec once more, where the answer was lost, is the same job.
    if (sent.text !== text.value) sent = { text: text.value, key: `page-${Date.now()}-${Math.random().toString(36).slice(2)}` };
    const response = await post(form.dataset.clone ? `/v1/jobs?cloned_from=${form.dataset.clone}` : "/v1/jobs", { "Idempotency-Key": sent.key }).catch(() => null);
    if (response?.ok) return location.assign((await response.json()).links.page);
    const body = response ? await response.json() : { detail: "The server does not answer." };
    tell(body.errors?.length ? body.errors : [{ pointer: "", message: body.detail }], "");
    submit.disabled = false;
  });

  (async () => {
    const axes = new Set([...form.querySelectorAll("[data-axis]")].map((holder) => holder.dataset.axis));
    for (const axis of [...axes, "objectives"]) catalogues[axis] = (await (await fetch(`/v1/${axis}`)).json()).data;
    document.getElementById("fields").hidden = document.getElementById("same").hidden = false;
    read();
    if (isOurs()) text.value = written();
  })();
}
