/** Frames as bitmaps: those around the one that is shown are fetched ahead, and so many bytes are kept. */

import { ByteLru } from "./lru.js";

const KEPT_BYTES = 256 * 2 ** 20;
const AT_ONCE = 6;
const AHEAD = 24;
const BEHIND = 6;

export class Pictures {
  #bitmaps = new ByteLru(KEPT_BYTES, (bitmap) => bitmap.close());
  #loading = new Map();
  #wanted = [];
  #session = null;
  #arrived;
  #failed;

  /** `arrived(frame)` after a picture came, `failed(error)` when it could not be had. */
  constructor(arrived, failed) {
    this.#arrived = arrived;
    this.#failed = failed;
  }

  open(session) {
    this.#session = session;
    this.#bitmaps.clear();
    this.#wanted = [];
  }

  get(frame) {
    return this.#bitmaps.get(frame);
  }

  has(frame) {
    return this.#bitmaps.has(frame);
  }

  get bytes() {
    return this.#bitmaps.bytes;
  }

  /** A frame is shown, and `direction`, 1 or -1, is where the next ones will be. */
  focus(frame, direction) {
    const { frames, width, height } = this.#session;
    const room = Math.max(0, Math.floor(KEPT_BYTES / (width * height * 4)) - 1); // beside the one that is shown
    const ahead = Math.min(AHEAD, Math.ceil(room * 0.75));
    const behind = Math.min(BEHIND, room - ahead);
    const order = [frame];
    for (let away = 1; away <= ahead; away += 1) {
      order.push(frame + away * direction);
      if (away <= behind) order.push(frame - away * direction);
    }
    this.#wanted = order.filter((n) => n >= 0 && n < frames && !this.#bitmaps.has(n));
    if (this.#wanted[0] === frame && !this.#loading.has(frame)) this.#load(frame); // at once, whatever is under way
    this.#fill();
  }

  #fill() {
    while (this.#loading.size < AT_ONCE && this.#wanted.length) {
      const frame = this.#wanted.shift();
      if (!this.#loading.has(frame) && !this.#bitmaps.has(frame)) this.#load(frame);
    }
  }

  async #load(frame) {
    const session = this.#session;
    const stop = new AbortController();
    this.#loading.set(frame, stop);
    try {
      const bitmap = await pictureOf(session.key, frame, null, stop.signal);
      if (session !== this.#session) {
        bitmap.close();
        return;
      }
      this.#bitmaps.set(frame, bitmap, bitmap.width * bitmap.height * 4);
      this.#arrived(frame);
    } catch (error) {
      this.#wanted = [];
      this.#failed(error);
    } finally {
      this.#loading.delete(frame);
      this.#fill();
    }
  }
}

/** A frame of a session as ImageBitmap, `width` pixels wide, null for its own size. */
export async function pictureOf(key, frame, width, signal) {
  const size = width === null ? "" : `width=${width}&`;
  const response = await fetch(`api/frames/${frame}?${size}v=${encodeURIComponent(key)}`, { signal });
  if (!response.ok) throw new Error(`frame ${frame} cannot be shown: the server answers ${response.status}`);
  return createImageBitmap(await response.blob());
}
