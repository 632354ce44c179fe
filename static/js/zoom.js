// A photo in full size over the page: buttons, + and -, the wheel with Ctrl, or two fingers; dragging moves it.

const STEP = 1.5;
const MOST = 8;

function enlarge(link) {
  const dialog = document.createElement("dialog");
  const view = document.createElement("div");
  const picture = document.createElement("img");
  const bar = document.createElement("div");
  const { naturalWidth: width, naturalHeight: height } = link.querySelector("img");
  let scale = 1;
  dialog.className = "zoom";
  view.className = "zoom-view";
  bar.className = "zoom-bar";
  picture.src = link.href;
  picture.alt = link.querySelector("img").alt;
  dialog.setAttribute("aria-label", picture.alt);
  view.append(picture);
  dialog.append(view, bar);
  document.body.append(dialog);

  const fitting = () => Math.min(view.clientWidth / width, view.clientHeight / height);
  function show(next) {
    const middle = [
      (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth,
      (view.scrollTop + view.clientHeight / 2) / view.scrollHeight,
    ];
    scale = Math.min(Math.max(next, 1), MOST);
    picture.style.width = `${width * fitting() * scale}px`;
    view.scrollLeft = middle[0] * view.scrollWidth - view.clientWidth / 2;
    view.scrollTop = middle[1] * view.scrollHeight - view.clientHeight / 2;
  }
  for (const [sign, act] of [["+", () => show(scale * STEP)], ["−", () => show(scale / STEP)], ["×", () => dialog.close()]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.addEventListener("click", act);
    bar.append(button);
  }
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "+" || event.key === "=") show(scale * STEP);
    if (event.key === "-") show(scale / STEP);
    if (event.key === "z") dialog.close();
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    show(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15));
  }, { passive: false });
  picture.draggable = false;
  view.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.buttons & 1) view.scrollBy(-event.movementX, -event.movementY);
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    // This is told a moment after it is closed: whoever has begun to write a note by then goes on writing there.
    if (document.activeElement === document.body) link.focus();
  });
  dialog.showModal();
  show(1);
}

for (const link of document.querySelectorAll("[data-zoom]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    enlarge(link);
  });
}
