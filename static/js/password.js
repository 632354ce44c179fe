// A button that shows the passwords of a form as they are typed. Without scripts there is none.

for (const form of document.querySelectorAll("[data-show-password]")) {
  const fields = [...form.querySelectorAll("input[type=password]")];
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link-button";
  button.textContent = form.dataset.showPassword;

  function show(shown) {
    for (const field of fields) field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  }

  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") === "false"));
  // Browsers offer to remember what was typed into ordinary fields.
  form.addEventListener("submit", () => show(false));
  show(false);
  fields.at(-1).closest("label").after(button);
}
