/** The frame, large, with its masks and strokes on a canvas. */

import { css } from "./colors.js";
import { colorOf } from "./objects-state.js";
import { drawBox, drawStroke } from "./strokes.js";
import { fitted } from "./view.js";

/** What is being drawn right now, for the stage to show: {stroke} | {box, tag} | {brush}; `cursor` in frame pixels. */
export class Stage {
  #canvas;
  #context;
  #parts;
  #asked = false;
  live = {};
  cursor = null;

  /** `parts`: {store, drafts, pictures, masks, before, previews}. */
  constructor(canvas, parts) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#parts = parts;
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  get size() {
    return { width: this.#canvas.clientWidth, height: this.#canvas.clientHeight };
  }

  /** Show the whole frame. */
  fit() {
    const { store } = this.#parts;
    if (store.state.session) store.set({ view: fitted(this.size, store.state.session) });
  }

  /** Paint before the browser's next picture. */
  ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #resize() {
    const { width, height } = this.#canvas.parentElement.getBoundingClientRect();
    const ratio = devicePixelRatio;
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(height * ratio));
    const { view } = this.#parts.store.state;
    if (!view || view.fit) this.fit();
    this.ask();
  }

  #paint() {
    const { store, drafts, pictures } = this.#parts;
    const { session, view, frame } = store.state;
    const context = this.#context;
    const ratio = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = getComputedStyle(this.#canvas).backgroundColor;
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!session || !view) return;
    context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
    context.imageSmoothingEnabled = view.scale * ratio < 2;
    const picture = pictures.get(frame);
    if (picture) {
      context.drawImage(picture, 0, 0, session.width, session.height);
    } else {
      context.fillStyle = "rgb(128 128 128 / 0.2)";
      context.fillRect(0, 0, session.width, session.height);
    }
    const masked = this.#paintMasks();
    const here = drafts.of(frame);
    if (!store.state.before) {
      for (const past of session.strokes) {
        if (past.frame === frame) this.#paintStrokes(past.strokes, view.scale, true);
      }
      this.#paintStrokes(here.strokes, view.scale, false);
      for (const { tag, box } of here.boxes) drawBox(context, box, colorOf(store.state, tag), view.scale);
      this.#paintLive(view.scale);
    }
    // What is on the screen, for tests and for figures.
    const { dataset } = this.#canvas;
    if (picture) dataset.picture = frame;
    if (picture && masked !== undefined) dataset.shown = frame;
    dataset.masked = masked ?? "";
  }

  /** Lay masks over the frame; how it came by them, undefined while they are on their way. */
  #paintMasks() {
    const { store, drafts, masks, before, previews } = this.#parts;
    const { frame } = store.state;
    const context = this.#context;
    const lay = (overlay) => overlay && context.drawImage(overlay.bitmap, overlay.x, overlay.y);
    if (store.state.before) {
      const overlay = before.overlay(frame);
      lay(overlay);
      return overlay === undefined ? undefined : "before";
    }
    if (this.live.brush) {
      context.drawImage(this.live.brush.picture, 0, 0);
      return "painted";
    }
    const preview = previews.get(frame);
    if (preview) {
      lay(preview.overlay);
      return drafts.of(frame).masks ? "painted" : "preview";
    }
    const overlay = masks.overlay(frame);
    lay(overlay);
    return overlay === undefined ? undefined : (masks.get(frame)?.source ?? "");
  }

  #paintStrokes(strokes, scale, faded) {
    const { state } = this.#parts.store;
    for (const stroke of strokes) {
      if (!state.hidden.has(stroke.tag)) drawStroke(this.#context, stroke, colorOf(state, stroke.tag), scale, faded);
    }
  }

  #paintLive(scale) {
    const { state } = this.#parts.store;
    const { stroke, box } = this.live;
    if (stroke) drawStroke(this.#context, stroke, colorOf(state, stroke.tag), scale);
    if (box) drawBox(this.#context, box, colorOf(state, state.tag), scale);
    if (!this.cursor || !["brush", "eraser", "scribble"].includes(state.tool)) return;
    const context = this.#context;
    const diameter = state.tool === "scribble" ? Math.max(state.width, 2.5 / scale) : state.size;
    context.beginPath();
    context.arc(...this.cursor, diameter / 2, 0, 2 * Math.PI);
    context.lineWidth = 2.5 / scale;
    context.strokeStyle = "rgb(0 0 0 / 0.6)";
    context.stroke();
    context.lineWidth = 1.2 / scale;
    context.strokeStyle = css(colorOf(state, state.tag));
    context.stroke();
  }
}
