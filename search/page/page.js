// The page: a picture, words or a product are asked about, and their likenesses are shown. Each question is a step in the
// browser's history, so Back does what it says.

import { pictureOf, product, search, similar, Trouble } from "./api.js";
import { card } from "./cards.js";
import { setUpListing } from "./listing.js";
import { onDropOrPaste, onPick, shrink } from "./picture.js";

const byId = (id) => document.getElementById(id);
const questions = new Map(); // by the key in the browser's history
let current = null;
let running = new AbortController();

const listing = document.body.dataset.listing === "on" ? setUpListing(found) : null;

async function searchBy(file) {
  try {
    const picture = await shrink(file);
    listing?.offer(picture);
    await go({ picture, shown: URL.createObjectURL(picture), name: "Your picture" });
  } catch (error) {
    tell(error);
  }
}

/** Words beside the picture that was just asked about, or by themselves. */
function searchByWords(text, options) {
  const { picture = null, shown = null, name = "" } = current?.picture ? current : {};
  return go({ picture, shown, name, text }, options);
}

function found(picture, productId) {
  return go({ picture, shown: URL.createObjectURL(picture), name: "The picture that you listed", listed: productId });
}

function moreLike(hit, options) {
  return go({ like: hit.product_id, shown: pictureOf(hit), name: hit.title ?? hit.product_id }, options);
}

/** Ask a question anew: a step forward, or in place of what the page was opened with. */
async function go(question, { inPlace = false } = {}) {
  const key = `${performance.timeOrigin}/${questions.size}`;
  const step = inPlace || !questions.has(history.state?.key) ? 0 : history.state.step + 1;
  history[inPlace ? "replaceState" : "pushState"]({ key, step }, "", addressOf(question));
  questions.set(key, question);
  await answer(question);
}

/** What can be kept and shared; a picture can't. */
function addressOf({ like, picture, text }) {
  if (like) return `?like=${encodeURIComponent(like)}`;
  return text && !picture ? `?text=${encodeURIComponent(text)}` : "/";
}

const ask = ({ like, picture: image, text }, signal) => (like ? similar(like, signal) : search({ image, text }, signal));

/** Ask and show; a question asked meanwhile takes its place. */
async function answer(question) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  current = question;
  show(question);
  try {
    show(question, await ask(question, signal));
  } catch (error) {
    if (signal.aborted) return;
    clear();
    tell(error);
  }
}

/** Show what is asked about and, once there is one, the answer. */
function show(question, response = null) {
  document.body.dataset.stage = "results";
  byId("asked").hidden = !question.shown;
  if (question.shown) byId("asked").src = question.shown;
  byId("asked-name").textContent = question.name;
  byId("words").value = question.text ?? "";
  byId("alone").hidden = !(question.picture && question.text);
  byId("back").hidden = !history.state?.step;
  byId("trouble").hidden = true;
  byId("results").setAttribute("aria-busy", String(response === null));
  if (response !== null) fill(question, response);
}

function fill(question, { results, took_ms }) {
  byId("heading").textContent = headline(question, results.length);
  byId("note").textContent = results.length ? `Found in ${Math.round(took_ms)} ms. Choose one for more like it.` : hint();
  const dress = (hit) => card(hit, { listed: hit.product_id === question.listed, onMore: (chosen) => moreLike(chosen) });
  byId("grid").replaceChildren(...results.map(dress));
  if (!question.like && !question.listed) return;
  byId("heading").focus({ preventScroll: true }); // the card that had it is gone
  scrollTo({ top: 0 });
}

function clear() {
  byId("results").setAttribute("aria-busy", "false");
  for (const id of ["heading", "note", "grid"]) byId(id).replaceChildren();
}

function headline({ like, picture, text, name }, count) {
  if (!count) return "No products yet";
  const products = count === 1 ? "1 product" : `${count} products`;
  if (like) return `${products} like “${name}”`;
  if (!picture) return `${products} for “${text}”`;
  return text ? `${products} like your picture, “${text}”` : `${products} like your picture`;
}

function hint() {
  return `The index is empty. ${listing ? "List a product now, or publish" : "Publish"} some to it, and search again.`;
}

function tell(error) {
  if (!(error instanceof Trouble)) throw error;
  byId("trouble-title").textContent = error.title;
  byId("trouble-detail").textContent = error.message;
  byId("again").hidden = !error.passing;
  byId("trouble").hidden = false;
  byId("trouble").scrollIntoView({ block: "nearest" });
}

/** A page opened at `?like=…`, from a bookmark or a reload. */
async function open(productId) {
  try {
    await moreLike(await product(productId), { inPlace: true });
  } catch (error) {
    current = null;
    tell(error);
  }
}

onPick([byId("pick"), byId("shoot")], searchBy);
onDropOrPaste((file, where) => {
  const forListing = listing && where instanceof Element && where.closest("#listing");
  return forListing ? listing.take(file) : searchBy(file);
});
byId("words-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("words").value.trim();
  if (text) searchByWords(text);
  else if (current?.picture) go({ ...current, text: null });
});
byId("alone").addEventListener("click", () => {
  const { text } = current;
  current = null;
  searchByWords(text);
});
byId("back").addEventListener("click", () => history.back());
byId("again").addEventListener("click", () => (current ? answer(current) : location.reload()));
addEventListener("popstate", ({ state }) => {
  const question = questions.get(state?.key);
  if (question) answer(question);
  else location.reload();
});
byId("words-form").hidden = document.body.dataset.words !== "on";
if (listing) {
  byId("listing").hidden = false;
  byId("listing").open = matchMedia("(min-width: 56rem)").matches;
}
const opened = new URLSearchParams(location.search);
if (opened.get("like")) open(opened.get("like"));
else if (opened.get("text")) searchByWords(opened.get("text"), { inPlace: true });
