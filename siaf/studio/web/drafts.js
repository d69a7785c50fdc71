/**
 * What was drawn and is not committed: a list of things done, which this browser keeps until a round took them.
 *
 * Items: {id, frame, kind} with
 *   kind "stroke": tag, points [[x, y], …], width, polarity "positive" | "negative"
 *   kind "box":    tag, box [left, top, right, bottom]; a newer one of the same object takes its place
 *   kind "masks":  masks [{tag, rle}], the whole frame as it was painted; a newer one takes its place
 *   kind "clear":  what was drawn on the frame before does not count
 */

import { freshId } from "./ids.js";

const empty = () => ({ items: [], undone: [], names: {}, sent: null });

export class Drafts {
  #kept;
  #key;
  #storage;
  #changed;

  /** `changed(error | null)` is called after every change; the error is one of keeping it. */
  constructor(storage, changed) {
    this.#storage = storage;
    this.#changed = changed;
    this.#kept = empty();
  }

  /** Open those of a session: what this browser kept of it. */
  open(key) {
    this.#key = `siaf-drafts-${key}`;
    try {
      this.#kept = { ...empty(), ...JSON.parse(this.#storage.getItem(this.#key) ?? "{}") };
    } catch {
      this.#kept = empty(); // not ours, or cut off
    }
    this.#changed(null);
  }

  get items() {
    return this.#kept.items;
  }

  get redoable() {
    return this.#kept.undone.length > 0;
  }

  /** Labels of objects that no round knows yet, by tag; null for one without a label. */
  get names() {
    return this.#kept.names;
  }

  /** A round that was sent and not answered yet: {body, ids}. */
  get sent() {
    return this.#kept.sent;
  }

  add(item) {
    this.#save({ items: [...this.items, { ...item, id: freshId() }], undone: [] });
  }

  /** Take back the newest item; its frame, null if there is none. */
  undo() {
    const last = this.items.at(-1);
    if (!last) return null;
    this.#save({ items: this.items.slice(0, -1), undone: [...this.#kept.undone, last] });
    return last.frame;
  }

  redo() {
    const last = this.#kept.undone.at(-1);
    if (!last) return null;
    this.#save({ items: [...this.items, last], undone: this.#kept.undone.slice(0, -1) });
    return last.frame;
  }

  name(tag, label) {
    this.#save({ names: { ...this.names, [tag]: label } });
  }

  forgetName(tag) {
    this.#save({ names: Object.fromEntries(Object.entries(this.names).filter(([one]) => Number(one) !== tag)) });
  }

  /** Drop what was drawn for an object; the frames where that was. `redo` brings its strokes and boxes back. */
  dropTag(tag) {
    const own = (item) => item.tag === tag && item.kind !== "masks";
    const frames = [...new Set(this.items.filter((item) => own(item) || item.masks).map((item) => item.frame))];
    const rest = this.items.filter((item) => !own(item));
    this.#save({
      items: rest.map((item) => (item.masks ? { ...item, masks: item.masks.filter((mask) => mask.tag !== tag) } : item)),
      undone: this.items.filter(own).reverse(),
    });
    this.forgetName(tag);
    return frames;
  }

  /** Frames with something that counts, ascending. */
  get frames() {
    return [...new Set(this.items.map((item) => item.frame))]
      .filter((frame) => {
        const { strokes, boxes, masks } = this.of(frame);
        return strokes.length || boxes.length || masks;
      })
      .sort((a, b) => a - b);
  }

  /** Tags that are drawn with. */
  get tags() {
    return tagsOf(this.items);
  }

  /** Tags of what counts on other frames than this one. */
  tagsBeside(frame) {
    const others = this.frames.filter((one) => one !== frame).map((one) => this.of(one));
    return [...tagsOf(others.flatMap(({ strokes, boxes, masks }) => [...strokes, ...boxes, ...(masks ? [{ masks }] : [])]))];
  }

  /** What counts on a frame: {strokes: [Stroke], boxes: [BoxModel], masks: [MaskModel] | null}. */
  of(frame) {
    let strokes = [];
    let boxes = [];
    let masks = null;
    for (const item of this.items) {
      if (item.frame !== frame) continue;
      if (item.kind === "stroke") {
        const { tag, points, width, polarity } = item;
        strokes.push({ tag, points, width, polarity });
      } else if (item.kind === "box") {
        boxes = [...boxes.filter((box) => box.tag !== item.tag), { frame, tag: item.tag, box: item.box }];
      } else if (item.kind === "masks") {
        masks = item.masks;
      } else {
        strokes = [];
        boxes = [];
        masks = null;
      }
    }
    return { strokes, boxes, masks };
  }

  /** All that counts as one round's body, without its revision. */
  round() {
    const scribbles = [];
    const boxes = [];
    const references = [];
    for (const frame of this.frames) {
      const here = this.of(frame);
      if (here.strokes.length) scribbles.push({ frame, strokes: here.strokes });
      boxes.push(...here.boxes);
      if (here.masks) references.push({ frame, masks: here.masks });
    }
    const drawn = this.tags;
    const objects = Object.entries(this.names)
      .filter(([tag, label]) => label !== null && drawn.has(Number(tag)))
      .map(([tag, label]) => ({ tag: Number(tag), label }));
    return { scribbles, boxes, references, objects };
  }

  /** A round goes on its way with all items of now. */
  send(body) {
    this.#save({ sent: { body, ids: this.items.map((item) => item.id) } });
  }

  /** The round was taken: its items are the session's now. */
  taken() {
    const gone = new Set(this.sent.ids);
    const known = tagsOf(this.items.filter((item) => gone.has(item.id)));
    const names = Object.fromEntries(Object.entries(this.names).filter(([tag]) => !known.has(Number(tag))));
    this.#save({ items: this.items.filter((item) => !gone.has(item.id)), undone: [], names, sent: null });
  }

  /** The round was refused, or answered and not taken: its items stay. */
  refused() {
    this.#save({ sent: null });
  }

  #save(change) {
    this.#kept = { ...this.#kept, ...change };
    // Painted masks are large: where the storage is full, those that a later one replaced are left out.
    const forms = [() => this.#kept, () => ({ ...this.#kept, items: withoutReplaced(this.items), undone: [] })];
    let problem = null;
    for (const form of forms) {
      try {
        this.#storage.setItem(this.#key, JSON.stringify(form()));
        problem = null;
        break;
      } catch (error) {
        problem = error;
      }
    }
    this.#changed(problem);
  }
}

function withoutReplaced(items) {
  const later = (item, i) => items.slice(i + 1).some((other) => other.frame === item.frame && other.kind === "masks");
  return items.filter((item, i) => item.kind !== "masks" || !later(item, i));
}

function tagsOf(items) {
  return new Set(items.flatMap((item) => (item.masks ? item.masks.map((mask) => mask.tag) : item.tag ? [item.tag] : [])));
}
