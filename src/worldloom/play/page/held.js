// The set of held keys, from keyboard and fingers alike, in the order of pressing.

export class Held {
  /** @param {(codes: string[]) => void} changed called with the whole set on every change */
  constructor(changed) {
    this.codes = new Set();
    this.changed = changed;
  }

  press(code) {
    if (this.codes.has(code)) return;
    this.codes.add(code);
    this.changed([...this.codes]);
  }

  release(code) {
    if (this.codes.delete(code)) this.changed([...this.codes]);
  }

  /** Nobody holds anything any more: the window lost the keyboard, or the socket is gone. */
  clear() {
    if (!this.codes.size) return;
    this.codes.clear();
    this.changed([]);
  }
}

/** Whether the focus is where letters and spaces mean something else. */
function typing(event) {
  const target = event.target;
  if (target.closest?.("input, textarea, select, dialog")) return true;
  return target.closest?.("button") && (event.code === "Space" || event.code === "Enter");
}

/**
 * Feeds the keyboard into `held`.
 *
 * @param {Held} held
 * @param {(code: string) => boolean} belongs whether the world uses this key
 * @param {Map<string, () => void | (() => void)>} shortcuts the page's own keys: what pressing
 *   does, which may return what releasing does
 */
export function listen(held, belongs, shortcuts) {
  const endings = new Map();
  const end = (code) => {
    endings.get(code)?.();
    endings.delete(code);
  };
  addEventListener("keydown", (event) => {
    // A key pressed with a command key never reports its release.
    if (event.ctrlKey || event.metaKey || event.altKey) return held.clear();
    if (typing(event)) return;
    const shortcut = shortcuts.get(event.code);
    if (!shortcut && !belongs(event.code)) return;
    event.preventDefault();
    if (event.repeat) return;
    if (shortcut) endings.set(event.code, shortcut());
    else held.press(event.code);
  });
  addEventListener("keyup", (event) => {
    end(event.code);
    held.release(event.code);
  });
  const lose = () => {
    for (const code of [...endings.keys()]) end(code);
    held.clear();
  };
  addEventListener("blur", lose);
  addEventListener("pagehide", lose);
  document.addEventListener("visibilitychange", () => document.hidden && lose());
}
