// The keyboard on the history: j and k or arrows move, Enter opens, n and p turn pages, / searches, ? shows the keys.

const links = [...document.querySelectorAll("[data-cases] .cell-time a")];
const search = document.querySelector(".filters input[type=search]");
const keys = document.querySelector(".keys");

function move(step) {
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next]?.focus({ focusVisible: true });
  links[next]?.closest("tr").scrollIntoView({ block: "nearest" });
}

function turn(rel) {
  document.querySelector(`.pages a[rel=${rel}]`)?.click();
}

const actions = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  n: () => turn("next"),
  p: () => turn("prev"),
  "/": () => search.focus(),
  "?": () => {
    keys.open = !keys.open;
    if (keys.open) keys.scrollIntoView({ block: "nearest" });
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target === search && event.key === "Escape") return search.blur();
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
