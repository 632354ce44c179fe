// Makes the upload form comfortable: drag and drop, previews, and progress. Without it the plain form does the same work.

const form = document.querySelector("[data-upload]");
const texts = form.dataset;
const alertBox = form.querySelector("[data-error]");
const dropZone = form.querySelector("[data-drop]");
const previews = form.querySelector("[data-previews]");
const progress = form.querySelector("[data-progress]");
const progressBar = progress.querySelector("progress");
const progressText = progress.querySelector("[data-progress-text]");
const submit = form.querySelector("[type=submit]");
const inputs = [...form.querySelectorAll("input[type=file]")];
const maxPhotos = Number(texts.maxPhotos);
const maxBytes = Number(texts.maxMegabytes) * 1024 * 1024;

const maxAttempts = 8;

let chosen = [];
let attempts = 0;
form.classList.add("enhanced");

function showError(sentence) {
  alertBox.textContent = sentence;
  alertBox.hidden = !sentence;
  if (sentence) alertBox.focus();
}

function add(files) {
  const fresh = [...files];
  if (!fresh.length) return;
  if (chosen.length + fresh.length > maxPhotos) return showError(texts.textTooMany);
  if (fresh.some((file) => file.size > maxBytes)) return showError(texts.textTooLarge);
  showError("");
  chosen = chosen.concat(fresh);
  showPreviews();
}

function remove(file) {
  const position = chosen.indexOf(file);
  chosen = chosen.filter((other) => other !== file);
  showPreviews();
  const buttons = previews.querySelectorAll("button");
  (buttons[Math.min(position, buttons.length - 1)] ?? inputs[0]).focus();
}

function showPreviews() {
  for (const image of previews.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  previews.replaceChildren(...chosen.map(preview));
  previews.hidden = chosen.length === 0;
}

function preview(file) {
  const item = document.createElement("li");
  const image = document.createElement("img");
  image.alt = "";
  image.src = URL.createObjectURL(file);
  // Some formats, HEIC above all, are read by the server but not shown by the browser: the name stands in.
  image.addEventListener("error", () => item.classList.add("no-preview"));
  const name = document.createElement("span");
  name.textContent = file.name;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = texts.textRemove;
  button.setAttribute("aria-label", `${texts.textRemove}: ${file.name}`);
  button.addEventListener("click", () => remove(file));
  item.append(image, name, button);
  return item;
}

function take(input) {
  add(input.files);
  input.value = ""; // the list above is what counts; choosing the same file again must fire again
}

for (const input of inputs) {
  input.addEventListener("change", () => take(input));
  take(input); // chosen before this script was there, or kept by the browser over a reload
}

for (const kind of ["dragenter", "dragover"]) {
  form.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    dropZone.classList.add("over");
  });
}
form.addEventListener("dragleave", (event) => {
  if (!form.contains(event.relatedTarget)) dropZone.classList.remove("over");
});
form.addEventListener("drop", (event) => {
  event.preventDefault();
  dropZone.classList.remove("over");
  add(event.dataTransfer.files);
});

function busy(on) {
  submit.disabled = on;
  progress.hidden = !on;
  form.setAttribute("aria-busy", String(on));
  for (const control of [...inputs, ...previews.querySelectorAll("button")]) control.disabled = on;
}

function fail(sentence) {
  busy(false);
  showError(sentence);
}

// The queue is full: say so, and send the photos again when there should be room.
function waitAndSend(seconds) {
  attempts += 1;
  progressBar.removeAttribute("value");
  let left = seconds;
  const tick = () => {
    progressText.textContent = texts.textQueue.replace("{seconds}", left);
    if (left <= 0) return send();
    left -= 1;
    setTimeout(tick, 1000);
  };
  tick();
}

function onAnswer(request) {
  const address = new URL(request.responseURL || location.href);
  if (address.pathname.startsWith("/results/")) {
    location.assign(address.href);
    return;
  }
  const seconds = Number(request.getResponseHeader("Retry-After"));
  if (request.status === 503 && request.responseText.includes("data-queue") && attempts < maxAttempts) {
    return waitAndSend(Math.min(Math.max(seconds, 1), 60) + attempts);
  }
  // Any other page is an error; its sentence goes into this form, so that the chosen photos stay. A page without one
  // is not ours but of a server in between.
  const page = new DOMParser().parseFromString(request.responseText, "text/html");
  const sentence = page.querySelector("[data-error]")?.textContent.trim();
  fail(sentence || (request.status === 413 ? texts.textTogetherTooLarge : texts.textNoAnswer));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!chosen.length) return showError(texts.textNone);
  if (!form.elements.consent.checked) return showError(texts.textConsent);
  showError("");
  attempts = 0;
  send();
});

function send() {
  const data = new FormData(form);
  for (const input of inputs) data.delete(input.name);
  for (const file of chosen) data.append("photos", file, file.name);

  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    progressBar.value = total ? (100 * loaded) / total : 0;
  });
  request.upload.addEventListener("load", () => {
    progressBar.removeAttribute("value"); // how long the model takes is not known
    progressText.textContent = texts.textScreening;
  });
  request.addEventListener("load", () => onAnswer(request));
  for (const kind of ["error", "abort", "timeout"]) request.addEventListener(kind, () => fail(texts.textOffline));
  progressBar.value = 0;
  progressText.textContent = texts.textUploading;
  busy(true);
  request.send(data);
}

// Coming back with the browser's back button shows the page as it was left: busy.
window.addEventListener("pageshow", () => busy(false));
