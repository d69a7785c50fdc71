/** The row between stage and timeline. */

import { iconButton, make } from "./dom.js";

/** The buttons that move through the clip. */
export function transport(row, { store, run, go }) {
  const button = (name, label) => iconButton(name, label, () => run(name), { command: name });
  const play = iconButton("play", "Play", () => run("play"), { command: "play", pressed: false });
  const pause = iconButton("pause", "Pause", () => run("play"), { command: "play", pressed: true });
  const field = make("input", { id: "frame", type: "number", min: 0, "aria-label": "Frame", title: "Frame: type a number" });
  const last = make("span", { class: "of" });
  field.addEventListener("change", () => {
    go(Number(field.value));
    field.blur();
  });
  const hold = iconButton("compare", "Masks as before the last round", () => {}, { command: "compare", pressed: false });
  hold.addEventListener("pointerdown", () => store.set({ before: true }));
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) hold.addEventListener(name, () => store.set({ before: false }));
  hold.addEventListener("keydown", ({ key }) => (key === " " || key === "Enter") && store.set({ before: true }));
  hold.addEventListener("keyup", () => store.set({ before: false }));
  row.append(
    button("first", "First frame"), button("back-ten", "Ten frames back"), button("previous", "Previous frame"), play, pause,
    button("next", "Next frame"), button("forward-ten", "Ten frames on"), button("last", "Last frame"),
    field, last, make("span", { class: "space" }), hold, button("suggested", "A frame that is worth a look, and back"),
  );
  store.on(["frame", "session", "playing", "before"], ({ frame, session, playing, before }) => {
    if (!session) return;
    play.hidden = playing;
    pause.hidden = !playing;
    hold.setAttribute("aria-pressed", String(before));
    field.max = String(session.frames - 1);
    if (document.activeElement !== field) field.value = String(frame);
    last.textContent = `/ ${session.frames - 1}`;
  });
}
