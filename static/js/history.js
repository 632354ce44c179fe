// The keyboard on the history: j and k or arrows move, Enter opens, x ticks, n and p turn pages, / searches, ? shows the
// keys.

const rows = [...document.querySelectorAll("[data-cases] tr[data-id]")];
const search = document.querySelector(".filters input[type=search]");
const keys = document.querySelector(".keys");

// The row that has the focus, be it in its link or in its tick box; undefined where none has.
function current() {
  return rows.find((row) => row.contains(document.activeElement));
}

function move(step) {
  const at = rows.indexOf(current());
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.querySelector(".cell-time a").focus({ focusVisible: true });
  next?.scrollIntoView({ block: "nearest" });
}

function turn(rel) {
  document.querySelector(`.pages a[rel=${rel}]`)?.click();
}

const actions = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  x: () => current()?.querySelector(".pick")?.click(),
  n: () => turn("next"),
  p: () => turn("prev"),
  "/": () => search.focus(),
  "?": () => {
    keys.open = !keys.open;
    if (keys.open) keys.scrollIntoView({ block: "nearest" });
  },
};

// A tick box takes no letters: whoever has just used one goes on with the keys.
function isTyping(target) {
  return target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target === search && event.key === "Escape") return search.blur();
  if (isTyping(event.target) || !Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
});
