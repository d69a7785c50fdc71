/** What keys and buttons do. */

import { freeTag, nameOf } from "./objects-state.js";
import { zoomed } from "./view.js";

const MOST_WIDE = 400;

/** Command → function. `parts`: all that the page is made of (main.js). */
export function commandsOf(parts) {
  const { store, drafts, actions, stage, pointer, player, objects, say, redraw, dialogs, go } = parts;
  const { state } = store;
  let jumped = null; // {from, to}: where G came from
  let suggestion = 0;

  const tool = (name) => () => store.set({ tool: name });
  const wider = (factor) => () => {
    const key = state.tool === "brush" || state.tool === "eraser" ? "size" : "width";
    const now = state[key];
    const next = factor > 1 ? Math.max(now + 1, Math.round(now * factor)) : Math.min(now - 1, Math.round(now * factor));
    store.set({ [key]: Math.min(MOST_WIDE, Math.max(1, next)) });
  };
  const closer = (factor) => () => {
    const { width, height } = stage.size;
    store.set({ view: zoomed(state.view, factor, width / 2, height / 2, stage.size, state.session) });
  };
  const mayDraw = () => state.holder || (parts.refuse(), false);
  const choose = (tag) => {
    store.set({ tag });
    const one = objects().find((each) => each.tag === tag);
    say(`Drawing ${nameOf(one)}.`, "done");
  };
  const drawnOn = (direction) => () => {
    const all = [...new Set([...Object.keys(state.session.interacted).map(Number), ...drafts.frames])];
    const there = all.filter((n) => (n - state.frame) * direction > 0).sort((a, b) => (a - b) * direction);
    if (there.length) go(there[0]);
    else say("No frame there was drawn on.", "hint");
  };

  return {
    object: ({ tag }) => choose(tag),
    "new-object": () => {
      const tag = freeTag(objects());
      if (tag !== null) choose(tag);
    },
    "tool-scribble": tool("scribble"),
    "tool-click": tool("click"),
    "tool-box": tool("box"),
    "tool-brush": tool("brush"),
    "tool-eraser": tool("eraser"),
    negative: () => store.set({ negative: !state.negative }),
    thinner: wider(1 / 1.25),
    thicker: wider(1.25),
    undo: () => {
      if (!mayDraw()) return;
      const frame = drafts.undo();
      if (frame === null) say("Nothing is drawn that is not committed. “Undo round” takes back a round.", "hint");
      else redraw(frame);
    },
    redo: () => {
      if (!mayDraw()) return;
      const frame = drafts.redo();
      if (frame !== null) redraw(frame);
    },
    clear: () => {
      if (!mayDraw()) return;
      if (!drafts.frames.includes(state.frame)) {
        say("Nothing is drawn on this frame that is not committed.", "hint");
        return;
      }
      drafts.add({ kind: "clear", frame: state.frame });
      redraw(state.frame);
      say("What was drawn on this frame is dropped; Ctrl+Z brings it back.", "done");
    },
    cancel: () => pointer.cancel(),
    accept: () => {
      if (!mayDraw()) return;
      const { strokes, boxes, masks } = drafts.of(state.frame);
      const shown = parts.masksHere() ?? [];
      if (strokes.length || boxes.length) say("Commit what you drew on this frame; then say that it is right.", "hint");
      else if (masks || state.session.references.includes(state.frame)) say("The masks of this frame are taken as they are already.", "hint");
      else if (!shown.length) say("There is no mask on this frame that could be right.", "hint");
      else {
        const own = shown.map(({ tag, rle }) => ({ tag, rle: Array.from(rle) }));
        drafts.add({ kind: "masks", frame: state.frame, tag: state.tag, masks: own });
        redraw(state.frame);
        say("These masks count as yours: the network is fitted to them before it propagates.", "done");
      }
    },
    commit: () => mayDraw() && actions.commit(),
    propagate: () => mayDraw() && actions.propagate(),
    stop: () => mayDraw() && actions.stop(),
    "undo-round": () => mayDraw() && actions.undoRound(),
    suggested: () => {
      const { suggested } = state.session;
      if (jumped && jumped.to === state.frame) {
        go(jumped.from);
        jumped = null;
      } else if (!suggested.length) {
        say("No suggestions yet: they come with the propagation.", "hint");
      } else {
        const to = suggested[suggestion % suggested.length];
        suggestion += 1;
        jumped = { from: state.frame, to };
        go(to);
        say(`Frame ${to} is worth a look; G goes back.`, "done");
      }
    },
    compare: () => store.set({ before: true }),
    previous: () => go(state.frame - 1),
    next: () => go(state.frame + 1),
    "back-ten": () => go(state.frame - 10),
    "forward-ten": () => go(state.frame + 10),
    first: () => go(0),
    last: () => go(state.session.frames - 1),
    play: () => player.toggle(),
    "drawn-before": drawnOn(-1),
    "drawn-after": drawnOn(1),
    "from-here": () => mayDraw() && parts.limits.from(state.frame),
    "to-here": () => mayDraw() && parts.limits.to(state.frame),
    fit: () => stage.fit(),
    closer: closer(1.3),
    farther: closer(1 / 1.3),
    hide: () => parts.hide(state.tag),
    solo: () => store.set({ solo: state.solo === state.tag ? null : state.tag }),
    help: () => dialogs.help(),
  };
}
