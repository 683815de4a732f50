// What is seen: the canvas, upscaled by whole pixels, and the words over it.

import { RAW } from "./connection.js";

/** Turns a frame's bytes into something that a canvas can draw. */
export async function decode(frame, width, height) {
  if (frame.format !== RAW) {
    return createImageBitmap(new Blob([frame.image], { type: "image/jpeg" }));
  }
  const picture = new ImageData(width, height);
  const { data } = picture;
  const rgb = frame.image;
  for (let from = 0, to = 0; to < data.length; from += 3, to += 4) {
    data[to] = rgb[from];
    data[to + 1] = rgb[from + 1];
    data[to + 2] = rgb[from + 2];
    data[to + 3] = 255;
  }
  return picture;
}

/** Draws a box of a picture over all of a canvas, pixel by pixel. */
export function paint(canvas, picture, [x, y, width, height]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, width, height);
}

export class View {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} stage around it
   * @param {HTMLElement} over laid over the canvas, of its size
   */
  constructor(canvas, stage, over) {
    Object.assign(this, { canvas, stage, over, width: 1, height: 1, panes: 1 });
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.fit()).observe(stage);
  }

  /** Sets the size of a frame. */
  resize(width, height) {
    Object.assign(this, { width, height });
    this.lay(1);
  }

  /** Makes room for so many frames beside each other. */
  lay(panes) {
    this.panes = panes;
    this.gap = Math.max(1, Math.round(this.width / 32));
    const width = panes * (this.width + this.gap) - this.gap;
    if (this.canvas.width !== width || this.canvas.height !== this.height) {
      Object.assign(this.canvas, { width, height: this.height });
    }
    this.stage.style.setProperty("--ratio", width / this.height);
    this.stage.toggleAttribute("data-panes", panes > 1);
    this.fit();
  }

  /** The largest whole number of device pixels for one of ours; a fraction where none fits. */
  fit() {
    const { width, height } = this.canvas;
    const density = devicePixelRatio || 1;
    const room = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    const whole = Math.floor(room * density);
    const scale = whole >= 1 ? whole / density : room;
    for (const { style } of [this.canvas, this.over]) {
      style.width = `${width * scale}px`;
      style.height = `${height * scale}px`;
    }
  }

  /** Where the pane of this number begins. */
  left(index) {
    return index * (this.width + this.gap);
  }

  /** Shows a small picture of the past, of the dream where it has company. */
  preview(film, moment) {
    const x = this.left(this.panes > 1 ? 1 : 0);
    if (this.panes > 1) this.context.clearRect(0, 0, this.canvas.width, this.height);
    film.draw(this.context, moment, x, 0, this.width, this.height);
  }

  /** Shows frames beside each other. */
  draw(panes) {
    if (panes.length !== this.panes) this.lay(panes.length);
    panes.forEach((picture, index) => {
      if (picture instanceof ImageData) {
        this.context.putImageData(picture, this.left(index), 0);
      } else {
        this.context.drawImage(picture, this.left(index), 0);
        picture.close();
      }
    });
  }
}
