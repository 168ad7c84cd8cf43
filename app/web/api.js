// The service's routes, one function each. Every failure is a Problem with a sentence to show.

import { headers, whole } from "./key.js";

export class Problem extends Error {
  constructor(status, title, detail, retryAfter = 0) {
    super(detail);
    Object.assign(this, { status, title, retryAfter });
  }
}

const unreachable = () => new Problem(0, "No answer from the service", "It may have stopped, or the network is down.");

// RFC 9457: the body of a failed request says in `title` and `detail` what went wrong.
function problemOf(status, body, retryAfter) {
  const detail = typeof body?.detail === "string" ? body.detail : `The service answered with status ${status}.`;
  return new Problem(status, body?.title || "That did not work", detail, Number(retryAfter) || 0);
}

// A folder that is dropped looks like a file, and sending it fails as if nobody had answered.
async function readable(file) {
  await file.slice(0, 1).arrayBuffer().catch(() => {
    const advice = "Of a folder, drop the pictures that are in it, or add it whole with: python -m app add FOLDER";
    throw new Problem(0, "This cannot be read", `It is a folder, or has been moved or changed. ${advice}`);
  });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(whole(path), { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw problemOf(response.status, body, response.headers.get("Retry-After"));
  return body;
}

// {ready, status, detail, images, demo: {done, total}}; a service that is still starting answers 503 with the same body.
export async function readiness() {
  try {
    const response = await fetch(whole("readyz"), { cache: "no-store" });
    return { ...(await response.json()), ready: response.ok };
  } catch {
    throw unreachable();
  }
}

// `query` is a text, a File, or {id} of a picture in the gallery.
export async function search(query, { limit, offset }, signal) {
  if (query instanceof Blob) {
    await readable(query);
    const body = new FormData();
    body.append("limit", limit);
    body.append("offset", offset);
    body.append("file", query, query.name || "picture");
    return request("v1/search", { method: "POST", body, signal });
  }
  const body = JSON.stringify({ ...(typeof query === "string" ? { text: query } : { image: query }), limit, offset });
  return request("v1/search", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });
}

export function newest({ limit, cursor }, signal) {
  const page = new URLSearchParams(cursor ? { limit, cursor } : { limit });
  return request(`v1/images?${page}`, { signal });
}

export const record = (id, signal) => request(`v1/images/${encodeURIComponent(id)}`, { signal });

// Browsers keep pictures for good; the version makes the address of other bytes another one.
const address = (item, part) => `v1/images/${encodeURIComponent(item.id)}/${part}?v=${version(item)}`;

// Which bytes a record or a result is of.
export const version = (item) =>
  item.sha256?.slice(0, 12) ?? new URL(item.thumbnail_url, location.href).searchParams.get("v");

export const thumbnail = (item) => item.thumbnail_url ?? address(item, "thumbnail");

export const content = (item) => item.content_url ?? address(item, "content");

// Adds one file. XMLHttpRequest, because fetch cannot tell how much of a body has been sent.
export async function add(file, onSent, signal) {
  await readable(file);
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open("POST", whole("v1/images"));
    for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
    sending.responseType = "json";
    sending.upload.onprogress = (event) => onSent(event.lengthComputable ? event.loaded / event.total : 0);
    sending.onload = () => {
      const { status, response } = sending;
      if (status < 300) resolve(response);
      else reject(problemOf(status, response, sending.getResponseHeader("Retry-After")));
    };
    sending.onerror = () => reject(unreachable());
    sending.onabort = () => reject(new DOMException("Stopped", "AbortError"));
    sending.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    const body = new FormData();
    body.append("file", file, file.name);
    body.append("metadata", JSON.stringify({ filename: file.name }));
    sending.send(body);
  });
}
