/** Plays the clip: each frame as soon as its time has come and its picture is there. */

const USUAL_FPS = 25;

export class Player {
  #store;
  #pictures;
  #go;
  #due = 0;

  constructor(store, pictures, go) {
    this.#store = store;
    this.#pictures = pictures;
    this.#go = go;
  }

  toggle() {
    const { playing, frame, session } = this.#store.state;
    if (playing) {
      this.pause();
      return;
    }
    if (frame === session.frames - 1) this.#go(0);
    this.#store.set({ playing: true });
    this.#due = performance.now() + this.#interval;
    requestAnimationFrame((now) => this.#tick(now));
  }

  pause() {
    this.#store.set({ playing: false });
  }

  get #interval() {
    return 1000 / (this.#store.state.session.fps || USUAL_FPS);
  }

  #tick(now) {
    const { playing, frame, session } = this.#store.state;
    if (!playing) return;
    if (now >= this.#due && this.#pictures.has(frame + 1)) {
      this.#go(frame + 1, { playing: true });
      this.#due = Math.max(this.#due + this.#interval, now);
      if (frame + 1 === session.frames - 1) this.pause();
    }
    requestAnimationFrame((next) => this.#tick(next));
  }
}
