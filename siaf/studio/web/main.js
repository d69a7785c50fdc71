/** The studio's page: makes its parts and joins them. */

import { Actions } from "./actions.js";
import { Api, Gone } from "./api.js";
import { commandsOf } from "./commands.js";
import { Dialogs } from "./dialogs.js";
import { at } from "./dom.js";
import { Drafts } from "./drafts.js";
import { header } from "./header.js";
import { listenToKeys } from "./keyboard.js";
import { Limits } from "./limits.js";
import { Link } from "./link.js";
import { Masks } from "./masks.js";
import { objectsOf, shownColors } from "./objects-state.js";
import { objectsPanel } from "./objects-panel.js";
import { Pictures } from "./pictures.js";
import { Player } from "./player.js";
import { listen } from "./pointer.js";
import { Previews } from "./previews.js";
import { Stage } from "./stage.js";
import { standing, statusLine } from "./status.js";
import { createStore } from "./store.js";
import { suggestionsPanel } from "./suggestions.js";
import { tabName } from "./tab.js";
import { Timeline } from "./timeline.js";
import { toolbar } from "./toolbar.js";
import { transport } from "./transport.js";

const store = createStore({
  session: null,
  frame: 0,
  tool: "scribble",
  tag: 1,
  negative: false,
  width: 3, // of scribbles, in pixels
  size: 24, // of brush and eraser, in pixels
  hidden: new Set(),
  solo: null,
  before: false, // masks of before the last round are shown
  playing: false,
  view: null,
  drafts: 0, // counts their changes
  holder: false, // this tab may change the session
  link: "opening", // "ok", "gone", "refused" or "page": another page is needed
  linkText: "",
  busy: null,
  writing: false,
  propagation: { running: false, done: 0, total: 0, seconds_left: null, adapting: false, error: null },
  saved: null,
  fresh: new Set(), // frames that were propagated since people did something
});
const { state } = store;
const canvas = at("stage");
const say = statusLine(at("status"));
const api = new Api(tabName());

function troubled(error) {
  if (error.name === "AbortError") return;
  if (error instanceof Gone || error instanceof TypeError) link.away();
  else say(error.message, "error");
}

const drafts = new Drafts(localStorage, (problem) => {
  if (problem) say("This browser cannot keep your drafts (its storage is full). Commit them soon.", "error");
  store.set({ drafts: state.drafts + 1 });
});
const painted = (frame) => frame === state.frame && stage.ask();
const pictures = new Pictures(painted, troubled);
const masks = new Masks(api, "now", painted, troubled);
const before = new Masks(api, "before", painted, troubled);
const previews = new Previews(api, drafts, masks, painted, (error) => actions.fail(error));
const stage = new Stage(canvas, { store, drafts, pictures, masks, before, previews });
const link = new Link(api, store, { opened, changed, progressed: (frames) => masks.renew(frames) });
const actions = new Actions({ api, store, drafts, link, previews, masks, say });
const dialogs = new Dialogs();
const objects = () => objectsOf(state, drafts);
const player = new Player(store, pictures, go);
let heading = 1;
let noting = null;

/** Show a frame; the nearest there is. */
function go(frame, { playing = false } = {}) {
  const { session } = state;
  if (!session || !Number.isInteger(frame) || pointer.busy) return;
  const there = Math.min(session.frames - 1, Math.max(0, frame));
  if (!playing && state.playing) player.pause();
  if (there === state.frame) {
    store.set({ frame: there });
    return;
  }
  heading = there > state.frame ? 1 : -1;
  store.set({ frame: there });
  look();
}

/** Get what the shown frame needs, and what its neighbours will need. */
function look() {
  pictures.focus(state.frame, heading);
  masks.focus(state.frame, heading);
  if (state.before) before.focus(state.frame, heading);
  if (state.holder) previews.need(state.frame);
  clearTimeout(noting);
  noting = setTimeout(rest, 200);
  stage.ask();
}

/** Somebody looks at a frame: a reload comes back here, and the studio gets ready for a stroke. */
function rest() {
  history.replaceState(null, "", `#${state.frame}`);
  if (state.holder && state.link === "ok") api.post("shown", { frame: state.frame }).catch((error) => actions.fail(error));
}

/** Something was drawn. */
function drawn(item) {
  const fresh = objects().find((one) => one.tag === state.tag);
  const { labels } = state.session;
  if (!fresh.known && fresh.label === null) drafts.name(state.tag, labels[0]?.name ?? null);
  drafts.add(item);
  redraw(item.frame);
}

