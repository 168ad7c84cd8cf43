// Adding pictures to the gallery: a few requests at a time, one file each, so that a bad file fails alone.

import { add } from "./api.js";

const $ = (id) => document.querySelector(id);
const LANES = 3;
const TRIES = 5; // for a service that is busy and says when to come back

let run = null; // {files, waiting, sent, count, stop, finished} while pictures are being sent

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

async function patientlyAdd(file, onSent, signal) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await add(file, onSent, signal);
    } catch (problem) {
      const busy = problem.status === 429 || problem.status === 503;
      if (!busy || attempt === TRIES || signal.aborted) throw problem;
      await pause(Math.min(problem.retryAfter || attempt, 10));
    }
  }
}

function showProgress({ files, sent, count }) {
  const all = files.reduce((sum, file) => sum + file.size + 1, 0);
  const done = files.reduce((sum, file) => sum + (file.size + 1) * (sent.get(file) ?? 0), 0);
  $("#tray-bar").value = done / all;
  const over = count.added + count.known + count.failed;
  $("#tray-text").textContent = `Adding ${plural(files.length, "picture")}, ${over} done`;
}

function showFailure(file, problem) {
  const entry = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = file.name;
  entry.append(name, " ", problem.message);
  $("#tray-errors").append(entry);
}

function showOutcome({ added, known, failed }) {
  const parts = [];
  if (added) parts.push(`${plural(added, "picture")} added`);
  if (known) parts.push(`${known} in the gallery already`);
  if (failed) parts.push(`${failed} failed`);
  $("#tray-text").textContent = parts.join(", ");
  $("#tray-bar").hidden = true;
}

async function lane(sending) {
  const { waiting, sent, count } = sending;
  const { signal } = sending.stop;
  while (waiting.length && !signal.aborted) {
    const file = waiting.shift();
    try {
      const answer = await patientlyAdd(file, (share) => (sent.set(file, share), showProgress(sending)), signal);
      count[answer.images[0]?.duplicate ? "known" : "added"]++;
    } catch (problem) {
      if (signal.aborted) return;
      count.failed++;
      showFailure(file, problem);
    }
    sent.set(file, 1);
    showProgress(sending);
  }
}

async function send(sending) {
  await Promise.all(Array.from({ length: LANES }, () => lane(sending)));
  if (run === sending) run = null;
  if (!sending.stop.signal.aborted) showOutcome(sending.count);
  return sending.count.added > 0;
}

// Resolves when every file has been added or has failed, to whether the gallery has grown.
export function addPictures(files) {
  if (run) {
    run.files.push(...files);
    run.waiting.push(...files);
  } else {
    const count = { added: 0, known: 0, failed: 0 };
    run = { files: [...files], waiting: [...files], sent: new Map(), count, stop: new AbortController() };
    $("#tray-errors").replaceChildren();
    $("#tray").hidden = $("#tray-bar").hidden = false;
    showProgress(run);
    run.finished = send(run);
  }
  return run.finished;
}

$("#tray-close").onclick = () => {
  run?.stop.abort(); // closing the tray gives up what has not been sent yet
  run = null;
  $("#tray").hidden = true;
};
