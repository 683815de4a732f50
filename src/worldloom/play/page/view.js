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

export class View {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.fit()).observe(stage);
  }

  resize(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.stage.style.setProperty("--ratio", width / height);
    this.fit();
  }

  /** The largest whole number of device pixels for one of ours; a fraction where none fits. */
  fit() {
    const { width, height } = this.canvas;
    const density = devicePixelRatio || 1;
    const room = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    const whole = Math.floor(room * density);
    const scale = whole >= 1 ? whole / density : room;
    this.canvas.style.width = `${width * scale}px`;
    this.canvas.style.height = `${height * scale}px`;
  }

  /** Shows a small picture of the past. */
  preview(film, moment) {
    film.draw(this.context, moment, 0, 0, this.canvas.width, this.canvas.height);
  }

  draw(picture) {
    if (picture instanceof ImageData) {
      this.context.putImageData(picture, 0, 0);
    } else {
      this.context.drawImage(picture, 0, 0);
      picture.close();
    }
  }
}
