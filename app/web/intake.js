// The ways a picture comes in: chosen, dropped, pasted.

const overlay = document.querySelector("#drop");

function chooser(buttons, input, take) {
  for (const button of buttons) document.querySelector(button).onclick = () => input.click();
  input.onchange = () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) take(files);
  };
}

function dropping(search, add) {
  let ours = false; // a picture of this page being dragged about is not an offer
  const offered = (event) => !ours && event.dataTransfer?.types.includes("Files");
  const zoneAt = (event) => event.target.closest?.("[data-zone]");

  addEventListener("dragstart", () => (ours = true));
  addEventListener("dragend", () => (ours = false));
  addEventListener("dragover", (event) => {
    if (!offered(event)) return;
    event.preventDefault();
    if (overlay.hidden) document.querySelector("dialog[open]")?.close(); // nothing can be dropped beside a dialog
    overlay.hidden = false;
    event.dataTransfer.dropEffect = "copy";
    for (const zone of overlay.children) zone.classList.toggle("over", zone === zoneAt(event));
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) overlay.hidden = true; // left the window
  });
  addEventListener("drop", (event) => {
    if (!offered(event)) return;
    event.preventDefault();
    overlay.hidden = true;
    const files = [...event.dataTransfer.files];
    if (!files.length) return;
    if (zoneAt(event)?.dataset.zone === "add") add(files);
    else search(files[0]);
  });
}

// `search(file)` looks for pictures like one file, `add(files)` puts files into the gallery.
export function connect({ search, add }) {
  chooser(["#choose"], document.querySelector("#choose-file"), ([file]) => search(file));
  chooser(["#add", "#add-first"], document.querySelector("#add-files"), add);
  dropping(search, add);
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    // Office programs put a picture of the text they copy beside it: where text is written, the text is meant.
    const text = event.target.closest?.("input, textarea") && event.clipboardData.types.includes("text/plain");
    if (!file || text) return;
    event.preventDefault();
    search(file);
  });
}
