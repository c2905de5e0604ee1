// How far work in the background is, asked every second. When its state changes the page is loaded anew.
"use strict";

const bar = document.getElementById("progress");
const said = document.getElementById("progress-said");
const EVERY_MS = 1000;
let failures = 0;

async function ask() {
  try {
    const answer = await fetch(bar.dataset.url, {
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(10000),
    });
    if (answer.type === "opaqueredirect") {
      location.reload(); // logged out meanwhile
      return;
    }
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const { state, done, total } = await answer.json();
    if (state !== bar.dataset.state) {
      location.reload();
      return;
    }
    if (total) {
      bar.max = total;
      bar.value = done;
      said.textContent = `${done.toLocaleString(document.documentElement.lang)} / ${total.toLocaleString(document.documentElement.lang)}`;
    }
    failures = 0;
  } catch {
    failures += 1;
  }
  setTimeout(ask, Math.min(EVERY_MS * 2 ** failures, 30000));
}

ask();
