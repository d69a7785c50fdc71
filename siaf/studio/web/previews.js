/** What drafts on a frame would give: the model's answer to strokes and boxes, or the masks that were painted. */

export class Previews {
  #shown = new Map();
  #numbers = new Map();
  #api;
  #drafts;
  #masks;
  #arrived;
  #failed;

  /** `arrived(frame)` after a preview came or went; `failed(error)` when one could not be had. */
  constructor(api, drafts, masks, arrived, failed) {
    this.#api = api;
    this.#drafts = drafts;
    this.#masks = masks;
    this.#arrived = arrived;
    this.#failed = failed;
  }

  /** {overlay, masks} of a frame, if there is one. */
  get(frame) {
    return this.#shown.get(frame);
  }

  /** Ask again for a frame, after its drafts or what lies under them changed. */
  async refresh(frame) {
    const number = (this.#numbers.get(frame) ?? 0) + 1;
    this.#numbers.set(frame, number);
    const { strokes, boxes, masks } = this.#drafts.of(frame);
    let found = masks;
    if (!masks && (strokes.length || boxes.length)) {
      try {
        const elsewhere = this.#drafts.tagsBeside(frame);
        found = (await this.#api.post("preview", { frame, strokes, boxes, elsewhere })).masks;
      } catch (error) {
        this.#failed(error);
        return;
      }
    }
    const overlay = found?.length ? await this.#masks.decode(found) : null;
    if (this.#numbers.get(frame) !== number) return;
    if (found) this.#shown.set(frame, { overlay, masks: found });
    else this.#shown.delete(frame);
    this.#arrived(frame);
  }

  /** Ask for one that is missing. */
  need(frame) {
    if (!this.#shown.has(frame) && this.#drafts.frames.includes(frame)) this.refresh(frame);
  }

  /** Forget those of frames that a round took. */
  drop(frames) {
    for (const frame of frames) {
      this.#numbers.set(frame, (this.#numbers.get(frame) ?? 0) + 1);
      this.#shown.delete(frame);
    }
  }

  /** Forget all: what lies under them is another. */
  clear() {
    this.drop([...this.#shown.keys(), ...this.#numbers.keys()]);
  }
}
