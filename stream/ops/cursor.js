// A place along a plot: by pointer, by finger, or by keyboard, for which an invisible slider lies on the plot.

/**
 * A drawing with its slider.
 * @param onMove called with the index chosen, and with null when nobody points any more
 */
function withCursor(label, onMove) {
  const slider = element("input", "cursor");
  Object.assign(slider, { type: "range", min: 0, max: 0, step: 1, ariaLabel: `${label}: move along it` });
  const drawing = svg("svg", { role: "img", focusable: "false" });
  const canvas = element("div", "canvas", drawing, slider);
  slider.addEventListener("input", () => onMove(Number(slider.value)));
  slider.addEventListener("focus", () => onMove(Number(slider.value)));
  slider.addEventListener("blur", () => onMove(null));
  canvas.addEventListener("pointerleave", () => slider.matches(":focus-visible") || onMove(null));
  return { canvas, drawing, slider };
}

/** Follow the pointer: `indexAt(x)` tells the index at so many pixels from the slider's left edge. */
function followPointer({ canvas, slider }, indexAt, onMove) {
  canvas.addEventListener("pointermove", (event) => {
    const index = indexAt(event.clientX - slider.getBoundingClientRect().left);
    if (index === null) return;
    slider.value = index;
    onMove(index);
  });
}

/** The drawing's name and what it shows, for those who don't see it. */
function describe(drawing, name, description) {
  if (!drawing.firstChild) drawing.append(svg("title", {}), svg("desc", {}), svg("g", {}));
  const [title, text] = drawing.children;
  title.id ||= `drawing-${(describe.next = (describe.next ?? 0) + 1)}`;
  text.id ||= `${title.id}-text`;
  drawing.setAttribute("aria-labelledby", title.id);
  drawing.setAttribute("aria-describedby", text.id);
  say(title, name);
  say(text, description);
  return drawing.lastChild;
}
