// The page's state is its address: ?q=words or ?like=id says what is searched, ?view=id which picture is open.
// A picture of the visitor's own has no address: its history entry carries a key of `pictures`.

import * as api from "./api.js";
import * as detail from "./detail.js";
import * as grid from "./grid.js";
import * as intake from "./intake.js";
import { draw, hasKey, setKey } from "./key.js";
import { addPictures } from "./upload.js";

const $ = (id) => document.querySelector(id);
const LIMIT = 48;
const DEBOUNCE_MS = 160;
const KEPT_ANSWERS = 30;

const number = (value) => value.toLocaleString("en");

const pictures = new Map(); // key → {file, url}
const answers = new Map(); // search → {items, next, took, scroll}, so that going back shows at once what was there
let shown = null; // the search on the page
let answer = null; // its answer so far
let total = 0; // pictures in the gallery
let live = false; // the service has said that it is ready
let asking = new AbortController(); // the request under way; the latest one wins
let opening = new AbortController();

function readState() {
  const address = new URLSearchParams(location.search);
  const [q, like, view] = ["q", "like", "view"].map((name) => address.get(name)?.trim() ?? "");
  const picture = q || like || !pictures.has(history.state?.picture) ? "" : history.state.picture;
  return { q, like: q ? "" : like, picture, view };
}

const searchOf = ({ q, like, picture }) => JSON.stringify([q, like, picture]);

function go(state, { replace = false, over = false } = {}) {
  const { q = "", like = "", picture = "", view = "" } = state;
  const address = new URLSearchParams(Object.entries({ q, like, view }).filter(([, value]) => value));
  const entry = [{ picture, over }, "", address.size ? `?${address}` : "./"];
  if (replace) history.replaceState(...entry);
  else history.pushState(...entry);
  return render();
}

// ── What is searched

function showChip({ like, picture }) {
  const chip = $("#chip");
  chip.hidden = !like && !picture;
  $("#q").placeholder = chip.hidden ? "What are you looking for?" : "or type…";
  if (chip.hidden) return;
  const mine = pictures.get(picture);
  const liked = [answer?.liked, ...(answer?.items ?? [])].find((item) => item?.id === like);
  const source = mine?.url ?? (liked ? api.thumbnail(liked) : "");
  const image = chip.querySelector("img");
  image.hidden = !source;
  if (source && image.dataset.source !== source) draw(image, source);
  image.dataset.source = source;
  chip.querySelector(".name").textContent = mine?.file.name || (liked ? grid.nameOf(liked) : "Picture");
}

function title({ q, like, picture }) {
  if (q) return `Nearest to “${q}”`;
  if (like) return `More like ${answer?.liked ? `“${grid.nameOf(answer.liked)}”` : "this"}`;
  return picture ? "More like your picture" : "Newest pictures";
}

// ── Asking

async function nextPage({ q, like, picture }, before, signal) {
  const items = before?.items ?? [];
  if (!q && !like && !picture) {
    const page = await api.newest({ limit: LIMIT, cursor: before?.next }, signal);
    total = page.total;
    return { items: [...items, ...page.images], next: page.next_cursor };
  }
  const offset = before?.next ?? 0;
  const query = q || (like ? { id: like } : pictures.get(picture).file);
  const [page, liked] = await Promise.all([
    api.search(query, { limit: LIMIT, offset }, signal),
    like ? before?.liked ?? api.record(like, signal) : null,
  ]);
  const seen = new Set([like, ...items.map(({ id }) => id)]);
  const fresh = page.results.filter(({ id }) => !seen.has(id));
  const next = page.results.length < LIMIT ? null : offset + LIMIT;
  return { items: [...items, ...fresh], next, took: page.took_ms, liked };
}

async function ask(state, before) {
  asking.abort();
  const { signal } = (asking = new AbortController());
  $("#grid").ariaBusy = "true";
  $("#problem").hidden = true;
  if (!before) $("#more").hidden = true; // what it would add to is not there yet
  try {
    const page = await nextPage(state, before, signal);
    if (signal.aborted) return;
    answer = page;
    show(state);
    showDetail(readState()); // whose neighbours are known now
  } catch (problem) {
    if (signal.aborted) return;
    const ready = problem.status !== 503 || (await api.readiness().catch(() => ({}))).ready;
    if (signal.aborted) return;
    if (!ready) return start();
    fail(problem, { keep: Boolean(before), again: () => ask(state, before) });
  }
  $("#grid").ariaBusy = "false";
}

