// The menu of the person who is signed in closes with Escape, and when something else is chosen.
"use strict";

{
  const menu = document.querySelector("details.you");
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}
