/** What a labeler does with the session: rounds, propagation, edits. Every refusal is told, and loses no draft. */

import { Gone, Refused } from "./api.js";

export class Actions {
  #api;
  #store;
  #drafts;
  #link;
  #previews;
  #masks;
  #say;

  /** `say(text, kind)` tells the labeler: kind "done", "hint" or "error". */
  constructor({ api, store, drafts, link, previews, masks, say }) {
    this.#api = api;
    this.#store = store;
    this.#drafts = drafts;
    this.#link = link;
    this.#previews = previews;
    this.#masks = masks;
    this.#say = say;
  }

  /** Commit all drafts of all frames together. */
  async commit() {
    const { state } = this.#store;
    const body = { revision: state.session.revision, ...this.#drafts.round() };
    if (!body.scribbles.length && !body.boxes.length && !body.references.length) {
      this.#say("Draw first: a line on each object, on as many frames as you like. Then press Enter.", "hint");
      return false;
    }
    return this.#busy("commit", async () => {
      this.#drafts.send(body);
      return this.#send(body);
    });
  }

  /** Send a round whose answer was lost once more: the studio takes it once only. */
  async resend() {
    const { sent } = this.#drafts;
    if (!sent || !this.#store.state.holder) return;
    await this.#busy("commit", () => this.#send(sent.body));
  }

  async #send(body) {
    let reply;
    try {
      reply = await this.#api.post("rounds", body);
    } catch (error) {
      if (!(error instanceof Gone)) this.#drafts.refused();
      throw error;
    }
    const frames = reply.frames.map(({ frame }) => frame);
    this.#drafts.taken();
    this.#previews.drop(frames);
    await this.#link.reload();
    for (const { frame, masks } of reply.frames) this.#masks.put(frame, "drawn", masks);
    this.#say(`Round ${reply.round}: ${count(frames.length, "frame")} done.${this.#further()}`, "done");
    return true;
  }

  /** Propagate, or go on; drafts are committed first. */
  async propagate() {
    if (this.#drafts.frames.length && !(await this.commit())) return;
    const { state } = this.#store;
    if (!state.session.rounds) {
      this.#say("Draw on an object first; then there is something to propagate.", "hint");
      return;
    }
    await this.#busy("propagate", async () => {
      const { propagation } = await this.#api.post("propagate", { revision: state.session.revision });
      this.#store.set({ propagation });
      this.#link.soon(0);
      if (propagation.running) this.#say("Propagating, nearest frames first. You can draw meanwhile.", "done");
      else this.#say(ALL_DONE, "done"); // there was nothing left to do
    });
  }

  async stop() {
    await this.#busy("stop", async () => {
      const { propagation } = await this.#api.post("stop");
      this.#store.set({ propagation });
      this.#link.soon(0);
      this.#say(`Stopped; ${propagation.done} of ${propagation.total} frames are done and kept.`, "done");
    });
  }

  async undoRound() {
    const { session } = this.#store.state;
    if (!session.rounds) {
      this.#say("There is no round to take back.", "hint");
      return;
    }
    await this.#busy("undo", async () => {
      this.#link.take(await this.#api.post("undo", { revision: session.revision }));
      this.#say(`Round ${session.rounds} is taken back.${this.#further()}`, "done");
    });
  }

  /** Change objects: `change` is the body of api/objects without its revision; `done` is what to say then. */
  async edit(change, done) {
    const { revision } = this.#store.state.session;
    return this.#busy("edit", async () => {
      this.#link.take(await this.#api.post("objects", { revision, ...change }));
      this.#say(done, "done");
      return true;
    });
  }

  /** Where masks are propagated: `within` [first, one after the last] or null; `barriers`: first frames of parts. */
  async limit(within, barriers, done) {
    const { revision } = this.#store.state.session;
    await this.#busy("limits", async () => {
      this.#link.take(await this.#api.put("limits", { revision, within, barriers }));
      this.#say(done, "done");
    });
  }

  /** Save the masks as a file of a format. */
  async download(format) {
    await this.#busy("export", async () => {
      this.#say(`Writing ${format} …`, "done");
      const { name, blob } = await this.#api.file(`export/${format}`);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      const open = this.#drafts.frames.length;
      this.#say(`${name} is saved.${open ? ` Drafts on ${count(open, "frame")} are not in it: commit them first.` : ""}`, "done");
    });
  }

  /** Write the masks to CVAT; the report's lines, null if that failed. */
  async write() {
    return this.#busy("write", async () => {
      this.#say("Writing to CVAT …", "done");
      const { lines } = await this.#api.post("write");
      this.#say("Written to CVAT.", "done");
      await this.#link.reload();
      return lines;
    });
  }

  /** Tell of an error of a call. */
  async fail(error) {
    if (error instanceof Gone) {
      this.#link.away();
    } else if (!(error instanceof Refused)) {
      this.#say(`This page has a fault: ${error.message}`, "error");
      throw error;
    } else if (error.code === "stale") {
      this.#say("The session changed elsewhere; you see it as it is now. Your drafts are kept: look, then commit again.", "error");
      await this.#link.reload().catch((again) => this.fail(again));
    } else if (error.status === 423) {
      this.#store.set({ holder: false });
      this.#say("Another tab works on this session. Your drafts are kept; take over to go on here.", "error");
    } else if (error.code !== "replaced") {
      this.#say(error.message, "error");
    }
  }

  /** What is left to propagate, as a sentence. */
  #further() {
    const { done, total } = this.#store.state.propagation;
    return total > done ? ` Shift+Enter takes it to ${count(total - done, "more frame")}.` : "";
  }

  /** Do one thing at a time; false or null if it failed. */
  async #busy(what, work) {
    if (this.#store.state.link !== "ok") {
      this.#say(this.#store.state.linkText, "error");
      return false;
    }
    if (this.#store.state.busy) {
      this.#say("One moment: the last step is not finished.", "hint");
      return false;
    }
    this.#store.set({ busy: what });
    try {
      return await work();
    } catch (error) {
      await this.fail(error);
      return false;
    } finally {
      this.#store.set({ busy: null });
    }
  }
}

/** What is said when a propagation has come to its end. */
export const ALL_DONE = "All frames are done. G takes you to a frame that is worth a look.";

/** A number with its noun. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
