// Keeps the list of the latest transactions in step with the server. Without this file the page still works.
"use strict";

const EVERY_MS = 2000;
const LONGEST_WAIT_MS = 30000;

const button = document.getElementById("live");
const state = document.getElementById("live-state");
const rows = document.getElementById("rows");
const said = document.getElementById("said");

let paused = false;
let failures = 0;
let mark = null; // what the server called the rows that we have
let timer = null;
let asking = false;

function show(name) {
  button.dataset.state = name;
  state.textContent = button.dataset[name];
  button.title = paused ? button.dataset.resume : button.dataset.pause;
  button.setAttribute("aria-label", `${state.textContent}. ${button.title}`);
}

function update(html, older) {
  const fresh = document.createElement("tbody");
  fresh.innerHTML = html; // the server has escaped every word in it
  const have = new Map(Array.from(rows.children, (row) => [row.dataset.id, row]));
  let arrived = 0;
  const kept = Array.from(fresh.children, (row) => {
    const old = have.get(row.dataset.id);
    if (!old) {
      row.classList.add("arrived");
      arrived += 1;
      return row;
    }
    if (old.innerHTML !== row.innerHTML) old.innerHTML = row.innerHTML;
    return old;
  });
  rows.replaceChildren(...kept);
  document.getElementById("list").hidden = kept.length === 0;
  document.getElementById("empty").hidden = kept.length > 0;
  document.getElementById("foot").hidden = !older;
  if (kept.length > 0) {
    const link = document.getElementById("older");
    const address = new URL(link.href);
    address.searchParams.set("before", kept[kept.length - 1].dataset.id);
    link.href = address;
  }
  if (arrived > 0) said.textContent = button.dataset.new.replace("{count}", arrived);
}

async function ask() {
  clearTimeout(timer);
  if (paused || document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch(button.dataset.url, {
      cache: "no-store",
      redirect: "manual",
      headers: mark ? { "If-None-Match": mark } : {},
      signal: AbortSignal.timeout(10000),
    });
    if (answer.type === "opaqueredirect") {
      location.reload(); // logged out meanwhile: the reload leads to the login and back here
      return;
    }
    if (answer.status === 200) {
      const html = await answer.text();
      if (!paused) {
        mark = answer.headers.get("ETag");
        update(html, answer.headers.get("X-Older") === "1");
      }
    } else if (answer.status !== 304) {
      throw new Error(`answered ${answer.status}`);
    }
    failures = 0;
  } catch {
    failures += 1;
  } finally {
    asking = false;
  }
  if (paused) return;
  show(failures > 0 ? "offline" : "live");
  timer = setTimeout(ask, Math.min(EVERY_MS * 2 ** failures, LONGEST_WAIT_MS));
}

button.addEventListener("click", () => {
  paused = !paused;
  show(paused ? "paused" : "live");
  ask();
});
document.addEventListener("visibilitychange", ask);
window.addEventListener("online", ask);

button.hidden = false;
show("live");
ask();
