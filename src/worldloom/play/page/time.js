// Going back and branching: the film, its slider, a held key, and one tab for each branch.

import { Film, Strip } from "./film.js";

const $ = (id) => document.getElementById(id);

export class Time {
  /**
   * @param {(message: object) => void} send to the server
   * @param {{preview: (film, moment) => void, tell: (state, words) => void,
   *   isPaused: () => boolean, leave: () => void, mark: () => number | null}} page what the film
   *   asks of the page; `mark` is a moment to be marked
   */
  constructor(send, page) {
    Object.assign(this, { send, page, films: new Map(), here: 0, back: null, rows: [] });
    this.rewinds = 0; // asked for since the session began
    this.strip = new Strip($("film"));
    this.slider = $("past");
    this.listen();
  }

  listen() {
    const { slider } = this;
    slider.addEventListener("pointerdown", () => this.begin());
    slider.addEventListener("input", () => {
      const moment = Number(slider.value); // before `begin` shows the present
      this.begin();
      this.to(moment);
    });
    const end = () => {
      this.commit();
      this.page.leave();
    };
    slider.addEventListener("pointerup", end);
    slider.addEventListener("pointercancel", end);
    // The keyboard on the slider: one step after another, so the world stays where it was put.
    slider.addEventListener("change", () => this.back && this.commit(false));
    addEventListener("blur", () => this.commit());
    $("branch").addEventListener("click", () => this.branch());
  }

  /** A session began, which remembers nothing. */
  ready(message) {
    $("time").hidden = !message.can_rewind;
    Object.assign(this, { films: new Map(), here: 0, back: null, rewinds: 0, rows: [] });
    Object.assign(this, { size: message, fps: message.fps });
    this.drawTabs();
  }

  /** The server told which branches there are. */
  branches({ all, here, history }) {
    const known = this.films;
    this.films = new Map();
    for (const { id, parent, root } of all) {
      const { width, height } = this.size;
      const past = this.films.get(parent) ?? known.get(parent);
      const film = known.get(id) ?? past?.fork(root) ?? new Film(width, height, history);
      this.films.set(id, film);
    }
    Object.assign(this, { here, rows: all });
    this.drawTabs();
  }

  /** A frame came. */
  arrived(frame, picture) {
    const film = this.films.get(frame.branch);
    if (!film) return;
    if (frame.branch !== this.here && !this.films.has(this.here)) this.here = frame.branch;
    film.put(frame.moment, picture);
    if (frame.branch === this.here) this.refresh();
  }

  /** Whether a frame was sent before the server heard where one went. */
  isStale({ rewinds }) {
    return rewinds !== this.rewinds % 256;
  }

  get film() {
    return this.films.get(this.here);
  }

  refresh() {
    const { film, slider } = this;
    if (!film) return;
    const now = this.back?.moment ?? film.head;
    slider.min = film.oldest;
    slider.max = film.oldest + film.history;
    slider.value = now;
    slider.setAttribute("aria-valuetext", this.ago(film.head - now));
    this.strip.show(film, now, this.page.mark());
  }

  ago(ticks) {
    return ticks ? `−${(ticks / this.fps).toFixed(1)} s` : "now";
  }

  /** Takes hold of time: the world stands still until `commit`. */
  begin() {
    if (this.back || !this.film || this.film.head < 0) return;
    this.back = { moment: this.film.head, resume: !this.page.isPaused() };
    if (this.back.resume) this.send({ type: "pause", on: true });
    this.to(this.film.head);
  }

  /** Looks at a moment, without going there yet. */
  to(moment) {
    const { film, back } = this;
    if (!back) return;
    back.moment = Math.min(film.head, Math.max(film.oldest, moment));
    this.page.preview(film, back.moment);
    this.page.tell("rewinding", this.ago(film.head - back.moment));
    this.refresh();
  }

  /** Goes to the moment that is looked at, and on from there if the world was running. */
  commit(resume = true) {
    const { film, back } = this;
    if (!back) return;
    this.back = null;
    const ticks = film.head - back.moment;
    const runs = back.resume && resume;
    // Back to where it was, too: what stands still is to be seen in full size again.
    if (ticks || !runs) {
      this.send({ type: "rewind", ticks, moment: film.head });
      this.rewinds++;
      // From here on one is there: the next step back counts from it, however late the frame is.
      film.cut(back.moment);
    }
    if (runs) this.send({ type: "pause", on: false });
    this.page.tell(runs ? "playing" : "paused");
    this.refresh();
  }

  /** The connection is gone: nothing to go back to. */
  lost() {
    this.back = null;
  }

  /** Goes back while a key is held, slowly at first; returns what its release does. */
  hold() {
    this.begin();
    if (!this.back) return () => {};
    const { head } = this.film;
    const began = performance.now();
    const turn = () => {
      if (!this.back) return;
      const seconds = (performance.now() - began) / 1000;
      this.to(head - Math.max(1, Math.round(this.fps * (seconds + seconds ** 2))));
      timer = setTimeout(turn, 40);
    };
    let timer;
    turn();
    return () => {
      clearTimeout(timer);
      this.commit();
    };
  }

  branch() {
    this.commit();
    this.send({ type: "branch" });
    this.page.leave();
  }

  /** Goes `by` tabs further, round and round. */
  turn(by) {
    const ids = this.rows.map(({ id }) => id);
    if (ids.length < 2) return;
    this.switch(ids.at((ids.indexOf(this.here) + by) % ids.length));
  }

  switch(branch) {
    if (branch === this.here) return;
    this.commit();
    this.send({ type: "switch", branch });
  }

  drawTabs() {
    const many = this.rows.length > 1;
    const focused = $("tabs").contains(document.activeElement) && document.activeElement.title;
    $("tabs").replaceChildren(...(many ? this.rows.map((row) => this.tab(row)) : []));
    [...$("tabs").querySelectorAll("button")].find(({ title }) => title === focused)?.focus();
    const here = $("tabs").querySelector("[data-branch][aria-pressed=true]");
    here?.parentNode.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** A button to go to a branch, one that lets it run on, and one that closes it. */
  tab({ id, runs }) {
    const tab = document.createElement("span");
    tab.className = "tab";
    const go = this.button(String(id), `Branch ${id}`, () => this.switch(id));
    go.setAttribute("aria-pressed", id === this.here);
    go.dataset.branch = id;
    const film = this.films.get(id);
    const picture = document.createElement("canvas");
    Object.assign(picture, { width: film.width, height: film.height });
    film.draw(picture.getContext("2d"), film.head, 0, 0, film.width, film.height);
    go.prepend(picture);
    const run = this.button("▸", `Branch ${id} goes on while you are elsewhere`, () =>
      this.send({ type: "run", branch: id, on: !runs }),
    );
    run.className = "run";
    run.setAttribute("aria-pressed", runs);
    const close = this.button("×", `Close branch ${id}`, () => {
      this.commit();
      this.send({ type: "drop", branch: id });
    });
    close.className = "close";
    tab.append(go, run, close);
    return tab;
  }

  button(text, label, act) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: text, title: label });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", (event) => {
      act();
      if (event.detail) this.page.leave();
    });
    return button;
  }
}
