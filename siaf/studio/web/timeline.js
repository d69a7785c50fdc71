/** The timeline under the stage: shows the whole clip, and takes one to a frame. */

import { colorOf, nameOf } from "./objects-state.js";
import { pictureOf } from "./pictures.js";
import { frameAt, heightFor, paint, paintCursor, THUMBS } from "./timeline-draw.js";

const THUMB_WIDTH = 80;
const MOST_ROWS = 12;

/** `parts`: {store, drafts, objects(), go}. */
export class Timeline {
  #canvas;
  #parts;
  #thumbs = [];
  #loading = 0;
  #asked = false;
  #base = null; // all but the cursor, as a canvas; null when it has to be painted anew
  #accent = "";

  constructor(canvas, parts) {
    this.#canvas = canvas;
    this.#parts = parts;
    new ResizeObserver(() => this.#lay()).observe(canvas.parentElement);
    const { store } = parts;
    store.on(["session", "fresh", "drafts", "tag"], () => this.#anew());
    store.on(["frame"], () => this.#ask());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#anew());
    let scrubbing = false;
    const seek = (event) => {
      const { session } = store.state;
      if (session) parts.go(frameAt(event.clientX - canvas.getBoundingClientRect().left, session.frames, canvas.clientWidth));
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      scrubbing = true;
      seek(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (scrubbing) seek(event);
      this.#hint(event);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (scrubbing = false));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (!step) return;
      event.preventDefault();
      parts.go(store.state.frame + step);
    });
  }

  /** Begin anew with a session. */
  open() {
    this.#thumbs = [];
    this.#lay();
  }

  get #objects() {
    const { store, objects } = this.#parts;
    return objects()
      .filter((one) => one.known)
      .slice(0, MOST_ROWS)
      .map((one) => ({ tag: one.tag, name: nameOf(one), color: colorOf(store.state, one.tag) }));
  }

  #lay() {
    const { session } = this.#parts.store.state;
    if (!session) return;
    const width = this.#canvas.parentElement.clientWidth;
    const slots = Math.max(1, Math.min(session.frames, Math.floor(width / THUMB_WIDTH)));
    if (slots !== this.#thumbs.length) {
      for (const { bitmap } of this.#thumbs) bitmap?.close();
      this.#thumbs = Array.from({ length: slots }, (_, i) => ({
        frame: Math.floor(((i + 0.5) / slots) * session.frames),
        bitmap: null,
        tried: false,
      }));
    }
    this.#load();
    this.#anew();
  }

  /** Two at a time, so that the frame itself comes first. */
  async #load() {
    const { session } = this.#parts.store.state;
    const thumbs = this.#thumbs;
    const next = thumbs.find((thumb) => !thumb.tried);
    if (!next || this.#loading >= 2) return;
    next.tried = true;
    this.#loading += 1;
    const high = Math.ceil(THUMBS * devicePixelRatio);
    const width = Math.min(session.width, Math.max(160, Math.ceil((high * session.width) / session.height)));
    try {
      next.bitmap = await pictureOf(session.key, next.frame, width);
    } catch {
      // A server that is away is told of elsewhere.
      setTimeout(() => {
        next.tried = false;
        this.#load();
      }, 5000);
    } finally {
      this.#loading -= 1;
    }
    this.#anew();
    this.#load();
    this.#load();
  }

  #anew() {
    this.#base = null;
    this.#ask();
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #paint() {
    const { session, frame } = this.#parts.store.state;
    if (!session) return;
    const canvas = this.#canvas;
    const objects = this.#objects;
    const [width, height] = [canvas.parentElement.clientWidth, heightFor(objects.length)];
    const ratio = devicePixelRatio;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== across || canvas.height !== down) {
      Object.assign(canvas, { width: across, height: down });
      canvas.style.height = `${height}px`;
      this.#base = null;
    }
    this.#base ??= this.#paintBase(across, down, width, height, objects);
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#base, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintCursor(context, width, height, frame, session.frames, this.#accent);
    canvas.setAttribute("aria-valuemax", String(session.frames - 1));
    canvas.setAttribute("aria-valuenow", String(frame));
    canvas.setAttribute("aria-valuetext", `frame ${frame} of ${session.frames - 1}`);
  }

  #paintBase(across, down, width, height, objects) {
    const { store, drafts } = this.#parts;
    const { session, fresh } = store.state;
    const base = new OffscreenCanvas(Math.max(1, across), Math.max(1, down));
    const context = base.getContext("2d", { alpha: false });
    context.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(document.documentElement);
    const names = ["line", "text", "faint", "accent", "warn", "back"];
    const theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.#accent = theme.accent;
    paint(context, width, height, { session, fresh, drafts: drafts.frames, objects, thumbs: this.#thumbs, theme });
    return base;
  }

  /** What lies under the mouse, as a tooltip. */
  #hint(event) {
    const { session } = this.#parts.store.state;
    if (!session) return;
    const frame = frameAt(event.offsetX, session.frames, this.#canvas.clientWidth);
    const rounds = session.interacted[frame];
    const lines = [`frame ${frame}${rounds ? `, drawn on in round ${rounds.join(", ")}` : ""}`];
    for (const [tag, area, sure] of session.stats[frame] ?? []) {
      lines.push(`object ${tag}: ${area} pixels${sure === null ? "" : `, ${Math.round(sure * 100)} % sure`}`);
    }
    this.#canvas.title = lines.join("\n");
  }
}
