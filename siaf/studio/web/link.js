/** The link to the studio: opens the session, holds the desk, hears of progress, and comes back when it was away. */

import { Gone, Refused } from "./api.js";

const PAGE = 1; // the contract's number: a server of another one needs another page
const RUNNING_MS = 300;
const IDLE_MS = 5000;
const AWAY_MS = 1000;

export class Link {
  #api;
  #store;
  #opened;
  #changed;
  #progressed;
  #after = 0;
  #timer = null;
  #polling = false;
  #overtaken = false; // something was done while an answer was on its way: it tells of the time before

  /**
   * `opened(session)`: a session is shown for the first time. `changed(before, after)`: it is another.
   * `progressed(frames)`: masks of these frames are new.
   */
  constructor(api, store, { opened, changed, progressed }) {
    this.#api = api;
    this.#store = store;
    this.#opened = opened;
    this.#changed = changed;
    this.#progressed = progressed;
    document.addEventListener("visibilitychange", () => this.#visible());
  }

  /** Open the session, or come back to it. */
  async open() {
    try {
      const session = await this.#api.get("session");
      if (session.page !== PAGE) return this.#lost("page", "The studio is of another version: reload this page.");
      const known = this.#store.state.session;
      if (known && known.key !== session.key) {
        return this.#lost("page", "The studio shows another clip now: reload this page. Your drafts stay in this browser.");
      }
      const { holder } = await this.#api.post("hold", { tab: this.#api.tab, take: false });
      this.#store.set({ holder, link: "ok", linkText: "" });
      this.take(session);
      this.soon(0);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Take over the desk from another tab. */
  async takeOver() {
    const { holder } = await this.#api.post("hold", { tab: this.#api.tab, take: true });
    this.#store.set({ holder });
    await this.reload();
  }

  /** See the session as it is now. */
  async reload() {
    this.take(await this.#api.get("session"));
  }

  /** Show a session that an answer brought. */
  take(session) {
    const before = this.#store.state.session;
    this.#store.set({ session, propagation: session.propagation, saved: session.saved });
    if (before === null) {
      this.#opened(session);
    } else if (otherWork(before, session)) {
      this.#after = 0;
      this.#overtaken = this.#polling;
      this.#store.set({ fresh: new Set() });
      this.#changed(before, session);
    }
  }

  /** Ask for progress in so many milliseconds. */
  soon(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#poll(), ms);
  }

  /** The server did not answer a call. Everything goes on when it is back. */
  away() {
    if (this.#store.state.link === "page") return;
    this.#store.set({
      link: "gone",
      linkText: "The studio does not answer. Your drafts are safe in this browser. Start the studio again; this page goes on by itself.",
    });
    this.soon(AWAY_MS);
  }

  async #poll() {
    if (this.#polling) {
      this.#overtaken = true;
      return;
    }
    this.#polling = true;
    this.#overtaken = false;
    try {
      const { link } = this.#store.state;
      if (link === "page") return;
      if (link !== "ok") {
        await this.open();
        return;
      }
      const { revision, propagation, done, suggested, shrunk, saved, holder, writing } = await this.#api.get(
        `progress?after=${this.#after}`,
      );
      if (this.#overtaken) return;
      this.#hear(done, { suggested, shrunk });
      this.#store.set({ propagation, saved, writing: Boolean(writing) });
      if (this.#store.state.holder && !holder) this.#store.set({ holder: false });
      if (!holder && document.visibilityState === "visible") await this.#ask();
      if (revision !== this.#store.state.session.revision) await this.reload();
      this.soon(propagation.running ? RUNNING_MS : IDLE_MS);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#polling = false;
      if (this.#overtaken) this.soon(0);
    }
  }

  /** The desk may have become free: its tab was closed. */
  async #ask() {
    const { holder } = await this.#api.post("hold", { tab: this.#api.tab, take: false });
    if (!holder) return;
    this.#store.set({ holder });
    await this.reload();
  }

  #hear(done, news) {
    const { session, fresh } = this.#store.state;
    const known = { suggested: session.suggested, shrunk: session.shrunk };
    if (!done.length && JSON.stringify(known) === JSON.stringify(news)) return;
    const stats = done.length ? { ...session.stats, ...Object.fromEntries(done) } : session.stats;
    this.#store.set({ session: { ...session, ...news, stats } });
    if (!done.length) return;
    this.#after += done.length;
    const frames = done.map(([frame]) => frame);
    this.#store.set({ fresh: new Set([...fresh, ...frames]) });
    this.#progressed(frames);
  }

  #failed(error) {
    if (error instanceof Gone) {
      this.away();
    } else if (error instanceof Refused) {
      this.#store.set({ link: "refused", linkText: `The studio says: ${error.message}` });
      this.soon(IDLE_MS);
    } else {
      throw error;
    }
  }

  #lost(link, linkText) {
    this.#store.set({ link, linkText });
    return false;
  }

  #visible() {
    if (document.visibilityState === "visible" && this.#store.state.session) this.soon(0);
  }
}

/** Whether people did something between two states of a session; frames that were propagated are no such thing. */
function otherWork(a, b) {
  const said = ({ rounds, objects, strokes, references, barriers, within, interacted }) =>
    JSON.stringify([rounds, objects.map((one) => one.tag), strokes.length, references, barriers, within, interacted]);
  return a !== b && said(a) !== said(b);
}
