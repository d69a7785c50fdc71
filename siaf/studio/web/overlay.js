/** Masks as pixels to lay over a frame: see-through inside, an outline around every object. */

import { boxOf, decodeInto } from "./rle.js";

const INSIDE = 105;
const OUTLINE = 240;

/**
 * The smallest rectangle that holds all masks, as {x, y, width, height, pixels: RGBA}; null without a pixel to show.
 * `colors`: [red, green, blue] by tag; a tag without a colour is hidden.
 */
export function overlayOf(masks, colors) {
  const shown = masks.filter(({ tag }) => colors[tag]);
  if (!shown.length) return null;
  const boxes = shown.map(({ rle }) => boxOf(rle));
  const x = Math.min(...boxes.map((box) => box[0]));
  const y = Math.min(...boxes.map((box) => box[1]));
  const width = Math.max(...boxes.map((box) => box[2])) - x + 1;
  const height = Math.max(...boxes.map((box) => box[3])) - y + 1;
  const labels = new Uint8Array(width * height);
  for (const { tag, rle } of shown) decodeInto(labels, width, x, y, rle, tag);
  return { x, y, width, height, pixels: colored(labels, width, height, colors) };
}

/** A label map as RGBA, Uint8ClampedArray. */
export function colored(labels, width, height, colors) {
  const pixels = new Uint8ClampedArray(width * height * 4);
  const words = new Uint32Array(pixels.buffer);
  const inside = new Uint32Array(256);
  const outline = new Uint32Array(256);
  for (const [tag, [red, green, blue]] of Object.entries(colors)) {
    const color = (blue << 16) | (green << 8) | red; // little-endian, as all that browsers run on
    inside[tag] = (color | (INSIDE << 24)) >>> 0;
    outline[tag] = (color | (OUTLINE << 24)) >>> 0;
  }
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const tag = labels[at];
      if (!tag) continue;
      const edge =
        (x > 0 && labels[at - 1] !== tag) ||
        (x + 1 < width && labels[at + 1] !== tag) ||
        (y > 0 && labels[at - width] !== tag) ||
        (y + 1 < height && labels[at + width] !== tag);
      words[at] = edge ? outline[tag] : inside[tag];
    }
  }
  return pixels;
}
