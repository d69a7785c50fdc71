/** Lines that tell how things stand: the status line, the banner over the stage, progress, what is saved. */

import { ALL_DONE, count } from "./actions.js";
import { at, make } from "./dom.js";

/** A function say(text, kind) that shows a line and has it read out. */
export function statusLine(line) {
  return (text, kind = "done") => {
    line.className = kind;
    line.textContent = text;
  };
}

/** "1 min 20 s" */
export function lasting(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Keep the buttons, the progress and the banner as the store says. `run(command)` does what a button says. */
export function standing({ store, drafts, run, takeOver, say }) {
  const [commit, propagate, stop, undo] = ["commit", "propagate", "stop", "undo-round"].map((id) => at(id));
  for (const button of [commit, propagate, stop, undo]) button.addEventListener("click", () => run(button.id));
  let told = null;

  store.on(["session", "drafts", "propagation", "busy", "holder", "link"], ({ session, propagation, busy, holder, link }) => {
    if (!session) return;
    const open = drafts.frames.length;
    const { running, done, total } = propagation;
    const able = holder && link === "ok" && !busy;
    commit.disabled = !able || !open;
    at("commit-count").textContent = open ? count(open, "frame") : "";
    stop.hidden = !running;
    propagate.hidden = running;
    propagate.disabled = !able || (!session.rounds && !open);
    at("propagate-text").textContent = !running && done > 0 && done < total ? "Go on" : "Propagate";
    undo.disabled = !able || !session.rounds;
    at("rounds").textContent = count(session.rounds, "round");
  });

  store.on(["propagation", "busy"], ({ propagation, busy }) => {
    const { running, done, total, seconds_left: left, adapting, error } = propagation;
    const bar = at("bar");
    at("progress").hidden = !total || (!running && !done) || busy === "commit";
    bar.max = Math.max(1, total);
    bar.value = done;
    const time = left === null || left === undefined ? "" : `, about ${lasting(left)} left`;
    at("progress-text").textContent = adapting
      ? "Fitting the model to your masks …"
      : running
        ? `${done} of ${total} frames${time}`
        : done < total
          ? `Stopped at ${done} of ${total} frames`
          : "All frames are done";
    if (error && error !== told) say(`Propagation stopped: ${error}`, "error");
    else if (told === "running" && !running && done === total && total) say(ALL_DONE, "done");
    told = running ? "running" : error;
  });

  store.on(["saved", "session"], ({ saved, session }) => {
    if (!saved || !session) return;
    const place = at("saved");
    place.className = saved.error ? "error" : "";
    place.textContent = saved.error ? "Not saved" : session.rounds ? "Saved" : "";
    place.title = saved.error ? `${saved.path}: ${saved.error}. It is kept in memory and tried again.` : saved.path;
    if (saved.error) say(`The session could not be saved (${saved.error}). It is kept in memory and tried again; make room.`, "error");
  });

  store.on(["holder", "link", "linkText", "session"], ({ holder, link, linkText, session }) => {
    const banner = at("banner");
    const text = link !== "ok" ? linkText : session && !holder ? "Another tab works on this session. This one only shows it." : "";
    banner.hidden = !text;
    if (banner.dataset.text === text) return;
    banner.dataset.text = text;
    const button = link === "ok" ? make("button", { type: "button", id: "take-over", onclick: takeOver }, "Take over") : null;
    const again = link === "page" ? make("button", { type: "button", onclick: () => location.reload() }, "Reload") : null;
    banner.replaceChildren(...[make("span", {}, text), button, again].filter(Boolean));
  });
}
