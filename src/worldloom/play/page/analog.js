// Numbers that one sets: sliders, and the mouse where a world has something that turns.

const KEEPS = 2; // decimals that are shown
const GAP = 16; // ms between two messages, however often a screen is drawn or a mouse reports

function slider(axis, changed) {
  const row = document.createElement("label");
  row.className = "axis";
  const name = document.createElement("span");
  name.textContent = axis.label;
  const input = document.createElement("input");
  const step = axis.stops.length ? "any" : (axis.high - axis.low) / 200;
  Object.assign(input, { type: "range", min: axis.low, max: axis.high, step, value: axis.null });
  input.dataset.axis = axis.id;
  const number = document.createElement("output");
  row.append(name, input, number);

  const tell = () => {
    number.textContent = Number(input.value).toFixed(KEEPS).replace("-", "−");
    changed();
  };
  const snap = () => {
    const value = Number(input.value);
    const nearest = (best, stop) => (Math.abs(stop - value) < Math.abs(best - value) ? stop : best);
    if (axis.stops.length) input.value = axis.stops.reduce(nearest);
    tell();
  };
  input.addEventListener("input", snap);
  input.addEventListener("dblclick", () => {
    input.value = axis.null;
    tell();
  });
  number.textContent = axis.null.toFixed(KEEPS).replace("-", "−");
  return { axis, row, input, tell };
}

export class Analog {
  /**
   * @param {{list, centre, stage, hint}} parts elements of the page
   * @param {() => void} changed called after changes, some sixty times a second at most
   * @param {{press, release}} held for the buttons of a mouse that turns
   */
  constructor(parts, changed, held) {
    Object.assign(this, { parts, held, rows: [], sticks: new Map(), motion: [0, 0], axes: [] });
    this.changed = () => {
      parts.centre.hidden = !this.rows.some(({ axis, input }) => Number(input.value) !== axis.null);
      if (this.due) return;
      this.due = true;
      setTimeout(() => {
        this.due = false;
        changed();
      }, GAP);
    };
    parts.centre.addEventListener("click", () => this.centre());
    this.listen();
  }

  /** Draws a slider for every number of the world's actions that the mouse does not turn. */
  show(axes) {
    this.axes = axes;
    this.turns = axes.some(({ mouse }) => mouse);
    this.rows = axes.filter(({ mouse }) => !mouse).map((axis) => slider(axis, this.changed));
    this.parts.list.replaceChildren(...this.rows.map(({ row }) => row));
    this.parts.list.parentNode.hidden = !this.rows.length;
    this.parts.hint.hidden = !this.turns;
    this.parts.centre.hidden = true;
    this.parts.stage.classList.toggle("turns", this.turns);
    this.clear();
  }

  /** Every slider back to its middle. */
  centre() {
    for (const { axis, input, tell } of this.rows) {
      input.value = axis.null;
      tell();
    }
  }

  /** Where a stick stands; null where it was let go. */
  stick(axis, value) {
    if ((this.sticks.get(axis.id) ?? null) === value) return;
    if (value === null) this.sticks.delete(axis.id);
    else this.sticks.set(axis.id, value);
    this.changed();
  }

  /** Sticks and motion are forgotten; sliders stay where they were put. */
  clear() {
    this.sticks.clear();
    this.motion = [0, 0];
  }

  /** What to send: the numbers that are not in their middle, and the motion since the last time. */
  take() {
    const axes = {};
    for (const { axis, input } of this.rows) {
      if (Number(input.value) !== axis.null) axes[axis.id] = Number(input.value);
    }
    for (const [id, value] of this.sticks) axes[id] = value;
    const mouse = this.motion;
    this.motion = [0, 0];
    return { axes, mouse };
  }

  moved(x, y) {
    this.motion = [this.motion[0] + x, this.motion[1] + y];
    this.changed();
  }

  /** A click captures the mouse; a finger turns by being drawn over the picture. */
  listen() {
    const { stage } = this.parts;
    const captured = () => document.pointerLockElement === stage;
    stage.addEventListener("pointerdown", (event) => {
      if (!this.turns) return;
      if (event.pointerType === "mouse") {
        if (!captured()) return void stage.requestPointerLock?.()?.catch?.(() => {});
        this.held.press(`Mouse${event.button}`);
      } else {
        stage.setPointerCapture(event.pointerId);
        this.finger = { id: event.pointerId, x: event.clientX, y: event.clientY };
      }
    });
    addEventListener("mousedown", ({ button }) => captured() && this.held.press(`Mouse${button}`));
    addEventListener("mouseup", ({ button }) => this.held.release(`Mouse${button}`));
    addEventListener("mousemove", (event) => captured() && this.moved(event.movementX, event.movementY));
    stage.addEventListener("pointermove", (event) => {
      const { finger } = this;
      if (finger?.id !== event.pointerId) return;
      this.moved(event.clientX - finger.x, event.clientY - finger.y);
      Object.assign(finger, { x: event.clientX, y: event.clientY });
    });
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, () => (this.finger = null));
    }
    stage.addEventListener("contextmenu", (event) => captured() && event.preventDefault());
    document.addEventListener("pointerlockchange", () => {
      document.body.classList.toggle("captured", captured());
      if (!captured()) for (const button of [0, 1, 2]) this.held.release(`Mouse${button}`);
    });
  }
}
