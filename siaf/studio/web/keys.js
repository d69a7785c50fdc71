/** Which key does what; those that CVAT has do the same there. */

/** Groups for the help sheet: [title, [[command, keys as people read them, what it does], …]]. */
export const SHEET = [
  [
    "Draw",
    [
      ["object", "1 … 9", "Choose an object, or begin a new one"],
      ["new-object", "Shift+N", "Begin the next free object"],
      ["tool-scribble", "N", "Scribble: draw a line along the object"],
      ["tool-click", "K", "Click: one point on the object"],
      ["tool-box", "R", "Box around the object"],
      ["tool-brush", "P", "Paint the mask by hand"],
      ["tool-eraser", "E", "Erase from the mask by hand"],
      ["negative", "X", "“Not this object” on and off; the right button does it once"],
      ["thinner", "[", "Thinner"],
      ["thicker", "]", "Thicker"],
      ["undo", "Ctrl+Z", "Take back what was drawn last"],
      ["redo", "Ctrl+Shift+Z", "Draw it again"],
      ["clear", "Delete", "Drop what was drawn on this frame"],
      ["cancel", "Esc", "Forget the stroke under way"],
    ],
  ],
  [
    "Rounds",
    [
      ["commit", "Enter", "Commit all that was drawn, on all frames together"],
      ["accept", "A", "The masks of this frame are right: the network learns from them"],
      ["propagate", "Shift+Enter", "Propagate to the other frames, or go on"],
      ["stop", "Shift+Esc", "Stop propagating; what is done stays"],
      ["suggested", "G", "Go to a frame that is worth a look, and back"],
      ["compare", "B (hold)", "See the masks as before the last round"],
    ],
  ],
  [
    "Frames",
    [
      ["previous", "D", "Previous frame"],
      ["next", "F", "Next frame"],
      ["back-ten", "C", "Ten frames back"],
      ["forward-ten", "V", "Ten frames on"],
      ["first", "Home", "First frame"],
      ["last", "End", "Last frame"],
      ["play", "Space", "Play and pause"],
      ["drawn-before", "Shift+D", "Previous frame that was drawn on"],
      ["drawn-after", "Shift+F", "Next frame that was drawn on"],
      ["from-here", "I", "Propagate from this frame on"],
      ["to-here", "O", "Propagate up to this frame"],
    ],
  ],
  [
    "View",
    [
      ["fit", "0", "Show the whole frame"],
      ["closer", "+", "Closer; so does the wheel"],
      ["farther", "-", "Farther"],
      ["hide", "H", "Hide the object, or show it"],
      ["solo", "S", "This object alone, or all"],
      ["help", "?", "This sheet"],
    ],
  ],
];

const NAMED = { Space: " ", Esc: "escape", "Ctrl+Z": "ctrl+z" };
const BY_KEY = new Map();
for (const [, rows] of SHEET) {
  for (const [command, keys] of rows) {
    if (command !== "object") BY_KEY.set((NAMED[keys] ?? keys.replace(" (hold)", "").replace("Esc", "escape")).toLowerCase(), command);
  }
}
BY_KEY.set("backspace", "clear").set("ctrl+y", "redo").set("=", "closer");
const SHIFTED = new Set(["enter", "escape", "n", "d", "f", "z"]);

/** The command of a key event: {command, tag?}; null for none. */
export function commandOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  if (altKey) return null;
  const name = key.toLowerCase();
  const ctrl = ctrlKey || metaKey;
  if (!ctrl && /^[1-9]$/.test(name)) return { command: "object", tag: Number(name) };
  const whole = `${ctrl ? "ctrl+" : ""}${shiftKey && (SHIFTED.has(name) || ctrl) ? "shift+" : ""}${name}`;
  const command = BY_KEY.get(whole);
  return command ? { command } : null;
}

/** The keys of a command as people read them; "" if it has none. */
export function keysOf(command) {
  for (const [, rows] of SHEET) for (const [one, keys] of rows) if (one === command) return keys;
  return "";
}
