/** The keyboard: keys to commands, unless somebody writes into a field. */

import { commandOf } from "./keys.js";

const REPEATING = new Set(["previous", "next", "back-ten", "forward-ten", "thinner", "thicker", "closer", "farther", "undo", "redo"]);

/** `run(command, arguments)` does what a key says; `released(command)` hears of keys that are held. */
export function listenToKeys(run, released) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (target.matches("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
    // A button that was reached by Tab answers to Enter and Space itself; so does what opens and closes.
    if ((event.key === "Enter" || event.key === " ") && target.closest("button, a, summary") && !event.shiftKey) return;
    if (target.matches("[role=slider]") && ["Home", "End"].includes(event.key)) event.stopPropagation();
    const found = commandOf(event);
    if (!found || (event.repeat && !REPEATING.has(found.command))) return;
    event.preventDefault();
    run(found.command, found);
  });
  addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "b") released("compare");
  });
  addEventListener("blur", () => released("compare"));
  // A script's focus counts as one by keyboard for the browser; where the focus is matters once it was moved by Tab.
  addEventListener("keydown", ({ key }) => key === "Tab" && (document.body.dataset.keys = ""), true);
  addEventListener("pointerdown", () => delete document.body.dataset.keys, true);
  // A button that was clicked with the mouse gives the keys back: Enter commits, Space plays.
  addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest("button")?.blur();
  });
}
