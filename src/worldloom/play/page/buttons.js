// The key help, which is also what fingers press: one button for each thing to hold.

function build(entry, held) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "key";
  button.dataset.code = entry.codes[0];
  button.dataset.slot = entry.slot;
  button.tabIndex = -1; // the keyboard has the key itself
  for (const cap of entry.keys.filter(Boolean)) {
    const kbd = document.createElement("kbd");
    kbd.textContent = cap;
    button.append(kbd);
  }
  const label = document.createElement("span");
  label.textContent = entry.label;
  button.append(label);

  button.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // keeps the focus on the stage
    button.setPointerCapture(event.pointerId);
    held.press(entry.codes[0]);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    button.addEventListener(end, () => held.release(entry.codes[0]));
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  return { button, codes: entry.codes };
}

export class Buttons {
  constructor(pad, others, held) {
    this.pad = pad;
    this.others = others;
    this.held = held;
    this.all = [];
  }

  /** Draws the key map that the server derived from the world's actions. */
  show(entries) {
    this.all = entries.map((entry) => build(entry, this.held));
    const slotted = this.all.filter(({ button }) => button.dataset.slot);
    const free = this.all.filter(({ button }) => !button.dataset.slot);
    this.pad.replaceChildren(...slotted.map(({ button }) => button));
    this.others.replaceChildren(...free.map(({ button }) => button));
    this.others.classList.toggle("many", free.length > 4);
  }

  /** Lights up what is held. */
  light(codes) {
    for (const { button, codes: own } of this.all) {
      button.classList.toggle("held", own.some((code) => codes.includes(code)));
    }
  }
}
