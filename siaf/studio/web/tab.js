/** What this tab of the browser calls itself: the same after a reload, another in a copy of the tab. */

import { freshId } from "./ids.js";

const KEY = "siaf-tab";

/** The tab's name. It lies in the tab's storage between two pages only, so that a copied tab does not find it. */
export function tabName() {
  const name = sessionStorage.getItem(KEY) ?? freshId();
  const forget = () => sessionStorage.removeItem(KEY);
  forget();
  addEventListener("pagehide", () => sessionStorage.setItem(KEY, name));
  addEventListener("pageshow", forget);
  return name;
}
