/**
 * CVAT's run lengths of a mask: runs inside a box, row by row, zeros first; then left, top, right, bottom, inclusive.
 * A label map is a Uint8Array, one tag for each pixel of the frame, row by row; 0 is background.
 */

/** The box of run lengths: [left, top, right, bottom], inclusive. */
export function boxOf(rle) {
  const n = rle.length;
  return [rle[n - 4], rle[n - 3], rle[n - 2], rle[n - 1]];
}

/** Write a mask's pixels into a part of a label map: of `width` columns, whose first pixel is (x0, y0) of the frame. */
export function decodeInto(labels, width, x0, y0, rle, tag) {
  const [left, top, right] = boxOf(rle);
  const across = right - left + 1;
  const runs = rle.length - 4;
  let at = 0;
  for (let i = 0; i < runs; i += 1) {
    let length = rle[i];
    if (i % 2 === 0) {
      at += length;
      continue;
    }
    while (length > 0) {
      const column = at % across;
      const take = Math.min(length, across - column);
      const start = (top - y0 + (at - column) / across) * width + left - x0 + column;
      labels.fill(tag, start, start + take);
      at += take;
      length -= take;
    }
  }
}

/** The run lengths of a tag in a label map of whole frames, as an array; null if it has no pixel. */
export function encode(labels, width, height, tag) {
  let left = width;
  let right = -1;
  let top = -1;
  let bottom = -1;
  for (let y = 0; y < height; y += 1) {
    const row = labels.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(tag);
    if (first < 0) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, first);
    right = Math.max(right, row.lastIndexOf(tag));
  }
  if (top < 0) return null;
  const rle = [];
  let inside = false;
  let length = 0;
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      if ((labels[y * width + x] === tag) !== inside) {
        rle.push(length);
        length = 0;
        inside = !inside;
      }
      length += 1;
    }
  }
  rle.push(length, left, top, right, bottom);
  return rle;
}

/** Masks, the later ones on top, as a label map of whole frames. */
export function labelMap(masks, width, height) {
  const labels = new Uint8Array(width * height);
  for (const { tag, rle } of masks) decodeInto(labels, width, 0, 0, rle, tag);
  return labels;
}

/** The masks of a label map, by ascending tag: [{tag, rle}]. */
export function masksOf(labels, width, height) {
  const seen = new Uint8Array(256);
  for (let i = 0; i < labels.length; i += 1) seen[labels[i]] = 1;
  const masks = [];
  for (let tag = 1; tag < 256; tag += 1) {
    if (seen[tag]) masks.push({ tag, rle: encode(labels, width, height, tag) });
  }
  return masks;
}
