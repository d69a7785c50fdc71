/** The line at the top: the clip's name, export, CVAT, help. */

import { at, iconButton } from "./dom.js";

const NAMES = {
  davis: "DAVIS: palette PNGs",
  overlay: "Video with the masks (mp4)",
  cvat: "CVAT for video 1.1",
  coco: "COCO with track ids",
  "youtube-vis": "YouTube-VIS",
  mots: "MOTS",
  matte: "Alpha PNG for each object",
  siaf: "SIAF session",
};

/** Fill it. `parts`: {store, actions, dialogs, run}. */
export function header({ store, actions, dialogs, run }) {
  const help = iconButton("help", "Keys", () => run("help"), { command: "help" });
  at("top").append(help);
  const button = at("export");
  button.addEventListener("click", () => {
    const { session } = store.state;
    dialogs.menu(button, session.formats.map((name) => [NAMES[name] ?? name, session.rounds > 0, () => actions.download(name)]));
  });
  const write = at("write");
  write.addEventListener("click", async () => {
    const lines = await actions.write();
    if (lines) await dialogs.tell("Written to CVAT", lines.length ? lines : ["Nothing had changed."]);
  });
  store.on(["session", "holder", "busy", "writing", "drafts"], ({ session, holder, busy, writing }) => {
    if (!session) return;
    document.title = `${session.name} – SIAF studio`;
    at("clip").textContent = session.name;
    at("clip").title = `${session.frames} frames, ${session.width} × ${session.height}, ${session.model}, siaf ${session.version}`;
    button.disabled = !session.formats.length;
    const { job } = session;
    at("job").hidden = write.hidden = !job;
    if (!job) return;
    at("job").textContent = `CVAT job ${job.id}`;
    at("job").href = job.url;
    write.disabled = !holder || Boolean(busy) || writing || job.read_only || !session.rounds;
    write.title = job.read_only ? "You may not write to this job" : job.written_at ? `Written last ${new Date(job.written_at).toLocaleString()}` : "";
  });
}
