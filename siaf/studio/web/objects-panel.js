/** The list of objects at the right: choose, show, name, put right. */

import { css, palette } from "./colors.js";
import { fill, iconButton, make } from "./dom.js";
import { colorOf, freeTag, nameOf } from "./objects-state.js";

/** Fill the list. `parts`: {store, drafts, objects(), actions, dialogs, hide(tag), run, say}. */
export function objectsPanel(list, addButton, parts) {
  const { store, objects, run } = parts;
  addButton.addEventListener("click", () => run("new-object"));

  function show() {
    const { state } = store;
    if (!state.session) return;
    const { activeElement } = document;
    const focused = activeElement.closest("[data-tag]")?.dataset.tag;
    const all = objects();
    const filled = fill(list, [all, state.tag, [...state.hidden], state.solo, state.holder], () => all.map((one) => row(one, parts)));
    if (filled && focused) list.querySelector(`[data-tag="${focused}"] [data-role="${activeElement.dataset.role}"]`)?.focus();
    if (!filled) showSure();
    addButton.disabled = freeTag(all) === null;
  }
  store.on(["session", "drafts", "tag", "hidden", "solo", "holder"], show);
  store.on(["frame"], showSure);

  function showSure() {
    for (const row of list.children) row.querySelector(".sure").textContent = sureOf(store.state, Number(row.dataset.tag));
  }
}

/** How sure the model is of an object on the shown frame: "97 %", "" where it does not say. */
function sureOf({ session, frame }, tag) {
  const sure = session.stats[frame]?.find(([each]) => each === tag)?.[2];
  return sure == null ? "" : `${Math.round(sure * 100)} %`;
}

function row(one, parts) {
  const { store, hide } = parts;
  const { state } = store;
  const { tag } = one;
  const name = nameOf(one);
  const chosen = state.tag === tag;
  const out = state.solo === null ? state.hidden.has(tag) : state.solo !== tag;
  const swatch = make("span", { class: "swatch" });
  swatch.style.background = css(colorOf(state, tag));
  const eye = iconButton(out ? "eye-off" : "eye", out ? `Show ${name}` : `Hide ${name}`, () => hide(tag), { pressed: out });
  const solo = iconButton("solo", `Only ${name}`, () => store.set({ solo: state.solo === tag ? null : tag }), {
    pressed: state.solo === tag,
  });
  const more = iconButton("more", `More for ${name}`, () => menu(one, more, parts));
  more.setAttribute("aria-haspopup", "menu");
  [eye, solo, more].forEach((button, i) => (button.dataset.role = ["eye", "solo", "more"][i]));
  return make(
    "li",
    { "data-tag": tag, class: `${chosen ? "chosen" : ""} ${out ? "out" : ""}` },
    make(
      "button",
      {
        type: "button",
        class: "name",
        "data-role": "name",
        "aria-pressed": String(chosen),
        title: `Draw ${name}${tag < 10 ? ` (${tag})` : ""}`,
        onclick: () => store.set({ tag }),
        ondblclick: () => rename(one, parts),
      },
      swatch,
      make("span", { class: "number" }, String(tag)),
      make("span", { class: "label" }, one.label || (one.known ? "–" : "new")),
      make("span", { class: "sure" }, sureOf(state, tag)),
    ),
    eye,
    solo,
    more,
  );
}

/** What else can be done with an object. */
function menu(one, button, parts) {
  const { store, actions, dialogs, objects } = parts;
  const { frame, session, holder } = store.state;
  const name = nameOf(one);
  const others = session.objects.filter((each) => each.tag !== one.tag);
  const pair = async (title, verb, send, done) => {
    const answer = await dialogs.ask({
      title,
      fields: [{ name: "other", label: verb, options: others.map((each) => [String(each.tag), numbered(each)]) }],
      button: verb.split(" ")[0],
    });
    if (answer) await actions.edit({ ...send(Number(answer.other)), from_frame: frame }, done(Number(answer.other)));
  };
  const two = holder && one.known && others.length > 0;
  dialogs.menu(button, [
    ["Rename …", holder, () => rename(one, parts)],
    ["Colour …", holder && one.known, () => recolor(one, parts)],
    [
      "Swap with another from this frame on …",
      two,
      () =>
        pair(
          `Swap ${name} from frame ${frame} on`,
          "Swap with",
          (other) => ({ do: "swap", tags: [one.tag, other] }),
          (other) => `Objects ${one.tag} and ${other} are swapped from frame ${frame} on.`,
        ),
    ],
    [
      "Merge another into it from this frame on …",
      two,
      () =>
        pair(
          `Merge into ${name} from frame ${frame} on`,
          "Merge this one into it",
          (other) => ({ do: "merge", tags: [one.tag, other] }),
          (other) => `Object ${other} is part of object ${one.tag} from frame ${frame} on.`,
        ),
    ],
    [
      "Split off from this frame on",
      holder && one.known,
      () => actions.edit({ do: "split", tags: [one.tag], from_frame: frame }, `From frame ${frame} on, object ${one.tag} is another one.`),
    ],
    ["Remove …", holder, () => remove(one, objects(), parts)],
  ]);
}

function numbered({ tag, label }) {
  return label ? `${tag} ${label}` : `object ${tag}`;
}

async function rename(one, { store, drafts, actions, dialogs }) {
  if (!store.state.holder) return;
  const { labels } = store.state.session;
  const options = labels.length ? labels.map(({ name }) => [name, name]) : null;
  const answer = await dialogs.ask({
    title: `Name of object ${one.tag}`,
    fields: [{ name: "label", label: "Name", value: one.label ?? "", options, maxlength: 200 }],
    button: "Rename",
  });
  const label = answer?.label.trim();
  if (!label) return;
  if (one.known) await actions.edit({ do: "name", tags: [one.tag], label }, `Object ${one.tag} is called ${label}.`);
  else drafts.name(one.tag, label);
}

async function recolor(one, { store, actions, dialogs }) {
  const now = store.state.session.objects.find((each) => each.tag === one.tag).color;
  const answer = await dialogs.ask({
    title: `Colour of ${nameOf(one)}`,
    fields: [{ name: "color", label: "Colour", type: "color", value: now ?? palette(one.tag) }],
    button: "Use it",
  });
  if (answer) await actions.edit({ do: "name", tags: [one.tag], color: answer.color }, `Changed the colour of ${nameOf(one)}.`);
}

async function remove(one, all, { store, drafts, actions, dialogs, redraw }) {
  const sure = await dialogs.ask({
    title: `Remove ${nameOf(one)}?`,
    text: one.known
      ? "Its masks and strokes go from every frame and every round. This cannot be taken back."
      : "What was drawn for it and not committed is dropped; Ctrl+Shift+Z draws it again.",
    fields: [],
    button: "Remove",
  });
  if (!sure) return;
  if (one.known && !(await actions.edit({ do: "remove", tags: [one.tag] }, `Removed ${nameOf(one)}.`))) return;
  const frames = drafts.dropTag(one.tag);
  for (const frame of frames) redraw(frame);
  const rest = all.filter((each) => each.tag !== one.tag);
  store.set({ tag: rest[0]?.tag ?? 1 });
}
