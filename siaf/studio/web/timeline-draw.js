/** How the timeline is painted: thumbnails, what was drawn where, how far masks have come, and graphs by object. */

import { css } from "./colors.js";

export const THUMBS = 42;
const MARKS = 14;
const DONE = 5;
export const GRAPH = 22;
const GAP = 3;

/** Its height in pixels for so many objects. */
export function heightFor(objects) {
  return THUMBS + MARKS + DONE + GAP + objects * (GRAPH + GAP);
}

/** Frame → x of its left edge. */
export function xOf(frame, frames, width) {
  return (frame / frames) * width;
}

/** x → frame. */
export function frameAt(x, frames, width) {
  return Math.min(frames - 1, Math.max(0, Math.floor((x / width) * frames)));
}

/**
 * Paint all but the cursor. `what`: {session, drafts: frames, fresh: Set, objects: [{tag, color: [r,g,b]}], thumbs: [{frame,
 * bitmap}], theme: {line, text, faint, accent, warn, back}}.
 */
export function paint(context, width, height, what) {
  const { session, theme } = what;
  context.fillStyle = theme.back;
  context.fillRect(0, 0, width, height);
  paintThumbs(context, width, what);
  paintLimits(context, width, height, what);
  paintMarks(context, width, what);
  paintDone(context, width, what);
  let top = THUMBS + MARKS + DONE + GAP;
  for (const one of what.objects) {
    paintGraph(context, width, top, one, what);
    top += GRAPH + GAP;
  }
}

/** Mark the frame that is shown. */
export function paintCursor(context, width, height, frame, frames, accent) {
  const step = Math.max(1, width / frames);
  const x = xOf(frame, frames, width);
  context.fillStyle = css([255, 255, 255], 0.14);
  context.fillRect(x, 0, step, height);
  context.fillStyle = accent;
  context.fillRect(Math.round(x + step / 2) - 1, 0, 2, height);
}

function paintThumbs(context, width, { session, thumbs }) {
  const slot = width / Math.max(1, thumbs.length);
  const wide = (THUMBS * session.width) / session.height;
  thumbs.forEach(({ bitmap }, i) => {
    if (!bitmap) return;
    context.save();
    context.beginPath();
    context.rect(i * slot, 0, slot - 1, THUMBS);
    context.clip();
    context.drawImage(bitmap, i * slot + (slot - Math.max(slot, wide)) / 2, 0, Math.max(slot, wide), Math.max(THUMBS, (slot * session.height) / session.width));
    context.restore();
  });
}

/** What lies outside the range is dimmed; barriers are lines. */
function paintLimits(context, width, height, { session, theme }) {
  const { within, barriers, frames } = session;
  if (within) {
    context.fillStyle = css([0, 0, 0], 0.55);
    context.fillRect(0, 0, xOf(within[0], frames, width), height);
    context.fillRect(xOf(within[1], frames, width), 0, width, height);
  }
  context.fillStyle = theme.warn;
  for (const frame of barriers) {
    const x = Math.round(xOf(frame, frames, width));
    for (let y = 0; y < height; y += 6) context.fillRect(x - 1, y, 2, 4);
  }
}

/** Rounds as numbered ticks, drafts as open ones, suggestions as triangles. */
function paintMarks(context, width, { session, drafts, theme }) {
  const middle = (frame) => xOf(frame + 0.5, session.frames, width);
  const y = THUMBS + MARKS / 2;
  context.font = "9px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  let free = -Infinity;
  for (const [name, rounds] of Object.entries(session.interacted)) {
    const x = middle(Number(name));
    context.fillStyle = theme.text;
    if (x - free > 13) {
      context.beginPath();
      context.arc(x, y, 6, 0, 2 * Math.PI);
      context.fill();
      context.fillStyle = theme.back;
      context.fillText(String(rounds.at(-1)), x, y + 0.5);
      free = x;
    } else {
      context.fillRect(x - 1, y - 5, 2, 10);
    }
  }
  for (const frame of drafts) {
    context.beginPath();
    context.arc(middle(frame), y, 5.5, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.strokeStyle = theme.accent;
    context.stroke();
  }
  context.fillStyle = theme.warn;
  for (const frame of session.suggested) {
    const x = middle(frame);
    context.beginPath();
    context.moveTo(x - 5, y - 5);
    context.lineTo(x + 5, y - 5);
    context.lineTo(x, y + 4);
    context.fill();
  }
}

/** A bar: frames of this round, and fainter those whose masks are of an earlier one. */
function paintDone(context, width, { session, fresh, theme }) {
  const y = THUMBS + MARKS;
  const step = Math.max(1, width / session.frames);
  context.fillStyle = theme.line;
  context.fillRect(0, y, width, DONE - 1);
  for (const name of Object.keys(session.stats)) {
    const frame = Number(name);
    const now = fresh.has(frame) || frame in session.interacted;
    context.fillStyle = now ? theme.accent : theme.faint;
    context.fillRect(xOf(frame, session.frames, width), y, step + 0.5, DONE - 1);
  }
}

/** An object's area as a filled curve, and how sure the model is as a line: from 50 % or less at the bottom to 100 %. */
function paintGraph(context, width, top, { tag, color }, { session, theme }) {
  context.fillStyle = theme.line;
  context.globalAlpha = 0.4;
  context.fillRect(0, top, width, GRAPH);
  context.globalAlpha = 1;
  const found = [];
  for (const [name, stats] of Object.entries(session.stats)) {
    const own = stats.find(([each]) => each === tag);
    if (own) found.push([Number(name), own[1], own[2]]);
  }
  const most = found.reduce((largest, [, area]) => Math.max(largest, area), 1);
  const step = Math.max(1, width / session.frames);
  context.fillStyle = css(color, 0.45);
  context.beginPath(); // one path: neighbours that overlap leave no seam
  for (const [frame, area] of found) {
    const high = (area / most) * (GRAPH - 2);
    context.rect(xOf(frame, session.frames, width), top + GRAPH - high, step + 0.5, high);
  }
  context.fill();
  context.strokeStyle = css(color);
  context.lineWidth = 1.5;
  context.beginPath();
  let last = null;
  for (const [frame, , sure] of found) {
    if (sure === null) {
      last = null;
      continue;
    }
    const x = xOf(frame + 0.5, session.frames, width);
    const y = top + 1 + Math.min(1, 2 - 2 * sure) * (GRAPH - 2);
    if (last === frame - 1) context.lineTo(x, y);
    else {
      context.moveTo(x - step / 2, y);
      context.lineTo(x, y);
    }
    last = frame;
  }
  context.stroke();
}