// ── Showing

function show(state) {
  const idle = !state.q && !state.like && !state.picture;
  const { items, next, took } = answer;
  $("#locked").hidden = true;
  $("#forget").hidden = !hasKey();
  answers.set(shown, answer);
  if (answers.size > KEPT_ANSWERS) answers.delete(answers.keys().next().value);
  grid.show(items);
  showChip(state);
  $("#intro").hidden = !idle || !items.length;
  const nothing = !items.length && !total; // a gallery of one has nothing like that one
  $("#empty").hidden = !nothing;
  $("#summary").hidden = nothing;
  $("#heading").textContent = title(state);
  $("#more").hidden = next === null || next === undefined;
  showTotal();
  const count = `${number(items.length)} of ${number(Math.max(total, items.length))}`;
  $("#status").textContent = idle ? count : `${count}, nearest first · ${Math.max(1, Math.round(took))} ms`;
}

const showTotal = () => ($("#total").textContent = total ? `${number(total)} picture${total === 1 ? "" : "s"}` : "");

// Asks for the key that the service wants, saying what it said about the one that it was given.
function lock(problem) {
  const wrong = hasKey();
  setKey("");
  $("#forget").hidden = true;
  answers.clear();
  $("#locked p").textContent = wrong ? problem.message : "Whoever runs this service has a key for you.";
  $("#locked").hidden = false;
  $("#key").value = "";
  $("#key").focus();
}

// Where a screen reader listens, the same words written once more are read once more.
function say(id, words) {
  if ($(id).textContent !== words) $(id).textContent = words;
}

function fail(problem, { keep, again }) {
  const locked = problem.status === 401;
  if (!keep || locked) {
    answer = null;
    grid.show([]);
    for (const id of ["#intro", "#empty", "#summary", "#more"]) $(id).hidden = true;
  }
  if (locked) {
    $("#problem").hidden = true;
    return lock(problem);
  }
  say("#problem h2", problem.title ?? "That did not work");
  say("#problem p", problem.message);
  const hopeless = problem.status >= 400 && problem.status < 500 && problem.status !== 429; // would fail the same way
  $("#retry").hidden = !again || hopeless;
  $("#retry").onclick = again;
  $("#problem").hidden = false;
  if (keep) $("#problem").scrollIntoView({ block: "nearest" }); // what is kept may be long, and this is above it
}

async function showDetail({ view }) {
  opening.abort();
  if (!view) return;
  const { signal } = (opening = new AbortController());
  try {
    const item = await api.record(view, signal);
    if (signal.aborted) return;
    const at = answer?.items.findIndex(({ id }) => id === view) ?? -1;
    detail.show(item, { previous: at > 0, next: at >= 0 && at < answer.items.length - 1 });
  } catch (problem) {
    if (signal.aborted) return;
    fail(problem, { keep: true });
    go({ ...readState(), view: "" }, { replace: true });
  }
}

function render({ back = false } = {}) {
  const state = readState();
  const search = searchOf(state);
  const typed = $("#q");
  if (!debounce && typed.value.trim() !== state.q) typed.value = state.q;
  document.title = state.q ? `${state.q} – Parallax` : "Parallax";
  showChip(state);
  if (!state.view) detail.hide();
  if (!live) return;
  if (search !== shown) {
    if (answer) answer.scroll = scrollY;
    shown = search;
    if (back && answers.has(search)) {
      asking.abort();
      answer = answers.get(search);
      $("#problem").hidden = true;
      show(state);
      $("#grid").ariaBusy = "false";
      scrollTo({ top: answer.scroll ?? 0, behavior: "instant" });
    } else {
      if (document.activeElement?.closest("#grid, #detail")) $("#heading").focus({ preventScroll: true });
      scrollTo({ top: 0, behavior: "instant" });
      ask(state);
    }
  }
  return showDetail(state);
}

