// A frame around what a picture is about: drawn, moved and resized by mouse, finger or keyboard.

const LEAST = 0.08; // of the picture, on either side
const STEP = 0.02;
const FIRST = { x: 0.15, y: 0.15, width: 0.7, height: 0.7 };
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const byId = (id) => document.getElementById(id);
const between = (value, least, most) => Math.min(Math.max(value, least), most);

/**
 * Make the dialog work.
 * @param onChosen called with the part, in fractions of the picture's sides, or null for all of it
 * @returns `offer(question)` shows the button where there is a picture to crop, `open(question)` the dialog
 */
export function setUpCrop(onChosen) {
  const dialog = byId("crop");
  const frame = byId("crop-frame");
  let part = FIRST;

  function place(next) {
    part = next;
    for (const [side, value] of [["left", part.x], ["top", part.y], ["width", part.width], ["height", part.height]]) {
      frame.style[side] = `${100 * value}%`;
    }
    byId("crop-said").textContent = said(part);
  }

  function open({ whole, part: before }) {
    URL.revokeObjectURL(byId("crop-picture").src);
    byId("crop-picture").src = URL.createObjectURL(whole);
    byId("crop-whole").hidden = !before;
    place(before ?? FIRST);
    dialog.showModal();
    frame.focus();
  }

  function close(...chosen) {
    dialog.close();
    if (chosen.length) onChosen(...chosen);
  }

  onDrag(byId("crop-stage"), () => part, place);
  frame.addEventListener("keydown", (event) => {
    const by = ARROWS[event.key];
    if (!by && event.key !== "Enter") return;
    event.preventDefault(); // neither scroll nor press the button that has the focus next
    if (!by) close(part);
    else place(event.shiftKey ? stretched(part, "se", ...by) : moved(part, ...by));
  });
  byId("crop-take").addEventListener("click", () => close(part));
  byId("crop-whole").addEventListener("click", () => close(null));
  byId("crop-cancel").addEventListener("click", () => close());
  return { offer: ({ whole }) => { byId("crop-open").hidden = !whole; }, open };
}

/** Follow a pointer: at a corner it resizes the frame, inside it moves it, and elsewhere it draws a new one. */
function onDrag(stage, now, place) {
  let drag = null;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [between((event.clientX - box.left) / box.width, 0, 1), between((event.clientY - box.top) / box.height, 0, 1)];
  };
  stage.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // neither select nor scroll
    stage.setPointerCapture(event.pointerId);
    const corner = event.target.dataset?.corner;
    const [x, y] = at(event);
    if (corner) drag = { x, y, part: now(), change: (part, ...by) => stretched(part, corner, ...by) };
    else if (event.target.id === "crop-frame") drag = { x, y, part: now(), change: moved };
    else drag = { x, y, part: { x, y, width: 0, height: 0 }, change: drawn };
    byId("crop-frame").focus();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = at(event);
    place(drag.change(drag.part, x - drag.x, y - drag.y));
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { drag = null; });
}

function moved(part, right, down) {
  return { ...part, x: between(part.x + right, 0, 1 - part.width), y: between(part.y + down, 0, 1 - part.height) };
}

/** With one corner elsewhere; the opposite one stays. */
function stretched({ x, y, width, height }, corner, right, down) {
  const [left, leftEnd] = corner.includes("w") ? [between(x + right, 0, x + width - LEAST), x + width] : [x, between(x + width + right, x + LEAST, 1)];
  const [top, topEnd] = corner.includes("n") ? [between(y + down, 0, y + height - LEAST), y + height] : [y, between(y + height + down, y + LEAST, 1)];
  return { x: left, y: top, width: leftEnd - left, height: topEnd - top };
}

/** From where the pointer went down to where it is. */
function drawn({ x, y }, right, down) {
  const width = Math.max(Math.abs(right), LEAST);
  const height = Math.max(Math.abs(down), LEAST);
  const left = between(right < 0 ? x - width : x, 0, 1 - width);
  return { x: left, y: between(down < 0 ? y - height : y, 0, 1 - height), width, height };
}

function said({ x, y, width, height }) {
  const percent = (value) => `${Math.round(100 * value)} %`;
  return `${percent(width)} wide and ${percent(height)} high, ${percent(x)} from the left and ${percent(y)} from the top`;
}
