// A gamepad in the standard layout: cross and left stick to directions, the rest to what there is.

const CROSS = { up: 12, down: 13, left: 14, right: 15 };
const OTHERS = [0, 1, 2, 3, 5, 4, 7, 6, 10, 11]; // in the order in which thumbs like them
const START = 9;
const BACK = 8;
const DEAD = 0.2; // sticks never stand quite still
const FIRM = 0.5; // from here on a stick is a key

const firm = (value) => Math.abs(value) > DEAD;

/** A stick's [-1, 1] as a value of the axis; null in the middle. */
function scaled(axis, value) {
  if (!firm(value)) return null;
  const reach = value > 0 ? axis.high - axis.null : axis.null - axis.low;
  return axis.null + ((Math.abs(value) - DEAD) / (1 - DEAD)) * Math.sign(value) * reach;
}

/**
 * Which button holds which key, and which stick sets which axis.
 *
 * @param {{codes: string[], slot: string, axis: string}[]} keys
 * @param {{id: string, low: number, null: number, mouse: string}[]} axes
 */
export function assign(keys, axes) {
  const buttons = new Map();
  const free = [...OTHERS];
  for (const { codes, slot, axis } of keys) {
    if (slot) buttons.set(CROSS[slot], codes[0]);
    else if (!axis && free.length) buttons.set(free.shift(), codes[0]);
  }
  const walks = keys.some(({ slot, axis }) => slot && !axis);
  const sticks = walks ? [2, 3] : [0, 1, 2, 3];
  const triggers = [7, 6];
  const set = [];
  for (const axis of axes) {
    const pedal = axis.null === axis.low || axis.null === axis.high;
    const wanted = axis.mouse ? { x: 2, y: 3 }[axis.mouse] : sticks[0];
    if (pedal && triggers.length) set.push({ axis, trigger: triggers.shift() });
    else if (sticks.includes(wanted)) {
      sticks.splice(sticks.indexOf(wanted), 1);
      // A stick's up is negative; a number's is positive, but where the mouse pulls it down.
      set.push({ axis, stick: wanted, sign: wanted % 2 && !axis.mouse ? -1 : 1 });
    }
  }
  const left = set.some(({ stick }) => stick === 0) ? {} : { left: [0, -1], right: [0, 1] };
  const ahead = set.some(({ stick }) => stick === 1) ? {} : { up: [1, -1], down: [1, 1] };
  const used = new Set(set.map(({ trigger }) => trigger));
  for (const trigger of used) buttons.delete(trigger);
  return { buttons, set, ways: { ...left, ...ahead } };
}

export class Gamepads {
  /**
   * @param {{press, release}} held
   * @param {{stick}} analog
   * @param {{start: () => void, back: () => () => void, connected: (name: string) => void}} page
   */
  constructor(held, analog, page) {
    Object.assign(this, { held, analog, page, down: new Set(), map: assign([], []), ending: null });
    addEventListener("gamepadconnected", () => this.changed());
    addEventListener("gamepaddisconnected", () => this.changed());
  }

  show(keys, axes) {
    this.map = assign(keys, axes);
    this.changed();
  }

  pad() {
    return [...(navigator.getGamepads?.() ?? [])].find((pad) => pad?.connected);
  }

  changed() {
    const pad = this.pad();
    this.page.connected(pad?.id ?? "");
    if (pad && !this.polling) {
      this.polling = true;
      requestAnimationFrame(() => this.poll());
    }
  }

  poll() {
    const pad = this.pad();
    this.polling = Boolean(pad);
    this.read(pad && document.hasFocus() ? pad : { buttons: [], axes: [] });
    if (pad) requestAnimationFrame(() => this.poll());
  }

  read({ buttons, axes }) {
    const { map } = this;
    const now = new Set();
    for (const [index, code] of map.buttons) if (buttons[index]?.pressed) now.add(code);
    for (const [way, [stick, sign]] of Object.entries(map.ways)) {
      const code = map.buttons.get(CROSS[way]);
      if (code && (axes[stick] ?? 0) * sign > FIRM) now.add(code);
    }
    for (const code of this.down) if (!now.has(code)) this.held.release(code);
    for (const code of now) if (!this.down.has(code)) this.held.press(code);
    this.down = now;
    for (const { axis, stick, sign, trigger } of map.set) {
      const value = trigger === undefined ? sign * (axes[stick] ?? 0) : (buttons[trigger]?.value ?? 0);
      const way = trigger !== undefined && axis.null === axis.high ? -value : value;
      this.analog.stick(axis, scaled(axis, way));
    }
    const start = Boolean(buttons[START]?.pressed);
    if (start && !this.started) this.page.start();
    this.started = start;
    if (buttons[BACK]?.pressed) this.ending ??= this.page.back();
    else {
      this.ending?.();
      this.ending = null;
    }
  }
}
