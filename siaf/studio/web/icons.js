/** Pictures on buttons, 20 × 20, drawn in the text's colour. */

const PATHS = {
  scribble: '<path d="M3 14c2-7 4-9 5-8s-2 6 0 7 4-5 6-4 0 4 3 4"/>',
  click: '<circle cx="10" cy="10" r="2.2" fill="currentColor" stroke="none"/><path d="M10 2v4M10 14v4M2 10h4M14 10h4"/>',
  box: '<rect x="3" y="4.5" width="14" height="11" stroke-dasharray="2.6 1.8"/>',
  brush: '<path d="M16.5 3.5 9.5 10.5M8.6 10.2c1 .2 1.8 1 1.9 2C9.6 16 6 17 3 16.200c1.6-1 1.5-2.2 2-3.8.5-1.5 2-2.5 3.6-2.200z"/>',
  eraser: '<path d="m3.5 12.5 8-8.5 5 4.7-7.5 8H6.500zM7.5 8.300l5 4.700M9 16.700h7.5"/>',
  negative: '<circle cx="10" cy="10" r="7"/><path d="M6.5 10h7"/>',
  accept: '<circle cx="10" cy="10" r="7"/><path d="m6.500 10.300 2.500 2.500 4.500-5"/>',
  undo: '<path d="M4 8h8a4 4 0 0 1 0 8H8M4 8l3.5-3.500M4 8l3.5 3.5"/>',
  redo: '<path d="M16 8H8a4 4 0 0 0 0 8h4M16 8l-3.5-3.500M16 8l-3.5 3.5"/>',
  thinner: '<path d="M5 10h10"/>',
  thicker: '<path d="M5 10h10M10 5v10"/>',
  fit: '<path d="M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4"/><rect x="6.5" y="7" width="7" height="6"/>',
  play: '<path d="M6 3.800v12.400L16 10z" fill="currentColor"/>',
  pause: '<path d="M7 4v12M13 4v12" stroke-width="2.6"/>',
  previous: '<path d="M12.5 4.5 7 10l5.5 5.5"/>',
  next: '<path d="M7.5 4.5 13 10l-5.5 5.5"/>',
  "back-ten": '<path d="M10.5 4.5 5 10l5.5 5.500M15.5 4.5 10 10l5.5 5.5"/>',
  "forward-ten": '<path d="M4.5 4.5 10 10l-5.5 5.500M9.5 4.5 15 10l-5.5 5.5"/>',
  first: '<path d="M5 4.500v11M15 4.5 9 10l6 5.500z"/>',
  last: '<path d="M15 4.500v11M5 4.5 11 10l-6 5.500z"/>',
  suggested: '<path d="M10 2.800a5 5 0 0 0-2.6 9.300V14h5.200v-1.900A5 5 0 0 0 10 2.800zM8 17h4"/>',
  compare: '<rect x="3" y="4.5" width="14" height="11"/><path d="M10 2.500v15M3 12l4-3.5 3 2.7" /><path d="M10 4.500h7v11h-7z" fill="currentColor" fill-opacity=".35" stroke="none"/>',
  eye: '<path d="M1.8 10S4.8 4.8 10 4.8 18.2 10 18.2 10 15.2 15.2 10 15.2 1.8 10 1.8 10z"/><circle cx="10" cy="10" r="2.4"/>',
  "eye-off": '<path d="M4 6.600A14 14 0 0 0 1.8 10s3 5.2 8.2 5.200a8 8 0 0 0 3-.6M7 5.300a8 8 0 0 1 3-.5c5.2 0 8.2 5.2 8.2 5.200a14 14 0 0 1-2.4 3M3 3l14 14"/>',
  solo: '<circle cx="10" cy="10" r="6.5"/><circle cx="10" cy="10" r="2.5" fill="currentColor"/>',
  more: '<g fill="currentColor" stroke="none"><circle cx="4.5" cy="10" r="1.5"/><circle cx="10" cy="10" r="1.5"/><circle cx="15.5" cy="10" r="1.5"/></g>',
  plus: '<path d="M10 4v12M4 10h12"/>',
  help: '<path d="M7.2 7.300A2.8 2.8 0 1 1 10 10.500V12"/><circle cx="10" cy="15.2" r=".9" fill="currentColor" stroke="none"/>',
  download: '<path d="M10 3v9M6 8.500l4 4 4-4M3.5 16.500h13"/>',
  commit: '<path d="m4 10.5 4 4 8-9"/>',
  propagate: '<path d="M2.5 6v8M6 4.500v11M10 10h7M14 6.5 17.5 10 14 13.5"/>',
  stop: '<rect x="5" y="5" width="10" height="10" fill="currentColor"/>',
};

/** An icon as an SVG element; decoration, as its button has a label. */
export function icon(name) {
  const holder = document.createElement("template");
  holder.innerHTML = `<svg viewBox="0 0 20 20" aria-hidden="true" focusable="false">${PATHS[name]}</svg>`;
  return holder.content.firstElementChild;
}
