// The keys of a reviewer. Everything they do can be done with the page's own links, fields and buttons.

const form = document.querySelector("[data-review-form]");
const keys = document.querySelector("[data-keys]");
const note = document.querySelector("[data-note]");
let sent = false;

const actions = {
  n: () => document.querySelector("a[rel=next][data-key]")?.click(),
  p: () => document.querySelector("a[rel=prev][data-key]")?.click(),
  c: () => choose(form?.querySelector("[data-confirm]")),
  e: () => note?.focus(),
  s: () => form?.querySelector("button[data-key=s]")?.click(),
  z: () => document.querySelector("[data-zoom]")?.click(),
  "?": () => { if (keys) keys.open = !keys.open; },
};

function choose(radio) {
  if (!radio) return;
  radio.checked = true;
  radio.focus();
}

function isTyping(target) {
  return target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const choice = form?.querySelector(`input[data-key="${CSS.escape(event.key)}"]`);
  if (choice) {
    event.preventDefault();
    choose(choice);
  } else if (Object.hasOwn(actions, event.key)) {
    event.preventDefault();
    actions[event.key]();
  }
});

// A second press while the first is under way would be a second review.
form?.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
addEventListener("pageshow", () => { sent = false; });

// A key that goes to the next screening is soon pressed: a note that is not stored yet must not be lost by it.
addEventListener("beforeunload", (event) => {
  const stored = note?.value === note?.defaultValue && !document.querySelector("[data-fault]");
  if (note?.value && !stored && !sent) event.preventDefault();
});

document.querySelector("[data-fault]")?.focus();
