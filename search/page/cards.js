// A hit as a card, which as a whole is a button: "more like this".

import { pictureOf } from "./api.js";
import { ago, freshness, price } from "./words.js";

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content.filter(Boolean));
  return made;
}

function picture(hit) {
  const frame = element("span", "frame");
  const address = pictureOf(hit);
  if (address) {
    const image = element("img", "");
    Object.assign(image, { alt: "", loading: "lazy", decoding: "async", width: 256, height: 256, src: address });
    image.addEventListener("error", () => image.remove());
    frame.append(image);
  }
  return frame;
}

function facts(hit) {
  const score = element("span", "score", hit.score.toFixed(2));
  score.title = "how much alike, 1 at most";
  score.ariaHidden = "true"; // the order says as much
  const kind = [hit.category, `listed ${ago(hit.occurred_at)}`].filter(Boolean).join(" · ");
  return [
    element("span", "title", hit.title ?? hit.product_id),
    element("span", "row", element("span", "price", price(hit.price, hit.currency)), score),
    element("span", "kind", kind),
    element("span", "freshness", freshness(hit)),
  ];
}

/** The card of one hit; `listed` marks the product that was just listed here. */
export function card(hit, { listed, onMore }) {
  const frame = picture(hit);
  frame.append(element("span", "more", "More like this"));
  if (listed) frame.append(element("span", "badge", "Just listed"));
  const button = element("button", "card", frame, ...facts(hit));
  button.type = "button";
  button.dataset.product = hit.product_id;
  button.addEventListener("click", () => onMore(hit));
  return element("li", listed ? "listed" : "", button);
}
