/** A map that holds so many bytes at most: what was not used for longest goes first. */

export class ByteLru {
  #entries = new Map();
  #bytes = 0;

  /** `dropped(value)` is called for what leaves the map: a bitmap has to be closed. */
  constructor(most, dropped = () => {}) {
    this.most = most;
    this.dropped = dropped;
  }

  get bytes() {
    return this.#bytes;
  }

  has(key) {
    return this.#entries.has(key);
  }

  get(key) {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key, value, bytes) {
    this.delete(key);
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.most || oldest === key) break;
      this.delete(oldest);
    }
  }

  delete(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    this.dropped(entry.value);
  }

  clear() {
    for (const key of [...this.#entries.keys()]) this.delete(key);
  }
}
