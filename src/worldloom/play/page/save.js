// The past of this branch as a film to keep: the server makes it, a link fetches it.

import { modal } from "./modal.js";

const $ = (id) => document.getElementById(id);
const LARGEST = { mp4: 1280, gif: 640 };
const SECONDS = [5, 10];

const size = (bytes) =>
  bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

export class Save {
  /**
   * @param {(message: object) => void} send to the server
   * @param {string} token access token
   * @param {{opened, closed, kept: () => number}} page `kept` tells how many ticks are in the past
   */
  constructor(send, token, page) {
    Object.assign(this, { send, token, page, fps: 20, width: 1, height: 1 });
    this.dialog = modal($("save"), page);
    $("film-open").addEventListener("click", () => this.open());
    $("film-make").addEventListener("click", () => this.make());
    for (const radio of document.getElementsByName("kind")) {
      radio.addEventListener("change", () => this.sizes());
    }
  }

  ready({ width, height, fps, can_rewind: kept }) {
    Object.assign(this, { width, height, fps });
    $("film-open").hidden = !kept;
    this.idle("");
    $("films").replaceChildren();
    this.sizes();
  }

  get kind() {
    return document.querySelector("input[name=kind]:checked").value;
  }

  sizes() {
    const largest = Math.max(1, Math.floor(LARGEST[this.kind] / Math.max(this.width, this.height)));
    const scales = [1, 2, 4, 8, 16].filter((scale) => scale <= largest);
    const wanted = Number($("film-scale").value) || 8;
    const option = (scale) => new Option(`${scale * this.width} × ${scale * this.height}`, scale);
    $("film-scale").replaceChildren(...scales.map(option));
    $("film-scale").value = scales.filter((scale) => scale <= wanted).at(-1);
  }

  open() {
    const seconds = (this.page.kept() + 1) / this.fps;
    const all = new Option(`all ${seconds.toFixed(1)} s`, 0);
    const last = SECONDS.filter((each) => each < seconds);
    const option = (each) => new Option(`the last ${each} s`, Math.round(each * this.fps));
    $("film-length").replaceChildren(all, ...last.map(option));
    this.dialog.showModal();
  }

  make() {
    const [scale, ticks] = [Number($("film-scale").value), Number($("film-length").value)];
    this.send({ type: "export", format: this.kind, scale, ticks });
    $("film-make").disabled = true;
    $("film-said").textContent = "making it …";
  }

  /** The server is at it. */
  progress({ done, of }) {
    $("film-said").textContent = `making it … ${Math.round((100 * done) / of)}%`;
  }

  /** It is ready to be fetched. */
  made({ href, name, bytes, width, height, seconds }) {
    const link = document.createElement("a");
    link.href = `${href}?token=${encodeURIComponent(this.token)}`;
    link.download = name;
    link.textContent = name;
    const facts = document.createElement("span");
    facts.textContent = `${width} × ${height}, ${seconds.toFixed(1)} s, ${size(bytes)}`;
    const row = document.createElement("li");
    row.append(link, facts);
    $("films").prepend(row);
    this.idle("");
    link.focus();
  }

  /** Whatever was being made will not come. */
  idle(words) {
    $("film-make").disabled = false;
    $("film-said").textContent = words;
  }
}
