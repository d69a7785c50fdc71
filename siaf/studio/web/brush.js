/** Painting masks by hand: a label map of the frame that brush and eraser change, and what to show of it. */

import { colored } from "./overlay.js";
import { labelMap, masksOf } from "./rle.js";

export class Brush {
  #labels;
  #canvas;
  #context;
  #colors;

  /** Begin with a frame's masks. `colors`: [red, green, blue] by tag. */
  constructor(masks, width, height, colors) {
    this.width = width;
    this.height = height;
    this.#labels = labelMap(masks, width, height);
    this.#colors = colors;
    this.#canvas = new OffscreenCanvas(width, height);
    this.#context = this.#canvas.getContext("2d");
    this.#show(0, 0, width, height);
  }

  /** The masks as a picture as large as the frame. */
  get picture() {
    return this.#canvas;
  }

  get masks() {
    return masksOf(this.#labels, this.width, this.height);
  }

  /** Draw from one point to another with a round brush: `tag`'s pixels are added, with `erase` taken away. */
  line([x0, y0], [x1, y1], diameter, tag, erase) {
    const radius = Math.max(0.5, diameter / 2);
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
    const right = Math.min(this.width - 1, Math.ceil(Math.max(x0, x1) + radius));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
    const bottom = Math.min(this.height - 1, Math.ceil(Math.max(y0, y1) + radius));
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy;
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) {
        // A pixel's middle is half a pixel from its corner.
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        if ((px - along * dx) ** 2 + (py - along * dy) ** 2 > radius * radius) continue;
        const at = y * this.width + x;
        if (!erase) this.#labels[at] = tag;
        else if (this.#labels[at] === tag) this.#labels[at] = 0;
      }
    }
    if (left <= right && top <= bottom) this.#show(left, top, right - left + 1, bottom - top + 1);
  }

  /** Paint a rectangle anew; outlines reach one pixel further than what changed. */
  #show(x, y, width, height) {
    const left = Math.max(0, x - 2);
    const top = Math.max(0, y - 2);
    const across = Math.min(this.width, x + width + 2) - left;
    const down = Math.min(this.height, y + height + 2) - top;
    const part = new Uint8Array(across * down);
    for (let row = 0; row < down; row += 1) {
      const start = (top + row) * this.width + left;
      part.set(this.#labels.subarray(start, start + across), row * across);
    }
    this.#context.putImageData(new ImageData(colored(part, across, down, this.#colors), across, down), left, top);
  }
}
