// The same request as the form's for other programs: curl, the command line, Python. What stands here can be
// run as it is; where the server asks for keys, with STILLHOUSE_API_KEY in the environment.
"use strict";

{
  const form = document.getElementById("new");
  const text = document.getElementById("spec");
  const shown = document.getElementById("elsewhere");
  const copied = document.getElementById("copied");
  let as = "curl";

  const quoted = (words) => `'${words.replaceAll("'", "'\\''")}'`;

  // A line of its own that the text does not have.
  function ending() {
    const lines = text.value.split("\n");
    let word = "END";
    while (lines.includes(word)) word += "_";
    return word;
  }

  // What JSON writes as a string is one of Python's as well, only harder to read.
  const literal = (words) => (words.includes('"""') ? JSON.stringify(words) : `r"""\n${words}\n"""`);

  function isJson() {
    try {
      const read = JSON.parse(text.value);
      return read !== null && typeof read === "object";
    } catch {
      return false;
    }
  }

  function ways() {
    const { origin } = location;
    const [media, name, library, read] = isJson()
      ? ["application/json", "spec.json", "json", "json.loads"]
      : ["application/yaml", "spec.yaml", "yaml", "yaml.safe_load"];
    const signed = form.hasAttribute("data-signed");
    const key = signed ? ' -H "Authorization: Bearer $STILLHOUSE_API_KEY"' : "";
    const ours = signed ? "# STILLHOUSE_API_KEY holds your key\n" : "";
    const from = form.dataset.clone ? `?cloned_from=${form.dataset.clone}` : "";
    const word = ending();
    return {
      curl: `${ours}curl -sS ${quoted(`${origin}/v1/jobs${from}`)}${key} -H 'Content-Type: ${media}' --data-raw ${quoted(text.value)}`,
      cli: `${ours}export STILLHOUSE_URL=${origin}\ncat > ${name} <<'${word}'\n${text.value}\n${word}\nstillhouse submit ${name} --watch`,
      python: `${ours}import ${library}\nfrom stillhouse import Client\n\nspec = ${read}(${literal(text.value)})\nwith Client("${origin}") as client:\n    job = client.submit(spec)\n    print(client.wait(job["id"])["status"])`,
    };
  }

  function draw() {
    shown.textContent = ways()[as];
    copied.textContent = "";
  }

  // Only pages from https or this machine may write to the clipboard.
  async function copy() {
    try {
      await navigator.clipboard.writeText(shown.textContent);
      copied.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(shown);
      shown.focus();
      copied.textContent = "This browser lets no page without https copy: it is selected, press Ctrl+C (⌘C).";
    }
  }

  document.addEventListener("stillhouse:spec", draw);
  document.getElementById("copy").addEventListener("click", copy);
  document.getElementById("same").addEventListener("click", (event) => {
    if (!event.target.dataset.as) return;
    as = event.target.dataset.as;
    for (const button of document.querySelectorAll("[data-as]")) button.setAttribute("aria-pressed", String(button === event.target));
    draw();
  });
}