/** Drafts of a frame changed. */
function redraw(frame) {
  if (frame !== state.frame) go(frame);
  previews.refresh(frame);
  stage.ask();
}

function opened(session) {
  drafts.open(session.key);
  pictures.open(session);
  masks.open(session.frames);
  before.open(session.frames);
  timeline.open();
  const asked = Number(location.hash.slice(1));
  const first = location.hash ? asked : (drafts.frames[0] ?? 0);
  store.set({
    frame: Number.isInteger(first) && first >= 0 && first < session.frames ? first : 0,
    tag: session.objects[0]?.tag ?? 1,
    width: Math.max(3, Math.round(session.height / 160)),
    size: Math.max(8, Math.round(session.height / 20)),
  });
  stage.fit();
  look();
  const open = drafts.frames.length;
  if (drafts.sent) actions.resend();
  else if (open) say(`What you drew on frames ${drafts.frames.join(", ")} and did not commit is here again.`, "done");
  else if (session.notes.length) say(session.notes.join(" "), "hint");
  else if (!session.rounds) say("Draw a line on an object. Keys 1 to 9 choose the object, ? shows all keys.", "hint");
}

/** People did something, here or in another tab: what was shown of the masks may be wrong. */
function changed() {
  masks.forget();
  before.forget();
  previews.clear();
  look();
}

store.on(["session", "hidden", "solo", "drafts", "tag"], () => {
  if (!state.session) return;
  const colors = shownColors(state, objects());
  masks.paint(colors);
  before.paint(colors);
  masks.focus(state.frame, heading);
  if (state.before) before.focus(state.frame, heading);
});
store.on(["view", "before", "hidden", "solo", "drafts", "session", "tool", "tag", "size", "width"], () => stage.ask());
store.on(["before"], () => state.before && before.focus(state.frame, heading));
store.on(["hidden", "solo"], () => drafts.frames.forEach((frame) => previews.refresh(frame)));
store.on(["holder"], () => {
  if (!state.session || !state.holder) return;
  drafts.open(state.session.key); // the tab that had the desk may have drawn
  previews.clear();
  actions.resend();
  look();
});
let linked = "opening";
store.on(["link"], () => {
  if (linked === "gone" && state.link === "ok") {
    say("The studio is back. Nothing was lost.", "done");
    actions.resend();
    changed();
  }
  linked = state.link;
});
store.on(["frame", "tool", "negative", "link", "holder", "propagation", "drafts", "session", "busy"], () => {
  const { dataset } = document.body;
  Object.assign(dataset, { tool: state.tool, link: state.link, holder: state.holder, busy: state.busy ?? "" });
  dataset.negative = state.negative;
  dataset.running = state.propagation.running;
  dataset.drafts = drafts.frames.join(" ");
  dataset.rounds = state.session?.rounds ?? "";
  canvas.setAttribute("aria-label", `Frame ${state.frame}; draw here with the mouse or a pen`);
});
addEventListener("storage", ({ key }) => {
  if (!state.session || state.holder || key !== `siaf-drafts-${state.session.key}`) return;
  drafts.open(state.session.key); // another tab draws
  previews.clear();
  stage.ask();
});

const parts = {
  canvas, stage, store, drafts, actions, dialogs, player, objects, say, go, redraw, drawn,
  run: (command, given = {}) => state.session && commands[command](given),
  refuse: () => say(state.before ? "These are the masks of before." : "Another tab works on this session; take over to draw here.", "error"),
  takeOver: () => link.takeOver().catch((error) => actions.fail(error)),
  /** Masks that the frame shows now; null while they are on their way. */
  masksHere: () => previews.get(state.frame)?.masks ?? masks.get(state.frame)?.masks ?? null,
  hide(tag) {
    const hidden = new Set(state.hidden);
    if (!hidden.delete(tag)) hidden.add(tag);
    store.set({ hidden, solo: null });
  },
};
parts.limits = new Limits(parts);
const pointer = listen(parts);
parts.pointer = pointer;
const timeline = new Timeline(at("timeline"), parts);
const commands = commandsOf(parts);
toolbar(at("tools"), store, drafts, parts.run);
transport(at("transport"), parts);
objectsPanel(at("objects"), at("add-object"), parts);
suggestionsPanel(at("suggested"), parts);
header(parts);
standing(parts);
listenToKeys(parts.run, (command) => command === "compare" && store.set({ before: false }));
link.open();
