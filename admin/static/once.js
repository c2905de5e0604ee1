// A form that does something is sent once: a second click on its button finds it disabled. The server, too,
// does nothing twice; without this file it says so on the page that answers the second click.
"use strict";

for (const form of document.querySelectorAll("form[data-once]")) {
  const button = form.querySelector("button");
  form.addEventListener("submit", () => {
    button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false; // the browser's back button brings the page as it was left
  });
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.value);
    button.textContent = button.dataset.done;
  });
}
