// "List a product now": upload, then count the seconds until it is found.

import { list, searchable, Trouble } from "./api.js";
import { onPick, shrink } from "./picture.js";
import { duration } from "./words.js";

const PATIENCE = 90;
const PAUSE = 100;
const byId = (id) => document.getElementById(id);
const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

/**
 * Make the form work.
 * @param onListed called with the picture and the product's id when it can be found
 * @returns `take(file)` for a picture of the seller's choice, `offer(picture)` for one that serves until then
 */
export function setUpListing(onListed) {
  const form = byId("listing-form");
  const title = byId("listing-title");
  let picture = null;
  let chosen = false;

  function show(blob) {
    picture = blob;
    const image = byId("listing-shown");
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
    image.hidden = false;
  }

  async function take(file) {
    await telling(async () => {
      show(await shrink(file));
      chosen = true;
      title.focus();
    });
  }

  async function submit() {
    if (!picture) throw new Trouble("No picture yet", "Choose a picture of the product first.");
    const listed = picture;
    const stop = startWatch();
    try {
      const productId = await list(listed, title.value);
      say("On its way into the index…");
      await found(productId);
      say(`Searchable after ${duration(stop())}.`, "good");
      form.reset();
      chosen = false;
      onListed(listed, productId);
    } finally {
      stop();
    }
  }

  onPick([byId("listing-picture")], take);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    await telling(submit);
    button.disabled = false;
  });
  return { take, offer: (blob) => chosen || show(blob) };
}

/** Show the seconds as they pass; the function returned stops them and tells how many they were. */
function startWatch() {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const tick = () => { byId("listing-seconds").value = duration(seconds()); };
  const timer = setInterval(tick, PAUSE);
  tick();
  byId("listing-watch").hidden = false;
  let result;
  return () => {
    clearInterval(timer);
    byId("listing-watch").hidden = true;
    return (result ??= seconds());
  };
}

async function found(productId) {
  const latest = performance.now() + PATIENCE * 1000;
  while (performance.now() < latest) {
    try {
      if (await searchable(productId)) return;
    } catch (error) {
      if (!error.passing) throw error;
    }
    await pause();
  }
  throw new Trouble("Not found yet", `After ${PATIENCE} s it is still on its way: is a worker running?`);
}

async function telling(action) {
  say("");
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    say(`${error.title}. ${error.message}`, "bad");
  }
}

function say(text, tone = "") {
  byId("listing-said").textContent = text;
  byId("listing-said").dataset.tone = tone;
}
