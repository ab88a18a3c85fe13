// What is asked about, what was found, and what went wrong, on the screen.

import { LIMIT, MOST, Trouble } from "./api.js";
import { card } from "./cards.js";
import { count as filtersOf } from "./filters.js";

const byId = (id) => document.getElementById(id);

/** Show what is asked about, before there is an answer. */
export function showQuestion(question) {
  document.body.dataset.stage = "results";
  byId("asked").hidden = !question.shown;
  if (question.shown) byId("asked").src = question.shown;
  byId("asked-name").textContent = question.name;
  byId("words").value = question.text ?? "";
  byId("alone").hidden = !(question.picture && question.text);
  byId("back").hidden = !history.state?.step;
  byId("trouble").hidden = true;
  byId("results").setAttribute("aria-busy", "true");
}

/** Show what was found, in place of what was there. */
export function showAnswer(question, response, { onMore, listing }) {
  const { results, took_ms: took } = response;
  byId("results").setAttribute("aria-busy", "false");
  byId("grid").replaceChildren();
  addResults(question, response, { onMore });
  byId("heading").textContent = headline(question, results.length);
  byId("note").textContent = results.length ? `Found in ${Math.round(took)} ms. Choose one for more like it.` : hint(question, listing);
  if (!question.like && !question.listed) return;
  byId("heading").focus({ preventScroll: true }); // the card that had it is gone
  scrollTo({ top: 0 });
}

/** Show further ones below; where they came by a button, the first of them has the focus. */
export function addResults(question, { results }, { onMore }) {
  // Products were listed and ranked anew meanwhile: one that is shown already stays where it is.
  const known = new Set([...byId("grid").querySelectorAll(".card")].map((each) => each.dataset.product));
  const fresh = results.filter((hit) => !known.has(hit.product_id));
  const cards = fresh.map((hit) => card(hit, { listed: hit.product_id === question.listed, onMore: (chosen) => onMore(chosen) }));
  const shown = known.size;
  byId("grid").append(...cards);
  byId("next").hidden = results.length < LIMIT || shown + cards.length > MOST;
  if (!shown) return;
  byId("heading").textContent = headline(question, shown + cards.length);
  cards[0]?.querySelector("button").focus();
}

/** Show nothing. */
export function clear() {
  byId("results").setAttribute("aria-busy", "false");
  byId("next").hidden = true;
  for (const id of ["heading", "note", "grid"]) byId(id).replaceChildren();
}

/** Say what went wrong, and what helps; other errors are the page's own. */
export function tell(error) {
  if (!(error instanceof Trouble)) throw error;
  byId("trouble-title").textContent = error.title;
  byId("trouble-detail").textContent = error.message;
  byId("again").hidden = !error.passing;
  byId("key-form").hidden = !error.keyless;
  byId("trouble").hidden = false;
  byId("trouble").scrollIntoView({ block: "nearest" });
  if (error.keyless) byId("key").focus();
}

function headline({ like, picture, text, name, filters }, count) {
  if (!count) return filtersOf(filters) ? "Nothing with these filters" : "No products yet";
  const products = count === 1 ? "1 product" : `${count} products`;
  if (like) return `${products} like “${name}”`;
  if (!picture) return `${products} for “${text}”`;
  return text ? `${products} like your picture, “${text}”` : `${products} like your picture`;
}

function hint({ filters, like }, listing) {
  if (filtersOf(filters)) return "Take one of them away, or clear them all.";
  if (like) return "There is nothing else in the index.";
  return `The index is empty. ${listing ? "List a product now, or publish" : "Publish"} some to it, and search again.`;
}
