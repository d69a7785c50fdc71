/** What the page shows, in one place, and who wants to know of changes. */

/**
 * A store: `state` may be read by all and is changed by `set` only. Listeners hear of all changes of one task together,
 * once, before the browser paints.
 */
export function createStore(initial) {
  const state = { ...initial };
  const listeners = [];
  let changed = null;

  function tell() {
    const keys = changed;
    changed = null;
    for (const { names, listener } of listeners) {
      if (names.some((name) => keys.has(name))) listener(state, keys);
    }
  }

  return {
    state,
    /** Change some of it; what is the same object or value as before is no change. */
    set(patch) {
      for (const [name, value] of Object.entries(patch)) {
        if (!(name in state)) throw new Error(`the store has no ${name}`);
        if (Object.is(state[name], value)) continue;
        state[name] = value;
        if (changed === null) {
          changed = new Set();
          queueMicrotask(tell);
        }
        changed.add(name);
      }
    },
    /** Call `listener(state, changed names)` after any of `names` changed. */
    on(names, listener) {
      listeners.push({ names, listener });
    },
  };
}
