// Sends a file to the API and tells how far it is.
"use strict";

{
  const form = document.getElementById("upload");
  const bar = document.getElementById("sent");
  const said = document.getElementById("said");

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = document.getElementById("file").files[0];
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    request.open("POST", `${form.dataset.url}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (sent) => { bar.value = sent.lengthComputable ? sent.loaded / sent.total : 0; });
    request.addEventListener("load", () => {
      const body = JSON.parse(request.responseText || "{}");
      if (request.status < 300) return location.reload();
      bar.hidden = true;
      said.textContent = [body.detail || `The server answered ${request.status}.`, body.hint].filter(Boolean).join(" → ");
    });
    request.addEventListener("error", () => {
      bar.hidden = true;
      said.textContent = "The connection was cut. A file in parts goes on where it was: stillhouse datasets upload FILE";
    });
    bar.hidden = false;
    said.textContent = `Sending ${file.name}…`;
    request.send(file);
  });
}
