/** Small helps for making elements. */

import { icon } from "./icons.js";
import { keysOf } from "./keys.js";

/** An element: `make("button", {class: "x", title: "…", onclick}, child, "text")`. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A button with an icon; its label and key are its tooltip. */
export function iconButton(name, label, onclick, { command = null, pressed = null, className = "icon" } = {}) {
  const keys = command ? keysOf(command) : "";
  return make(
    "button",
    {
      type: "button",
      class: className,
      title: keys ? `${label} (${keys})` : label,
      "aria-label": label,
      "aria-keyshortcuts": /^[^ ]+$/.test(keys) ? keys.replace("Ctrl", "Control") : null,
      "aria-pressed": pressed === null ? null : String(pressed),
      "data-command": command,
      onclick,
    },
    icon(name),
  );
}

/** A list's entry that leads to a frame. */
export function frameChip(frame, go, text = String(frame), className = "chip") {
  const title = `Go to frame ${frame}`;
  return make("li", {}, make("button", { type: "button", class: className, title, onclick: () => go(frame) }, text));
}

/** The element of an id. */
export function at(id) {
  return document.getElementById(id);
}

const contents = new WeakMap();

/**
 * Fill an element with what `make` returns, if `what` it shows is another than before: a button that is replaced while
 * somebody presses it is not pressed. Whether it was filled.
 */
export function fill(element, what, make) {
  const key = JSON.stringify(what);
  if (contents.get(element) === key) return false;
  contents.set(element, key);
  element.replaceChildren(...make());
  return true;
}
