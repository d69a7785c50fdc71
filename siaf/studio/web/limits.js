/** Where masks are propagated: a range of frames, and barriers that nothing crosses. */

import { at, fill, frameChip } from "./dom.js";

export class Limits {
  #store;
  #actions;

  constructor({ store, actions, go }) {
    this.#store = store;
    this.#actions = actions;
    const [from, to] = [at("from"), at("to")];
    at("limits").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(Number(from.value), Number(to.value));
    });
    for (const field of [from, to]) field.addEventListener("change", () => at("limits").requestSubmit());
    at("all-frames").addEventListener("click", () => this.#send(null));
    at("barrier").addEventListener("click", () => this.#barrier(store.state.frame));
    store.on(["session", "frame", "holder"], () => this.#show(go));
  }

  /** From this frame on. */
  from(frame) {
    const [, end] = this.#store.state.session.within ?? [0, this.#store.state.session.frames];
    this.#send(frame, Math.max(frame, end - 1));
  }

  /** Up to this frame. */
  to(frame) {
    const [first] = this.#store.state.session.within ?? [0];
    this.#send(Math.min(first, frame), frame);
  }

  #send(first, last) {
    const { frames, barriers } = this.#store.state.session;
    const all = first === null || (first === 0 && last === frames - 1);
    const done = all ? "All frames are propagated to." : `Frames ${first} to ${last} are propagated to; the others keep what they have.`;
    return this.#actions.limit(all ? null : [first, last + 1], barriers, done);
  }

  #barrier(frame) {
    const { within, barriers } = this.#store.state.session;
    const there = barriers.includes(frame);
    const others = barriers.filter((one) => one !== frame);
    return this.#actions.limit(
      within,
      there ? others : [...others, frame].sort((a, b) => a - b),
      there ? `The barrier at frame ${frame} is gone.` : `Nothing crosses from frame ${frame - 1} to ${frame} any more.`,
    );
  }

  #show(go) {
    const { session, frame, holder } = this.#store.state;
    if (!session) return;
    const [first, end] = session.within ?? [0, session.frames];
    for (const [field, value] of [[at("from"), first], [at("to"), end - 1]]) {
      field.max = String(session.frames - 1);
      field.disabled = !holder;
      if (document.activeElement !== field) field.value = String(value);
    }
    at("all-frames").disabled = !holder || !session.within;
    const barrier = at("barrier");
    barrier.textContent = session.barriers.includes(frame) ? `Remove the barrier at ${frame}` : `Barrier before frame ${frame}`;
    barrier.disabled = !holder || frame === 0;
    fill(at("barriers"), session.barriers, () => session.barriers.map((one) => frameChip(one, go)));
  }
}
