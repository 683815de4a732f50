// The real environment beside the dream: panes, the difference as a heat map, and the meter.

const $ = (id) => document.getElementById(id);
const KEPT = 300; // moments in the graph
const NAMES = ["real", "dream", "difference"];
// From no difference to a great one: dark, violet, red, yellow.
const HEAT = [
  [16, 16, 26],
  [84, 38, 122],
  [226, 74, 66],
  [255, 226, 130],
];

const pixels = (picture) => {
  if (picture instanceof ImageData) return picture;
  const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d", {
    willReadFrequently: true,
  });
  context.drawImage(picture, 0, 0);
  picture.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
};

/** One pane of a joined picture. */
function pane(joined, index, width) {
  const part = new ImageData(width, joined.height);
  for (let y = 0; y < joined.height; y++) {
    const from = 4 * (y * joined.width + index * width);
    part.data.set(joined.data.subarray(from, from + 4 * width), 4 * y * width);
  }
  return part;
}

/** Where two pictures differ, and how much. */
export function heat(one, other) {
  const map = new ImageData(one.width, one.height);
  for (let i = 0; i < map.data.length; i += 4) {
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += (one.data[i + c] - other.data[i + c]) ** 2;
    // The root stretches small differences, which matter most.
    const place = Math.min(1, Math.sqrt(Math.sqrt(sum / 3) / 128)) * (HEAT.length - 1);
    const low = Math.min(HEAT.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++) {
      map.data[i + c] = HEAT[low][c] + (place - low) * (HEAT[low + 1][c] - HEAT[low][c]);
    }
    map.data[i + 3] = 255;
  }
  return map;
}

export class Beside {
  /**
   * @param {(message: object) => void} send to the server
   * @param {{tell: (words) => void, leave: () => void, redraw: (panes) => void}} page
   */
  constructor(send, page) {
    Object.assign(this, { send, page, on: false, hot: false, gaps: new Map(), why: "" });
    $("compare").addEventListener("click", (event) => {
      this.toggle();
      if (event.detail) page.leave();
    });
    $("heat").addEventListener("click", (event) => {
      this.hot = !this.hot;
      $("heat").setAttribute("aria-pressed", this.hot);
      if (this.last) page.redraw(this.panes(this.last));
      if (event.detail) page.leave();
    });
    $("anchor").addEventListener("click", (event) => {
      send({ type: "anchor" });
      if (event.detail) page.leave();
    });
    new ResizeObserver(() => this.graph()).observe($("gap"));
  }

  /** A session began. */
  ready(message) {
    const again = this.on;
    Object.assign(this, { width: message.width, fps: message.fps, why: message.why_no_compare });
    Object.assign(this, { gaps: new Map(), last: null });
    const offered = message.kind === "dream";
    $("compare").hidden = !offered;
    $("compare").setAttribute("aria-disabled", !message.can_compare);
    $("compare").title = message.can_compare
      ? "The same keys in the real environment, beside the dream (C)"
      : `Not here: ${this.why}`;
    this.turn(false);
    if (again && message.can_compare) this.send({ type: "compare", on: true });
  }

  toggle() {
    if ($("compare").hidden) return;
    if ($("compare").getAttribute("aria-disabled") === "true") {
      this.page.tell(`no real environment beside this dream: ${this.why}`);
    } else {
      this.send({ type: "compare", on: !this.on });
    }
  }

  turn(on) {
    if (this.on === on && $("compare").getAttribute("aria-pressed") === String(on)) return;
    this.on = on;
    $("compare").setAttribute("aria-pressed", on);
    for (const id of ["heat", "anchor", "meter", "panes"]) $(id).hidden = !on;
  }

  /** The server told how far both are apart in the frame that comes next. */
  heard(gap) {
    const key = `${gap.branch}:${gap.moment}`;
    this.gaps.delete(key);
    this.gaps.set(key, gap);
    if (this.gaps.size > 4 * KEPT) this.gaps.delete(this.gaps.keys().next().value);
    this.now = gap;
    this.say();
    this.graph();
  }

  /** The moment at which both parted on the branch that is shown, if they did. */
  get parted() {
    return this.on ? (this.now?.parted ?? null) : null;
  }

  /**
   * What a frame shows: its panes, and the dream alone for the film.
   * @returns {{dream, panes: ImageData[]}}
   */
  split(picture, isBeside) {
    this.turn(isBeside);
    if (!isBeside) return { dream: picture, panes: [picture] };
    const joined = pixels(picture);
    const [real, dream] = [0, 1].map((index) => pane(joined, index, this.width));
    this.last = [real, dream];
    return { dream, panes: this.panes(this.last) };
  }

  panes([real, dream]) {
    const shown = this.hot ? [real, dream, heat(real, dream)] : [real, dream];
    const names = NAMES.slice(0, shown.length);
    if ($("panes").childElementCount !== names.length) {
      $("panes").replaceChildren(
        ...names.map((name) => Object.assign(document.createElement("span"), { textContent: name })),
      );
    }
    return shown;
  }

  say() {
    const { error, apart, wrong, parted, ended, moment } = this.now;
    const parts = [];
    if (error !== null) parts.push(`pictures differ by ${(100 * error).toFixed(1)}%`);
    if (apart !== null) {
      parts.push(apart >= 99 ? "only one has a player" : `players ${apart.toFixed(1)} px apart`);
    }
    if (ended) parts.push("the real game has ended");
    const since = ((moment - parted) / this.fps).toFixed(1);
    const state = parted === null ? (wrong ? "doubtful" : "together") : `parted ${since} s ago`;
    $("gap-state").textContent = state;
    $("meter").dataset.state = parted === null ? (wrong ? "doubtful" : "together") : "parted";
    $("gap-words").textContent = parts.join(" · ");
  }

  /** The pixel error of the latest moments; a line where they parted. */
  graph() {
    const canvas = $("gap");
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (!this.now || !width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.clearRect(0, 0, width, height);
    const { branch, moment, parted } = this.now;
    const known = [];
    for (let when = moment - KEPT; when <= moment; when++) {
      const gap = this.gaps.get(`${branch}:${when}`);
      if (gap && gap.error !== null) known.push([when, gap.error]);
    }
    const span = Math.max(KEPT / 4, moment - (known[0]?.[0] ?? moment));
    const at = (when) => width - ((moment - when) / span) * width;
    const rows = known.map(([when, error]) => [at(when), error]);
    const top = Math.max(0.1, ...rows.map(([, error]) => error));
    const up = (error) => height - 1 - (error / top) * (height - 4);
    context.lineWidth = 1.5 * devicePixelRatio;
    context.lineJoin = "round";
    context.strokeStyle = style.color;
    context.beginPath();
    for (const [x, error] of rows) context.lineTo(x, up(error));
    context.stroke();
    if (parted === null) return;
    context.strokeStyle = style.getPropertyValue("--parted");
    context.beginPath();
    context.moveTo(at(parted), 0);
    context.lineTo(at(parted), height);
    context.stroke();
  }
}
