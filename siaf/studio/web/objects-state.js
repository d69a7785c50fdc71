/** The objects: the session's, those that are drawn and not committed, and the one that is chosen. */

import { apart, palette, shown } from "./colors.js";

const MOST = 255;

/** All objects by ascending tag: [{tag, label, color, known}]; `known`: the session has it. */
export function objectsOf(state, drafts) {
  const found = new Map(state.session.objects.map((one) => [one.tag, { ...one, known: true }]));
  const fresh = new Set([...drafts.tags, ...Object.keys(drafts.names).map(Number), state.tag]);
  for (const tag of fresh) {
    if (!found.has(tag)) found.set(tag, { tag, label: drafts.names[tag] ?? null, color: palette(tag), known: false });
  }
  return [...found.values()].sort((a, b) => a.tag - b.tag);
}

/** The lowest tag that no object has; null if there are 255. */
export function freeTag(objects) {
  const taken = new Set(objects.map((one) => one.tag));
  for (let tag = 1; tag <= MOST; tag += 1) if (!taken.has(tag)) return tag;
  return null;
}

/** What an object is called. */
export function nameOf({ tag, label }) {
  return label || `object ${tag}`;
}

/** An object's colour on a picture, [red, green, blue]. */
export function colorOf(state, tag) {
  const { objects } = state.session;
  const known = objects.find((one) => one.tag === tag);
  if (!known) return shown(palette(tag));
  const alike = objects.filter((one) => one.tag < tag && one.color === known.color).length;
  return alike ? apart(shown(known.color), alike) : shown(known.color);
}

/** Colours by tag of the objects that are shown: without the hidden ones, or with one alone. */
export function shownColors(state, objects) {
  const colors = {};
  for (const { tag } of objects) {
    if (state.solo === null ? !state.hidden.has(tag) : state.solo === tag) colors[tag] = colorOf(state, tag);
  }
  return colors;
}
