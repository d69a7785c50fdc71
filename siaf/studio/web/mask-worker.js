/** Decodes masks to bitmaps, away from the page's own thread. */

import { overlayOf } from "./overlay.js";

addEventListener("message", async ({ data: { id, masks, colors } }) => {
  const found = overlayOf(masks, colors);
  if (!found) {
    postMessage({ id, overlay: null });
    return;
  }
  const { x, y, width, height, pixels } = found;
  const bitmap = await createImageBitmap(new ImageData(pixels, width, height));
  postMessage({ id, overlay: { x, y, bitmap } }, [bitmap]);
});
