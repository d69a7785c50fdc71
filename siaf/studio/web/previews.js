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

  /** Ask again for a frame, after its drafts or what lies under them changed: first for a sketch, which comes sooner. */
  async refresh(frame) {
    const number = (this.#numbers.get(frame) ?? 0) + 1;
    this.#numbers.set(frame, number);
    const { strokes, boxes, masks } = this.#drafts.of(frame);
    if (masks || !(strokes.length || boxes.length)) {
      await this.#show(frame, number, masks);
      return;
    }
    try {
      const asked = { frame, strokes, boxes, elsewhere: this.#drafts.tagsBeside(frame) };
      const first = await this.#api.post("preview", { ...asked, sketch: true });
      if (!(await this.#show(frame, number, first.masks)) || !first.sketch) return;
      await this.#show(frame, number, (await this.#api.post("preview", asked)).masks);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Show masks, or that there are none, unless the frame was asked about again; whether they are shown. */
  async #show(frame, number, masks) {
    const overlay = masks?.length ? await this.#masks.decode(masks) : null;
    if (this.#numbers.get(frame) !== number) return false;
    if (masks) this.#shown.set(frame, { overlay, masks });
    else this.#shown.delete(frame);
    this.#arrived(frame);
    return true;
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
