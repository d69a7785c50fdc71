/** The studio's calls. */

/** The server refused: `status`, `code` for programs, `field` that is wrong, and a message for people. */
export class Refused extends Error {
  constructor(status, { code, message, field }) {
    super(field && field !== "round" && status === 422 ? `${field}: ${message}` : message);
    this.status = status;
    this.code = code;
  }
}

/** Nobody answers: the server was ended, or the network is away. */
export class Gone extends Error {}

/** Calls in the name of one tab of the browser. Paths are relative: the page may be served under any path. */
export class Api {
  constructor(tab) {
    this.tab = tab;
  }

  get(path, options) {
    return this.#call("GET", path, undefined, options);
  }

  post(path, body = {}, options = {}) {
    return this.#call("POST", path, body, options);
  }

  put(path, body) {
    return this.#call("PUT", path, body);
  }

  /** A file as {name, blob}. */
  async file(path) {
    const response = await this.#send("GET", path);
    const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
    return { name: named ? decodeURIComponent(named[1]) : path.split("/").at(-1), blob: await whole(response.blob()) };
  }

  async #call(method, path, body, options) {
    return whole((await this.#send(method, path, body, options)).json());
  }

  async #send(method, path, body, { signal } = {}) {
    const headers = { "X-Siaf": "1", "X-Siaf-Tab": this.tab };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(`api/${path}`, { method, headers, signal, body: body && JSON.stringify(body) });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Gone(String(error.message));
    }
    if (response.ok) return response;
    let told;
    try {
      told = (await response.json()).error;
    } catch {
      // Not the studio's own words: a proxy in front of it.
    }
    if (!told) throw new Gone(`the server answers ${response.status}`);
    throw new Refused(response.status, told);
  }
}

/** A body that breaks off is a server that went away. */
async function whole(body) {
  try {
    return await body;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Gone(String(error.message));
  }
}
