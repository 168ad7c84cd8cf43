"""What a visitor's hands do that Playwright has no word for."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from playwright.sync_api import FilePayload, Page

_TRANSFER = """files => {
    const transfer = new DataTransfer();
    for (const { name, mimeType, data } of files) {
        const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: mimeType }));
    }
    return transfer;
}"""


def picture_file(data: bytes, name: str = "mine.png", mime: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": mime, "buffer": data}


def drag(page: Page, files: Sequence[FilePayload], onto: str = "body", *, let_go: bool = True) -> None:
    """Drag files from the desktop into the page and onto an element of it."""
    transfer = page.evaluate_handle(_TRANSFER, _portable(files))
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event(onto, "dragover", {"dataTransfer": transfer})
    if let_go:
        page.dispatch_event(onto, "drop", {"dataTransfer": transfer})


def paste(page: Page, files: Sequence[FilePayload], text: str = "") -> bool:
    """Paste where the page has its focus; whether the browser is left to do what it does with the text."""
    left: bool = page.evaluate(
        f"""([files, text]) => {{
            const clipboardData = ({_TRANSFER})(files);
            if (text) clipboardData.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {{ clipboardData, bubbles: true, cancelable: true }});
            return document.activeElement.dispatchEvent(event);
        }}""",
        [_portable(files), text],
    )
    return left


def choose(page: Page, button: str, files: Sequence[FilePayload]) -> None:
    """Press a button and pick files in the dialog of the system that opens."""
    with page.expect_file_chooser() as opened:
        page.get_by_role("button", name=button, exact=True).first.click()
    opened.value.set_files(list(files))


def _portable(files: Sequence[FilePayload]) -> list[dict[str, str]]:
    return [
        {"name": file["name"], "mimeType": file["mimeType"], "data": base64.b64encode(file["buffer"]).decode()}
        for file in files
    ]
