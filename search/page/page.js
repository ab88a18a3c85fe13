// The page: a picture, words or a product are asked about, and their likenesses are shown. Each question is a step in the
// browser's history, so Back does what it says.

import { pictureOf, product, search, similar, useKey } from "./api.js";
import { addResults, clear, showAnswer, showQuestion, tell } from "./answers.js";
import { setUpCrop } from "./crop.js";
import { fromAddress, setUpFilters, toAddress } from "./filters.js";
import { setUpListing } from "./listing.js";
import { cut, onDropOrPaste, onPick, shrink } from "./picture.js";

const byId = (id) => document.getElementById(id);
const questions = new Map(); // by the key in the browser's history
let current = null;
let running = new AbortController();

const listing = document.body.dataset.listing === "on" ? setUpListing(found) : null;
const filters = setUpFilters((chosen) => current && go({ ...current, filters: chosen }));
const crop = setUpCrop(searchByPart);

async function searchBy(file) {
  try {
    const picture = await shrink(file);
    listing?.offer(picture);
    await go({ picture, whole: picture, shown: URL.createObjectURL(picture), name: "Your picture" });
  } catch (error) {
    tell(error);
  }
}

/** The same question about a part of its picture; null is all of it. */
async function searchByPart(part) {
  const { whole } = current;
  const picture = part ? await cut(whole, part) : whole;
  await go({ ...current, picture, part, shown: URL.createObjectURL(picture), name: part ? "A part of your picture" : "Your picture" });
}

/** Words beside the picture that was just asked about, or by themselves. */
function searchByWords(text, options) {
  const beside = current?.picture ? current : { picture: null, shown: null, name: "", filters: current?.filters };
  return go({ ...beside, listed: null, like: null, text }, options);
}

function found(picture, productId) {
  const shown = URL.createObjectURL(picture);
  return go({ picture, whole: picture, shown, name: "The picture that you listed", listed: productId });
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
function addressOf({ like, picture, text, filters: chosen }) {
  if (like) return `?${new URLSearchParams({ like })}`;
  return text && !picture ? `?${new URLSearchParams({ text, ...toAddress(chosen) })}` : "/";
}

function ask({ like, picture: image, text, filters: chosen }, offset, signal) {
  return like ? similar(like, offset, signal) : search({ image, text, offset, ...chosen }, signal);
}

/** Ask and show; a question asked meanwhile takes its place. */
async function answer(question) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  current = question;
  showQuestion(question);
  crop.offer(question);
  try {
    const response = await ask(question, 0, signal);
    showAnswer(question, response, { onMore: moreLike, listing: Boolean(listing) });
    filters.show(question, response.facets);
  } catch (error) {
    if (signal.aborted) return;
    clear();
    tell(error);
  }
}

/** The next ones, below those that are shown. */
async function more() {
  const { signal } = running;
  try {
    const offset = byId("grid").childElementCount;
    addResults(current, await ask(current, offset, signal), { onMore: moreLike });
  } catch (error) {
    if (!signal.aborted) tell(error);
  }
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

const again = () => (current ? answer(current) : location.reload());

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
  current = { filters: current.filters };
  searchByWords(text);
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  again();
});
byId("crop-open").addEventListener("click", () => crop.open(current));
byId("next").addEventListener("click", more);
byId("back").addEventListener("click", () => history.back());
byId("again").addEventListener("click", again);
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
if (opened.get("like")) {
  open(opened.get("like"));
} else if (opened.get("text")) {
  current = { filters: fromAddress(opened) };
  searchByWords(opened.get("text"), { inPlace: true });
}
