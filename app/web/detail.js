// One picture, large, with its record.

import { content } from "./api.js";
import { likeAddress, nameOf } from "./grid.js";
import { draw } from "./key.js";

const $ = (id) => document.querySelector(`#detail-${id}`);
const dialog = document.querySelector("#detail");
const TITLES = { license: "Licence", created_at: "Added" };
const SAID_ELSEWHERE = new Set(["label", "tags"]);

let original = ""; // where the bytes of the picture shown are

function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

function* facts({ metadata, ...item }, name) {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (SAID_ELSEWHERE.has(key) || value === null || value === "" || value === name) continue;
    const title = TITLES[key] ?? key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");
    yield [title, typeof value === "object" ? JSON.stringify(value) : String(value)];
  }
  const format = item.content_type.replace("image/", "").toUpperCase();
  yield ["Size", `${item.width} × ${item.height}, ${size(item.bytes)}, ${format}`];
  yield ["Added", new Date(item.created_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })];
  yield ["Id", item.id];
}

function element(name, text, attributes = {}) {
  const node = Object.assign(document.createElement(name), attributes);
  node.textContent = text;
  return node;
}

// Metadata are whatever somebody stored: only a web address becomes a link.
function linked(text) {
  if (!/^https?:\/\/\S+$/.test(text)) return text;
  return element("a", text, { href: text, rel: "noopener noreferrer", target: "_blank" });
}

export function show(item, { previous, next }) {
  const picture = $("picture");
  const name = nameOf(item);
  const tags = Array.isArray(item.metadata?.tags) ? item.metadata.tags.filter((tag) => typeof tag === "string") : [];
  $("name").textContent = name;
  picture.removeAttribute("src"); // never the last picture under the next one's name
  picture.width = item.width;
  picture.height = item.height;
  picture.alt = name;
  $("original").removeAttribute("href");
  URL.revokeObjectURL(original);
  draw(picture, content(item), (address) => ($("original").href = original = address));
  $("tags").replaceChildren(
    ...tags.map((tag) => {
      const entry = document.createElement("li");
      entry.append(element("a", tag, { href: `?${new URLSearchParams({ q: tag })}` }));
      return entry;
    }),
  );
  $("facts").replaceChildren(
    ...[...facts(item, name)].flatMap(([title, text]) => {
      const value = document.createElement("dd");
      value.append(linked(text));
      return [element("dt", title), value];
    }),
  );
  $("like").href = likeAddress(item);
  const focused = document.activeElement;
  $("previous").disabled = !previous;
  $("next").disabled = !next;
  if (!dialog.open) dialog.showModal();
  else if (focused?.disabled) ["next", "previous", "close"].map($).find((button) => !button.disabled).focus(); // for the keys
}

export const hide = () => dialog.close();

// `step(-1 | 1)` goes to a neighbour, `closed()` is told when the visitor has closed the panel.
export function connect({ step, closed }) {
  $("close").onclick = hide;
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  dialog.addEventListener("close", closed);
  dialog.addEventListener("click", (event) => event.target === dialog && hide());
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !event.altKey && !event.metaKey) step(by);
  });
}
