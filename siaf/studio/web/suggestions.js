/** Frames that are worth a look. */

import { at, fill, frameChip } from "./dom.js";

/** Buttons for the frames that are worth a look. */
export function suggestionsPanel(list, { store, go }) {
  store.on(["session"], ({ session }) => {
    if (!session) return;
    at("suggestions").hidden = !session.suggested.length && !session.shrunk.length;
    fill(list, session.suggested, () => session.suggested.map((frame) => frameChip(frame, go)));
    fill(at("shrunk"), session.shrunk, () => session.shrunk.map(({ text, frames }) => frameChip(frames[0], go, text, "line")));
  });
}