// ── Starting

// Asks until the service is ready, showing how far it has come, then shows what the address says.
async function start() {
  live = false;
  let now = {};
  while (!now.ready) {
    try {
      now = await api.readiness();
      if (now.status === "failed") throw new api.Problem(503, "The service cannot start", now.detail);
      $("#problem").hidden = true;
    } catch (problem) {
      fail(problem, {}); // and it is asked again in a moment
    }
    const { done = 0, total: all = 0 } = now.demo ?? {};
    $("#starting").hidden = now.status !== "starting" || !$("#problem").hidden;
    say("#starting-text", `${now.detail ?? ""} ${all ? `${number(done)} of ${number(all)}` : ""}`);
    if (all) Object.assign($("#starting-bar"), { max: all, value: done });
    $("#examples").hidden = $("#credits").hidden = now.ready && !all;
    if (!now.ready) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  live = true;
  shown = null;
  total = now.images ?? 0;
  render();
}

// ── What the visitor does

let debounce = 0;
let typing = false; // further letters replace this history entry

function cancelDebounce() {
  clearTimeout(debounce);
  debounce = 0;
}

function searchText({ done }) {
  cancelDebounce();
  const q = $("#q").value.trim();
  const state = readState();
  if (q !== state.q && (q || !(state.like || state.picture))) go({ q }, { replace: typing });
  typing = !done;
}

function searchPicture(file) {
  cancelDebounce();
  typing = false;
  const key = `${performance.timeOrigin}-${pictures.size}`;
  pictures.set(key, { file, url: URL.createObjectURL(file) });
  go({ picture: key });
}

async function addAndShow(files) {
  if (!(await addPictures(files))) return;
  answers.clear();
  if (!live) return;
  total = (await api.readiness().catch(() => ({}))).images ?? total;
  ask(readState());
}

$("#q").addEventListener("input", (event) => {
  cancelDebounce();
  if (!event.isComposing) debounce = setTimeout(searchText, DEBOUNCE_MS, { done: false });
});
$("#q").addEventListener("compositionend", () => searchText({ done: false }));
$("#q").addEventListener("blur", () => (typing = false)); // not "change": Enter sends it ahead of "submit"
$("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  searchText({ done: true });
});
for (const id of ["#clear", "#chip button"]) {
  $(id).onclick = () => {
    cancelDebounce();
    $("#q").value = "";
    go({});
    $("#q").focus();
  };
}
$("#locked").onsubmit = (event) => {
  event.preventDefault();
  setKey($("#key").value);
  start();
};
$("#forget").onclick = () => {
  setKey("");
  location.assign("./");
};
$("#chip img").onerror = ({ target }) => (target.hidden = true);
$("#more").onclick = () => ask(readState(), answer);

// Every link of the page that leads to a state of the page; other clicks (new tab, new window) are the browser's.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link?.matches(".skip")) {
    event.preventDefault();
    $("#heading").focus();
  }
  const address = link?.getAttribute("href");
  const elsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (elsewhere || !/^(\?|\.\/$)/.test(address ?? "")) return;
  event.preventDefault();
  cancelDebounce();
  typing = false;
  const { q, like, view } = Object.fromEntries(new URLSearchParams(address));
  if (view) go({ ...readState(), view }, { over: true });
  else go({ q, like });
});

document.addEventListener("keydown", (event) => {
  const writing = event.target.closest("input, textarea, dialog");
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  $("#q").select();
});

addEventListener("popstate", () => {
  cancelDebounce();
  typing = false;
  render({ back: true });
});

detail.connect({
  step(by) {
    const state = readState();
    const at = answer?.items.findIndex(({ id }) => id === state.view) ?? -1;
    const item = at < 0 ? null : answer.items[at + by];
    if (item) go({ ...state, view: item.id }, { replace: true, over: history.state?.over });
  },
  closed() {
    const state = readState();
    if (!state.view) return;
    if (history.state?.over) history.back();
    else go({ ...state, view: "" }, { replace: true });
  },
});
intake.connect({ search: searchPicture, add: addAndShow });
history.scrollRestoration = "manual";
start();
