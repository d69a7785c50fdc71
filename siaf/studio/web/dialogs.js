/** Questions, menus and the help sheet. */

import { at, make } from "./dom.js";
import { SHEET } from "./keys.js";

export class Dialogs {
  constructor() {
    const sheet = at("sheet");
    for (const [title, rows] of SHEET) {
      const list = make("dl", {});
      for (const [, keys, what] of rows) {
        list.append(make("div", {}, make("dt", {}, ...keycaps(keys)), make("dd", {}, what)));
      }
      sheet.append(make("section", {}, make("h3", {}, title), list));
    }
    at("help-close").addEventListener("click", () => at("help").close());
  }

  help() {
    at("help").showModal();
  }

  /** Show lines that are to be read. */
  tell(title, lines) {
    return this.ask({ title, text: lines.join("\n"), fields: [], button: "Close", cancel: false });
  }

  /**
   * Ask; the values of the fields by name, null if the labeler thinks better of it.
   * `fields`: {name, label, value, type, options: [[value, text], …], maxlength}.
   */
  ask({ title, text = "", fields, button, cancel = true }) {
    const dialog = make("dialog", { class: "ask", "aria-label": title });
    const controls = fields.map(({ name, label, value = "", type = "text", options = null, maxlength = null }) => {
      const control = options
        ? make("select", { name }, ...options.map(([v, t]) => make("option", { value: v, selected: v === value }, t)))
        : make("input", { name, type, value, maxlength, autocomplete: "off" });
      return make("label", {}, make("span", {}, label), control);
    });
    const form = make(
      "form",
      { method: "dialog" },
      make("h2", {}, title),
      text ? make("p", { class: "lines" }, text) : null,
      ...controls,
      make(
        "div",
        { class: "row end" },
        cancel ? make("button", { type: "button", onclick: () => dialog.close() }, "Cancel") : null,
        make("button", { class: "primary", value: "yes" }, button),
      ),
    );
    dialog.append(form);
    document.body.append(dialog);
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        const said = dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null;
        dialog.remove();
        resolve(said);
      });
      dialog.showModal();
      form.querySelector("input[type=text]")?.select();
    });
  }

  /** A menu under a button: [[text, enabled, what to do], …]; arrows move, Esc closes. */
  menu(button, entries) {
    document.querySelector(".menu")?.remove();
    const items = entries.map(([text, enabled, work]) =>
      make(
        "button",
        {
          type: "button",
          role: "menuitem",
          disabled: !enabled,
          onclick: () => {
            close();
            work();
          },
        },
        text,
      ),
    );
    const menu = make("div", { class: "menu", role: "menu", popover: "auto" }, ...items);
    const close = () => {
      menu.remove();
      button.setAttribute("aria-expanded", "false");
    };
    document.body.append(menu);
    menu.showPopover();
    const { right, bottom, top } = button.getBoundingClientRect();
    const high = menu.offsetHeight;
    menu.style.left = `${Math.max(4, right - menu.offsetWidth)}px`;
    menu.style.top = `${bottom + high + 4 > innerHeight ? Math.max(4, top - high - 2) : bottom + 2}px`;
    button.setAttribute("aria-expanded", "true");
    const usable = items.filter((item) => !item.disabled);
    usable[0]?.focus();
    menu.addEventListener("toggle", ({ newState }) => newState === "closed" && close());
    menu.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape" || event.key === "Tab") {
        close();
        button.focus();
      } else if (step && usable.length) {
        usable[(usable.indexOf(document.activeElement) + step + usable.length) % usable.length].focus();
      } else if (event.key !== "Enter" && event.key !== " ") {
        return;
      }
      if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
      event.stopPropagation();
    });
  }
}

/** "Ctrl+Z" as keycaps and what stands between them. */
function keycaps(keys) {
  const parts = keys.length === 1 ? [keys] : keys.split(/(\+| … | \(hold\))/).filter(Boolean);
  return parts.map((part) => (keys.length > 1 && /^(\+| … | \(hold\))$/.test(part) ? part : make("kbd", {}, part)));
}
