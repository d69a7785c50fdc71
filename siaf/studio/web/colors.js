/** Colours of objects, as they are shown on a picture. */

/** The palette of DAVIS and PASCAL VOC, as "#rrggbb": what an object has before anybody chooses. */
export function palette(tag) {
  const rgb = [0, 0, 0];
  for (let place = 0; place < 8; place += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      rgb[channel] |= ((tag >> (3 * place + channel)) & 1) << (7 - place);
    }
  }
  return `#${rgb.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** "#rrggbb" as [red, green, blue], dark ones as light as their hue gets: the palette's own vanish on a dark picture. */
export function shown(color) {
  const rgb = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  const most = Math.max(...rgb, 1);
  return most >= 200 ? rgb : rgb.map((part) => Math.round((0.78 * 255 * part) / most + 0.22 * 255));
}

/** A colour that can be told from `rgb`, for the `nth` other object that has the same: of a job, all with one label. */
export function apart(rgb, nth) {
  if (Math.max(...rgb) - Math.min(...rgb) < 30) return shown(palette(nth)); // grey has no hue to turn
  const [red, green, blue] = rgb;
  const turned = [rgb, [blue, red, green], [green, blue, red]][nth % 3];
  const white = Math.min(0.8, 0.5 * Math.floor(nth / 3));
  return turned.map((part) => Math.round(part + (255 - part) * white));
}

/** [red, green, blue] for CSS and canvas. */
export function css([red, green, blue], alpha = 1) {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}
