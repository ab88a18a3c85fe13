// Pictures from wherever a person has them: picked, photographed, dropped or pasted; and made small.

import { Trouble } from "./api.js";

const LONGEST_SIDE = 1024;
const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp"];
const QUALITY = 0.9;

/** The picture, no longer than 1024 pixels on either side, as the service takes it. */
export async function shrink(file) {
  const address = URL.createObjectURL(file);
  try {
    const image = await decoded(address, file);
    const scale = Math.min(1, LONGEST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
    if (scale === 1 && SENT_AS_THEY_ARE.includes(file.type)) return file;
    return await drawn(image, scale);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** A part of a picture, given in fractions of its sides. */
export async function cut(blob, part) {
  const address = URL.createObjectURL(blob);
  try {
    return await drawn(await decoded(address, blob), 1, part);
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function decoded(address, file) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    image.removeAttribute("src");
  }
  if (image.naturalWidth) return image;
  const name = file.name ? `“${file.name}”` : "That";
  throw new Trouble("That is not a picture", `${name} can't be shown by this browser. Try a JPEG, PNG or WebP file.`);
}

function drawn(image, scale, part = { x: 0, y: 0, width: 1, height: 1 }) {
  const from = [image.naturalWidth * part.x, image.naturalHeight * part.y];
  const size = [image.naturalWidth * part.width, image.naturalHeight * part.height];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = size.map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind what is transparent, as the service does it
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, ...from, ...size, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** Call `take(file)` for each file picked in one of the inputs. */
export function onPick(inputs, take) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = ""; // so that the same file can be picked again
      if (file) take(file);
    });
  }
}

/** Call `take(file, where)` for a file pasted, or dropped anywhere on the page. */
export function onDropOrPaste(take) {
  const hovering = (over) => document.body.classList.toggle("hovered", over);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    hovering(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || hovering(false));
  addEventListener("drop", (event) => {
    hovering(false);
    handOver(event, event.dataTransfer);
  });
  addEventListener("paste", (event) => handOver(event, event.clipboardData));

  function handOver(event, data) {
    const files = [...(data?.files ?? [])];
    const file = files.find((each) => each.type.startsWith("image/")) ?? files[0];
    if (!file) return;
    event.preventDefault();
    take(file, event.target);
  }
}
