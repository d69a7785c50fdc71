/** Masks by frame: fetched around the frame that is shown, made into bitmaps by a worker, and so many bytes kept. */

import { ByteLru } from "./lru.js";

const RLE_BYTES = 48 * 2 ** 20;
const BITMAP_BYTES = 128 * 2 ** 20;
const AHEAD = 40;
const BEHIND = 12;
const BITMAPS_AHEAD = 12;
const LEAST_CALL = 16; // a call for fewer frames waits until more are missing, unless one of them is shown

export class Masks {
  #api;
  #of;
  #worker = new Worker(new URL("./mask-worker.js", import.meta.url), { type: "module" });
  #rles = new ByteLru(RLE_BYTES);
  #overlays = new ByteLru(BITMAP_BYTES, (overlay) => overlay?.bitmap.close());
  #making = new Map(); // frame → number of the newest bitmap that the worker was asked for
  #fetching = new Set();
  #stale = new Map(); // frame → time of what made its masks old
  #clock = 0;
  #allStale = 0;
  #id = 0;
  #frames = 0;
  #colors = {};
  #version = 0;
  #focus = [0, 1];
  #arrived;
  #failed;

  /** `of`: "now" or "before" the last round. `arrived(frame)` after a frame's bitmap was made. */
  constructor(api, of, arrived, failed) {
    this.#api = api;
    this.#of = of;
    this.#arrived = arrived;
    this.#failed = failed;
    this.#worker.addEventListener("message", ({ data }) => this.#made(data));
  }

  /** Begin anew, for a session of so many frames. */
  open(frames) {
    this.#frames = frames;
    this.forget();
  }

  /** Colours by tag that masks are shown in, from the next `focus` on; a tag without one is hidden. */
  paint(colors) {
    if (JSON.stringify(colors) === JSON.stringify(this.#colors)) return;
    this.#colors = colors;
    this.#version += 1;
    this.#making.clear();
    this.#overlays.clear();
  }

  /** {source, masks} of a frame; undefined until they are known. */
  get(frame) {
    return this.#rles.get(frame);
  }

  /** What to lay over a frame: {x, y, bitmap}, null for nothing; undefined until it is made. */
  overlay(frame) {
    return this.#overlays.get(frame);
  }

  get bytes() {
    return this.#overlays.bytes;
  }

  /** Masks that came with another answer. */
  put(frame, source, masks) {
    this.#keep(frame, source, masks);
    this.#stale.set(frame, (this.#clock += 1));
    this.#make(frame);
  }

  /** Masks of these frames are others now; the old ones are shown until the new ones are there. */
  renew(frames) {
    this.#clock += 1;
    for (const frame of frames) this.#stale.set(frame, this.#clock);
    for (const frame of frames) this.#rles.delete(frame);
    this.focus(...this.#focus);
  }

  /** All masks are others, from the next `focus` on. */
  forget() {
    this.#allStale = this.#clock += 1;
    this.#stale.clear();
    this.#making.clear();
    this.#rles.clear();
    this.#overlays.clear();
  }

  /** A frame is shown, and `direction`, 1 or -1, is where the next ones will be. */
  focus(frame, direction) {
    this.#focus = [frame, direction];
    const near = [frame];
    for (let away = 1; away <= AHEAD; away += 1) {
      near.push(frame + away * direction);
      if (away <= BEHIND) near.push(frame - away * direction);
    }
    const there = near.filter((n) => n >= 0 && n < this.#frames);
    for (const n of there.slice(0, BITMAPS_AHEAD)) {
      if (this.#rles.has(n) && !this.#overlays.has(n) && !this.#making.has(n)) this.#make(n);
    }
    const missing = there.filter((n) => !this.#rles.has(n) && !this.#fetching.has(n));
    const urgent = missing[0] === frame;
    if (urgent || missing.length >= LEAST_CALL || (missing.length && !this.#fetching.size)) this.#fetch(missing);
  }

  async #fetch(frames) {
    const asked = this.#clock;
    for (const frame of frames) this.#fetching.add(frame);
    let again = false;
    try {
      const found = await this.#api.get(`masks?frames=${frames.join(",")}&of=${this.#of}`);
      for (const { frame, source, masks } of found.frames) {
        if (Math.max(this.#allStale, this.#stale.get(frame) ?? 0) > asked) {
          again = true;
          continue;
        }
        this.#keep(frame, source, masks);
        if (Math.abs(frame - this.#focus[0]) <= BITMAPS_AHEAD) this.#make(frame);
        else this.#overlays.delete(frame);
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      for (const frame of frames) this.#fetching.delete(frame);
      if (again) this.focus(...this.#focus);
    }
  }

  #keep(frame, source, masks) {
    const packed = masks.map(({ tag, rle }) => ({ tag, rle: Int32Array.from(rle) }));
    this.#rles.set(frame, { source, masks: packed }, 64 + packed.reduce((sum, { rle }) => sum + 64 + 4 * rle.length, 0));
  }

  #make(frame) {
    const { masks } = this.#rles.get(frame);
    if (!masks.length) {
      this.#making.delete(frame);
      this.#overlays.set(frame, null, 16);
      this.#arrived(frame);
      return;
    }
    this.#id += 1;
    this.#making.set(frame, this.#id);
    this.#worker.postMessage({ id: [frame, this.#id, this.#version], masks, colors: this.#colors });
  }

  #made({ id: [frame, number, version], overlay }) {
    if (typeof frame !== "number") return; // `decode` waits for it
    if (this.#making.get(frame) !== number || version !== this.#version) {
      overlay?.bitmap.close(); // a newer one is under way
      return;
    }
    this.#making.delete(frame);
    this.#overlays.set(frame, overlay, overlay ? overlay.bitmap.width * overlay.bitmap.height * 4 : 16);
    this.#arrived(frame);
  }

  /** Masks that are no frame's own, a preview, as an overlay. */
  async decode(masks) {
    const frame = `other ${(this.#id += 1)}`;
    const worker = this.#worker;
    return new Promise((resolve) => {
      const hear = ({ data }) => {
        if (data.id[0] !== frame) return;
        worker.removeEventListener("message", hear);
        resolve(data.overlay);
      };
      worker.addEventListener("message", hear);
      worker.postMessage({ id: [frame, 0, 0], masks, colors: this.#colors });
    });
  }
}
