/** The pen or mouse on the stage: strokes, clicks, boxes, painting, zoom and pan. */

import { Brush } from "./brush.js";
import { colorOf, shownColors } from "./objects-state.js";
import { inside, thinned } from "./strokes.js";
import { moved, toFrame, zoomed } from "./view.js";

const SMALLEST_BOX = 3;

/**
 * `parts`: {canvas, stage, store, drafts, objects(), masksHere(), drawn(frame)}: `masksHere` are those that the frame
 * shows now, null while they are on their way; `drawn` hears of every new draft.
 */
export function listen(parts) {
  const { canvas, stage, store, drafts } = parts;
  let gesture = null;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const pixel = (event) => toFrame(store.state.view, ...place(event));
  const steps = (event) => (event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]);

  function begin(event) {
    const { state } = store;
    if (!state.session || !state.view) return null;
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) return new Pan(parts, place(event));
    if (event.button !== 0 && event.button !== 2) return null;
    if (!state.holder || state.before) {
      parts.refuse();
      return null;
    }
    const negative = event.button === 2 || state.negative;
    const at = inside(pixel(event), state.session);
    if (state.tool === "box") return new BoxDrag(parts, at);
    if (state.tool === "brush" || state.tool === "eraser") {
      return Painting.begin(parts, at, state.tool === "eraser" || negative);
    }
    return new Line(parts, at, negative, state.tool === "click");
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (gesture) return;
    canvas.focus({ preventScroll: true });
    gesture = begin(event);
    if (!gesture) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    gesture.pointer = event.pointerId;
    stage.ask();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!store.state.session || !store.state.view) return;
    stage.cursor = pixel(event);
    stage.ask();
    if (gesture?.pointer !== event.pointerId) return;
    for (const step of steps(event)) {
      gesture.move(inside(pixel(step), store.state.session), place(step));
    }
  });
  const end = (event, done) => {
    if (gesture?.pointer !== event.pointerId) return;
    const ended = gesture;
    gesture = null;
    stage.live = {};
    if (done) ended.end();
    stage.ask();
  };
  canvas.addEventListener("pointerup", (event) => end(event, true));
  canvas.addEventListener("pointercancel", (event) => end(event, false));
  canvas.addEventListener("pointerleave", () => {
    stage.cursor = null;
    stage.ask();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("auxclick", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (!store.state.view) return;
      const lines = event.deltaMode === 1 ? 16 : 1;
      const factor = Math.exp((-event.deltaY * lines) / 400);
      store.set({ view: zoomed(store.state.view, factor, ...place(event), stage.size, store.state.session) });
    },
    { passive: false },
  );

  return {
    get busy() {
      return gesture !== null;
    },
    /** Forget what is being drawn. */
    cancel() {
      if (gesture) end({ pointerId: gesture.pointer }, false);
    },
  };
}

class Pan {
  constructor({ store, stage }, at) {
    Object.assign(this, { store, stage, at });
  }

  move(_, [x, y]) {
    const { view, session } = this.store.state;
    this.store.set({ view: moved(view, x - this.at[0], y - this.at[1], this.stage.size, session) });
    this.at = [x, y];
  }

  end() {}
}

/** A scribble; a click is one of a single point. */
class Line {
  constructor(parts, at, negative, click) {
    const { frame, tag, width } = parts.store.state;
    Object.assign(this, { parts, frame, click });
    this.stroke = { tag, points: [at], width, polarity: negative ? "negative" : "positive" };
    parts.stage.live = { stroke: this.stroke };
  }

  move(at) {
    if (this.click) this.stroke.points = [at];
    else this.stroke.points.push(at);
  }

  end() {
    const step = Math.min(1.5, 0.75 / this.parts.store.state.view.scale);
    const points = thinned(this.stroke.points, step);
    this.parts.drawn({ kind: "stroke", frame: this.frame, ...this.stroke, points });
  }
}

class BoxDrag {
  constructor(parts, at) {
    const { frame, tag } = parts.store.state;
    Object.assign(this, { parts, frame, tag, from: at, to: at });
  }

  move(at) {
    this.to = at;
    this.parts.stage.live = { box: this.#box() };
  }

  end() {
    const box = this.#box();
    if (box[2] - box[0] < SMALLEST_BOX || box[3] - box[1] < SMALLEST_BOX) return;
    this.parts.drawn({ kind: "box", frame: this.frame, tag: this.tag, box });
  }

  #box() {
    const [[x0, y0], [x1, y1]] = [this.from, this.to];
    const sides = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
    return sides.map((side) => Math.round(side * 100) / 100);
  }
}

/** Brush or eraser. */
class Painting {
  static begin(parts, at, erase) {
    const masks = parts.masksHere();
    return masks === null ? null : new Painting(parts, at, erase, masks);
  }

  constructor(parts, at, erase, masks) {
    const { session, frame, tag, size } = parts.store.state;
    Object.assign(this, { parts, frame, tag, size, erase, at });
    const colors = { ...shownColors(parts.store.state, parts.objects()), [tag]: colorOf(parts.store.state, tag) };
    this.brush = new Brush(masks, session.width, session.height, colors);
    parts.stage.live = { brush: this.brush };
    this.move(at);
  }

  move(at) {
    this.brush.line(this.at, at, this.size, this.tag, this.erase);
    this.at = at;
  }

  end() {
    this.parts.drawn({ kind: "masks", frame: this.frame, tag: this.tag, masks: this.brush.masks });
  }
}
