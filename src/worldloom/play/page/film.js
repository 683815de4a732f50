// The recent past in small pictures, made from frames that came anyway. Knows no server.

const SIDE = 64; // the longer side of a small picture, where frames are larger

/** The pictures of one branch: a ring of cells on one canvas, found by number of moment. */
export class Film {
  /**
   * @param {number} width of a frame
   * @param {number} height of a frame
   * @param {number} history ticks that are kept before the newest
   */
  constructor(width, height, history) {
    const scale = Math.min(1, SIDE / Math.max(width, height));
    Object.assign(this, { frame: { width, height }, history, oldest: 0, head: -1 });
    this.width = Math.max(1, Math.round(width * scale));
    this.height = Math.max(1, Math.round(height * scale));
    this.size = history + 1;
    this.columns = Math.ceil(Math.sqrt(this.size));
    this.held = new Float64Array(this.size).fill(-1); // the moment that each cell shows
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.columns * this.width;
    this.canvas.height = Math.ceil(this.size / this.columns) * this.height;
    this.context = this.canvas.getContext("2d");
  }

  /** Another branch with the same past up to moment `root`. */
  fork(root) {
    const film = new Film(this.frame.width, this.frame.height, this.history);
    film.context.drawImage(this.canvas, 0, 0);
    film.held.set(this.held);
    Object.assign(film, { oldest: this.oldest, head: this.head });
    film.cut(root);
    return film;
  }

  /** Forgets what came after `moment`. */
  cut(moment) {
    for (let after = Math.max(0, moment + 1); after <= this.head; after++) {
      this.held[after % this.size] = -1;
    }
    this.head = Math.min(this.head, moment);
  }

  /** The newest picture; whatever came after it before, in another try, is gone. */
  put(moment, picture) {
    this.cut(moment);
    this.head = moment;
    this.oldest = Math.max(this.oldest, moment - this.history);
    const cell = moment % this.size;
    const [x, y] = this.place(cell);
    if (!(picture instanceof ImageData)) {
      this.context.drawImage(picture, x, y, this.width, this.height);
    } else if (picture.width === this.width && picture.height === this.height) {
      this.context.putImageData(picture, x, y);
    } else {
      this.scratch ??= new OffscreenCanvas(picture.width, picture.height).getContext("2d");
      this.scratch.putImageData(picture, 0, 0);
      this.context.drawImage(this.scratch.canvas, x, y, this.width, this.height);
    }
    this.held[cell] = moment;
  }

  /** The moment with a picture that is nearest to `moment`, the earlier of two; -1 for none. */
  nearest(moment) {
    for (let away = 0; away < this.size; away++) {
      for (const found of [moment - away, moment + away]) {
        const kept = found >= this.oldest && found <= this.head;
        if (kept && this.held[found % this.size] === found) return found;
      }
    }
    return -1;
  }

  /** Draws the picture nearest to `moment` into a box. */
  draw(context, moment, x, y, width, height) {
    const found = this.nearest(moment);
    if (found < 0) return;
    const from = this.place(found % this.size);
    context.imageSmoothingEnabled = width < this.width;
    context.drawImage(this.canvas, ...from, this.width, this.height, x, y, width, height);
  }

  place(cell) {
    return [(cell % this.columns) * this.width, Math.floor(cell / this.columns) * this.height];
  }
}

/** Draws a film as a strip: the place on it is the time, and what is empty is yet to come. */
export class Strip {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.shown = null;
    this.drawing = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /**
   * Shows `film`; what comes after moment `now` is dimmed, and a line stands at moment `mark`.
   * Draws twenty times a second at most.
   */
  show(film, now, mark = null) {
    this.shown = { film, now, mark };
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      this.draw();
    }, 50);
  }

  draw() {
    const { canvas, context, shown } = this;
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (!shown || !width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.clearRect(0, 0, width, height);
    const { film, now, mark } = shown;
    const first = Math.max(film.oldest, 0);
    const at = (moment) => ((moment - first) / film.history) * width;
    const each = (height * film.width) / film.height;
    const ticks = Math.max(1, Math.ceil((film.history * each) / width));
    // Pictures stand at round numbers, so that they slide along instead of flickering.
    for (let moment = first - (first % ticks); moment <= film.head; moment += ticks) {
      film.draw(context, Math.max(first, moment), at(moment), 0, at(moment + ticks) - at(moment), height);
    }
    context.clearRect(at(film.head), 0, width, height);
    context.globalAlpha = 0.65;
    context.globalCompositeOperation = "destination-out";
    context.fillRect(at(now), 0, width, height);
    context.globalAlpha = 1;
    context.globalCompositeOperation = "source-over";
    if (mark === null || mark < first) return;
    context.fillStyle = getComputedStyle(canvas).getPropertyValue("--parted");
    const line = 2 * devicePixelRatio;
    context.fillRect(at(mark) - line / 2, 0, line, height);
    context.beginPath();
    context.arc(at(mark), 2 * line, 2 * line, 0, 2 * Math.PI);
    context.fill();
  }
}
