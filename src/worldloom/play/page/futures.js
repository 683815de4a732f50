// What could come next: small films of several futures for each action; a click enters one.

import { paint } from "./view.js";

const $ = (id) => document.getElementById(id);
const MOST_ROWS = 40;
const MOST_FRAMES = 640;
const MOST_ACTIONS = 7;

export class Futures {
  /**
   * @param {(message: object) => void} send to the server
   * @param {{isPaused: () => boolean, leave: () => void}} page
   */
  constructor(send, page) {
    Object.assign(this, { send, page, actions: [], frames: [], at: 0 });
    this.dialog = $("fan");
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", ({ target }) => {
      if (target === this.dialog || target.closest(".shut")) this.dialog.close();
    });
    $("fan-open").addEventListener("click", () => this.open());
    for (const id of ["fan-samples", "fan-length"]) {
      $(id).addEventListener("change", () => this.ask());
    }
  }

  ready(message) {
    const alone = message.keys.map(({ codes, label }) => ({ keys: [codes[0]], label }));
    this.actions = [{ keys: [], label: "nothing" }, ...alone.slice(0, MOST_ACTIONS)];
    this.fps = message.fps;
    $("fan-open").hidden = !message.can_rewind;
    this.lost();
  }

  open() {
    if (this.dialog.open || $("fan-open").hidden) return;
    this.resume = !this.page.isPaused();
    this.dialog.showModal();
    this.ask();
  }

  /** Asks for futures of now; the world stands still meanwhile. */
  ask() {
    const samples = Math.min(Number($("fan-samples").value), Math.floor(MOST_ROWS / this.actions.length));
    const most = Math.floor(MOST_FRAMES / (samples * this.actions.length));
    const horizon = Math.min(Number($("fan-length").value), most);
    this.frames = [];
    this.said(`imagining ${this.actions.length * samples} futures …`);
    $("fan-grid").replaceChildren();
    this.send({ type: "futures", choices: this.actions.map(({ keys }) => keys), samples, horizon });
  }

  /** One more frame of all futures is there; a picture may be ready before an earlier one. */
  async heard(message) {
    if (!this.dialog.open) return;
    if (message.frame === 1) this.build(message);
    const { frames } = this;
    const bytes = Uint8Array.from(atob(message.image), (c) => c.charCodeAt(0));
    frames[message.frame - 1] = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    if (frames !== this.frames) return;
    const seconds = (message.horizon / this.fps).toFixed(1);
    const ready = frames.filter(Boolean).length;
    this.said(
      ready < message.horizon
        ? `frame ${ready} of ${message.horizon} …`
        : `${seconds} s ahead. First column: what happens if you hold that key. Click one to go on from there.`,
    );
  }

  build({ samples }) {
    this.samples = samples;
    const rows = this.actions.map(({ label }, choice) => {
      const row = document.createElement("div");
      row.className = "fan-row";
      const name = Object.assign(document.createElement("span"), { textContent: label });
      const cells = [...Array(samples).keys()].map((sample) => this.cell(choice, sample, label));
      row.append(name, ...cells);
      return row;
    });
    $("fan-grid").replaceChildren(...rows);
    this.at = 0;
    clearInterval(this.timer);
    this.timer = setInterval(() => this.turn(), 1000 / Math.min(20, this.fps));
  }

  cell(choice, sample, label) {
    const cell = document.createElement("button");
    Object.assign(cell, { type: "button", title: "Go on from the end of this future" });
    cell.setAttribute("aria-label", `${label}, future ${sample + 1}: enter it`);
    Object.assign(cell.dataset, { choice, sample });
    cell.append(document.createElement("canvas"));
    cell.addEventListener("click", () => {
      this.resume = false; // where one arrives is looked at first
      this.send({ type: "future", choice, sample });
      this.dialog.close();
    });
    return cell;
  }

  /** The next frame of every small film. */
  turn() {
    const ready = this.frames.findIndex((frame) => !frame);
    const count = ready < 0 ? this.frames.length : ready;
    if (!count) return;
    this.at = (this.at + 1) % (count + 6); // the last one stays for a while
    const picture = this.frames[Math.min(this.at, count - 1)];
    const width = picture.width / this.samples;
    const height = picture.height / this.actions.length;
    for (const cell of $("fan-grid").querySelectorAll("button")) {
      const { choice, sample } = cell.dataset;
      paint(cell.firstChild, picture, [sample * width, choice * height, width, height]);
    }
  }

  closed() {
    clearInterval(this.timer);
    for (const frame of this.frames) frame?.close();
    this.frames = [];
    if (this.resume) this.send({ type: "pause", on: false });
    this.page.leave();
  }

  lost() {
    this.resume = false;
    if (this.dialog.open) this.dialog.close();
  }

  said(words) {
    $("fan-said").textContent = words;
  }
}
