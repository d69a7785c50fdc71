/** Lines as the hand drew them, and as they are shown. */

import { css } from "./colors.js";

/** Points without those that say nothing: closer than `step` pixels to the last one. The first and last stay. */
export function thinned(points, step) {
  const kept = [points[0]];
  for (const point of points.slice(1)) {
    const last = kept.at(-1);
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= step) kept.push(point);
  }
  const end = points.at(-1);
  if (points.length > 1 && kept.at(-1) !== end && (end[0] !== kept.at(-1)[0] || end[1] !== kept.at(-1)[1])) {
    kept.push(end);
  }
  return kept.map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
}

/** Within the frame's edges. */
export function inside([x, y], { width, height }) {
  return [Math.min(width - 0.01, Math.max(0, x)), Math.min(height - 0.01, Math.max(0, y))];
}

/**
 * Draw a stroke in a context whose unit is the frame's pixel, `scale` of the screen's. Negative ones are dashed with a
 * dark core; `faded`: one of an earlier round.
 */
export function drawStroke(context, { points, width, polarity }, color, scale, faded = false) {
  const wide = Math.max(width, 2.5 / scale);
  context.save();
  context.lineCap = "round";
  context.lineJoin = "round";
  context.globalAlpha = faded ? 0.45 : 1;
  const path = new Path2D();
  path.moveTo(...points[0]);
  for (const point of points.length > 1 ? points.slice(1) : [points[0]]) path.lineTo(...point);
  if (points.length === 1) {
    ring(context, points[0], Math.max(wide * 0.9, 5 / scale), color, polarity, scale);
  } else {
    context.lineWidth = wide + 2.5 / scale;
    context.strokeStyle = "rgb(0 0 0 / 0.55)";
    context.stroke(path);
    context.lineWidth = wide;
    context.strokeStyle = css(color);
    context.stroke(path);
    if (polarity === "negative") {
      context.lineWidth = Math.max(wide * 0.55, 1.5 / scale);
      context.setLineDash([0.1 / scale, wide * 1.6]);
      context.strokeStyle = "rgb(20 0 0)";
      context.stroke(path);
    }
  }
  context.restore();
}

/** A click: a disc with a plus or a minus. */
function ring(context, [x, y], radius, color, polarity, scale) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = css(color);
  context.fill();
  context.lineWidth = 1.5 / scale;
  context.strokeStyle = "rgb(0 0 0 / 0.7)";
  context.stroke();
  context.beginPath();
  context.moveTo(x - radius / 2, y);
  context.lineTo(x + radius / 2, y);
  if (polarity === "positive") {
    context.moveTo(x, y - radius / 2);
    context.lineTo(x, y + radius / 2);
  }
  context.strokeStyle = "rgb(0 0 0)";
  context.stroke();
}

/** A box around an object. */
export function drawBox(context, [left, top, right, bottom], color, scale) {
  context.save();
  context.lineWidth = 4 / scale;
  context.strokeStyle = "rgb(0 0 0 / 0.55)";
  context.strokeRect(left, top, right - left, bottom - top);
  context.lineWidth = 2 / scale;
  context.strokeStyle = css(color);
  context.setLineDash([8 / scale, 5 / scale]);
  context.strokeRect(left, top, right - left, bottom - top);
  context.restore();
}
