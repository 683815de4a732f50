// Where to begin: a gallery of starts, any number, or the visitor's own picture.

import { modal } from "./modal.js";

const $ = (id) => document.getElementById(id);
const IMAGE = /^image\//;
const MOST = 2 ** 31 - 1;

export class Starts {
  /**
   * @param {string} token access token
   * @param {{begin: (start: {seed, picture?}) => void, tell: (words: string) => void,
   *   opened: () => void, closed: () => void}} page
   */
  constructor(token, page) {
    Object.assign(this, { token, page, seed: 0, picture: "", word: "", sheet: null });
    this.dialog = modal($("starts"), page);
    $("begin").addEventListener("click", () => this.open());
    $("go").addEventListener("click", () => this.choose(this.typed()));
    $("seed").addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.choose(this.typed());
    });
    $("gallery").addEventListener("keydown", (event) => this.walk(event));
    $("own").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", () => {
      this.upload($("file").files[0]);
      $("file").value = ""; // so that the same file can be chosen again
    });
    this.listen();
  }

  /** Pastes and drops, anywhere on the page. */
  listen() {
    addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => IMAGE.test(type));
      if (file && this.accepts) this.upload(file);
    });
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // else the browser would leave the page for the file
      event.dataTransfer.dropEffect = this.accepts ? "copy" : "none";
      document.body.classList.toggle("dropping", Boolean(this.accepts) && event.type === "dragover");
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    addEventListener("drop", (event) => {
      over(event);
      const [file] = event.dataTransfer?.files ?? [];
      if (file && this.accepts) this.upload(file);
    });
  }

  /** The server told what there is to begin with. */
  ready({ starts }) {
    Object.assign(this, { count: starts.count, accepts: starts.pictures, sheet: null });
    this.most = starts.most_bytes;
    for (const id of ["own", "own-help"]) $(id).hidden = !starts.pictures;
    $("gallery").replaceChildren();
    if (this.dialog.open) this.fill();
  }

  /** Which start is played now. */
  shown(seed) {
    if (this.seed !== seed) this.picture = "";
    this.seed = seed;
    if (document.activeElement !== $("seed")) $("seed").value = seed;
    const word = this.picture ? this.word : `Start ${seed}`;
    $("start-word").textContent = word;
    $("begin").setAttribute("aria-label", `${word}, choose another`);
    for (const cell of $("gallery").children) {
      const here = Number(cell.dataset.seed) === seed && !this.picture;
      cell.setAttribute("aria-current", here);
    }
  }

  typed() {
    return Math.min(MOST, Math.max(0, Math.trunc(Number($("seed").value)) || 0));
  }

  open() {
    this.dialog.showModal();
    this.fill();
  }

  /** Begins at a start of the gallery, or of any number. */
  choose(seed) {
    this.picture = "";
    this.begin(seed);
  }

  /** Begins at a start that the server gave a name, and says so in a word. */
  bring(name, word) {
    Object.assign(this, { picture: name, word });
    this.begin(this.seed);
  }

  next() {
    this.choose(Math.min(MOST, this.seed + 1));
  }

  /** Begins again where it began. */
  again() {
    this.begin(this.seed);
  }

  begin(seed) {
    this.dialog.close();
    this.page.begin(this.picture ? { seed, picture: this.picture } : { seed });
    this.shown(seed);
  }

  /** Draws the gallery from one sheet of small pictures. */
  async fill() {
    if (this.sheet) return;
    this.sheet = true;
    $("gallery").setAttribute("aria-busy", true);
    try {
      const answer = await fetch(`/starts.png?token=${encodeURIComponent(this.token)}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const sheet = await createImageBitmap(await answer.blob());
      $("gallery").replaceChildren(...Array.from({ length: this.count }, (_, i) => this.cell(sheet, i)));
      this.shown(this.seed);
    } catch {
      this.sheet = null; // the next opening tries again
      $("gallery").textContent = "The pictures did not come; any number below works.";
    }
    $("gallery").setAttribute("aria-busy", false);
  }

  cell(sheet, seed) {
    const width = sheet.width / this.count;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "start" });
    button.dataset.seed = seed;
    button.setAttribute("aria-label", `Start ${seed}`);
    const picture = document.createElement("canvas");
    Object.assign(picture, { width, height: sheet.height });
    picture.getContext("2d").drawImage(sheet, -seed * width, 0);
    const number = document.createElement("span");
    number.textContent = seed;
    button.append(picture, number);
    button.addEventListener("click", () => this.choose(seed));
    return button;
  }

  /** Arrow keys go from picture to picture. */
  walk(event) {
    const cells = [...$("gallery").children];
    const here = cells.indexOf(document.activeElement);
    if (here < 0) return;
    const columns = cells.filter(({ offsetTop }) => offsetTop === cells[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const to = { Home: 0, End: cells.length - 1 }[event.key] ?? here + (by ?? 0);
    if (to === here) return;
    event.preventDefault();
    cells[to]?.focus();
  }

  /** Sends a picture and begins with it, or tells in one sentence why not. */
  async upload(file) {
    if (!file) return;
    if (file.size > this.most) {
      const limit = Math.floor(this.most / 2 ** 20);
      return this.failed({ message: `the picture is larger than ${limit} MB`, hint: "make it smaller" });
    }
    this.page.tell("reading your picture …");
    try {
      const url = `/picture?token=${encodeURIComponent(this.token)}`;
      const answer = await fetch(url, { method: "POST", body: file });
      const said = await answer.json();
      if (!answer.ok) return this.failed(said);
      this.page.tell("");
      this.bring(said.id, "Yours");
    } catch {
      this.failed({ message: "the picture did not reach the server", hint: "try again" });
    }
  }

  failed({ message, hint }) {
    const words = [message, hint].filter(Boolean).join(" · ");
    $("own-said").textContent = words;
    this.page.tell(words);
  }
}
