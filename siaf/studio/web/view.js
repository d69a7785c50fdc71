/** Where the frame lies on the stage: `scale` stage pixels for each of its own, its corner at (x, y). */

const CLOSEST = 40;
const MARGIN = 12;

/** The whole frame, in the middle. */
export function fitted(stage, frame) {
  const scale = Math.max(
    0.01,
    Math.min((stage.width - 2 * MARGIN) / frame.width, (stage.height - 2 * MARGIN) / frame.height),
  );
  return {
    scale,
    x: (stage.width - frame.width * scale) / 2,
    y: (stage.height - frame.height * scale) / 2,
    fit: true,
  };
}

/** Closer by `factor`, the frame's pixel under (x, y) staying there; not farther than half of what fits. */
export function zoomed(view, factor, x, y, stage, frame) {
  const farthest = fitted(stage, frame).scale / 2;
  const scale = Math.min(CLOSEST, Math.max(farthest, view.scale * factor));
  const grown = scale / view.scale;
  return kept({ scale, x: x - (x - view.x) * grown, y: y - (y - view.y) * grown, fit: false }, stage, frame);
}

/** Moved by so many stage pixels. */
export function moved(view, dx, dy, stage, frame) {
  return kept({ ...view, x: view.x + dx, y: view.y + dy, fit: false }, stage, frame);
}

/** A stage position as [x, y] in the frame's pixels. */
export function toFrame(view, x, y) {
  return [(x - view.x) / view.scale, (y - view.y) / view.scale];
}

/** Some of the frame always stays in sight. */
function kept(view, stage, frame) {
  const least = 48;
  return {
    ...view,
    x: Math.min(stage.width - least, Math.max(least - frame.width * view.scale, view.x)),
    y: Math.min(stage.height - least, Math.max(least - frame.height * view.scale, view.y)),
  };
}
