/** The column of tools at the left. */

import { iconButton, make } from "./dom.js";

const TOOLS = [
  ["scribble", "Scribble"],
  ["click", "Click"],
  ["box", "Box"],
  ["brush", "Paint mask"],
  ["eraser", "Erase mask"],
];

/** Fill the column; `run(command)` does what a button says. */
export function toolbar(column, store, drafts, run) {
  const tools = new Map(
    TOOLS.map(([name, label]) => [name, iconButton(name, label, () => run(`tool-${name}`), { command: `tool-${name}`, pressed: false })]),
  );
  const negative = iconButton("negative", "Negative: not this object", () => run("negative"), { command: "negative", pressed: false });
  const size = make("output", { class: "size", title: "Width in pixels ([ and ])", "aria-label": "Width in pixels" });
  const thinner = iconButton("thinner", "Thinner", () => run("thinner"), { command: "thinner" });
  const thicker = iconButton("thicker", "Thicker", () => run("thicker"), { command: "thicker" });
  const accept = iconButton("accept", "The masks of this frame are right", () => run("accept"), { command: "accept" });
  const undo = iconButton("undo", "Take back what was drawn", () => run("undo"), { command: "undo" });
  const redo = iconButton("redo", "Draw it again", () => run("redo"), { command: "redo" });
  const fit = iconButton("fit", "Whole frame", () => run("fit"), { command: "fit" });
  const line = () => make("hr", { "aria-hidden": "true" });
  column.append(...tools.values(), line(), negative, line(), thicker, size, thinner, line(), accept, undo, redo, line(), fit);

  const show = ({ tool, negative: on, size: brush, width, holder }) => {
    for (const [name, button] of tools) button.setAttribute("aria-pressed", String(name === tool));
    negative.setAttribute("aria-pressed", String(on));
    const painting = tool === "brush" || tool === "eraser";
    const sized = painting || tool === "scribble";
    size.value = sized ? String(painting ? brush : width) : "–";
    for (const button of [thinner, thicker]) button.disabled = !sized;
    accept.disabled = !holder;
    undo.disabled = !holder || !drafts.items.length;
    redo.disabled = !holder || !drafts.redoable;
  };
  store.on(["tool", "negative", "size", "width", "drafts", "holder"], show);
  show(store.state);
}
