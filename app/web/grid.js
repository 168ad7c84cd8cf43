// The grid of pictures. Data reaches the page as text and attributes only, never as markup.

import { thumbnail, version } from "./api.js";
import { draw } from "./key.js";

const grid = document.querySelector("#grid");
const template = document.querySelector("#tile").content.firstElementChild;
const percent = new Intl.NumberFormat("en", { style: "percent" });
const SMALL = 256; // pixels; icons and emoji keep a margin, photographs fill their tile

export function nameOf(item) {
  const { label, title, caption, filename } = item.metadata ?? {};
  return [label, title, caption, filename].find((name) => typeof name === "string" && name.trim()) ?? item.id;
}

export const likeAddress = (item) => `?${new URLSearchParams({ like: item.id })}`;

// What a tile shows of a picture, and which: one that was replaced or renamed needs another.
const lookOf = (item) => JSON.stringify([item.id, version(item), nameOf(item)]);

function tile(item) {
  const node = template.cloneNode(true);
  const [picture, open] = node.querySelectorAll("a");
  const image = node.querySelector("img");
  const name = nameOf(item);
  node.dataset.id = item.id;
  node.dataset.look = lookOf(item);
  node.classList.toggle("small", Math.max(item.width, item.height) <= SMALL);
  picture.href = likeAddress(item);
  open.href = `?${new URLSearchParams({ view: item.id })}`;
  open.ariaLabel = open.title = `Details of ${name}`;
  image.width = item.width;
  image.height = item.height;
  image.alt = name;
  image.onerror = () => node.classList.add("broken");
  draw(image, thumbnail(item));
  node.querySelector(".name").textContent = node.querySelector(".name").title = name;
  return node;
}

// Shows `items`; a picture that is on the page already keeps its node, so that typing on does not flicker.
export function show(items) {
  const present = new Map([...grid.children].map((node) => [node.dataset.look, node]));
  const nodes = items.map((item) => {
    const look = lookOf(item);
    const node = present.get(look) ?? tile(item);
    present.delete(look);
    const score = node.querySelector(".score");
    score.textContent = item.relevance === undefined ? "" : percent.format(item.relevance);
    score.title = item.score === undefined ? "" : `Relevance; the cosine of query and picture is ${item.score.toFixed(3)}`;
    return node;
  });
  grid.replaceChildren(...nodes);
}
