// What a visitor leaves behind: recordings, marks of wrong moments, and moments to share.

const $ = (id) => document.getElementById(id);
const PART = 3000;
const MARK = "moment=";
const NOWHERE = "Nothing is kept here: start the server with --keep FOLDER";
const MEANINGS = {
  record: "Keep what you do as a recording",
  wrong: "Mark this moment, for later repair",
};

/** The code in whatever was pasted: a link, a file, or the code itself. */
export function codeIn(text) {
  const found = text.trim();
  if (found.includes(`#${MARK}`)) return found.split(`#${MARK}`)[1].trim();
  if (!found.startsWith("{")) return found;
  try {
    return String(JSON.parse(found).worldloom_moment ?? "");
  } catch {
    return "";
  }
}

export class Keep {
  /**
   * @param {(message: object) => void} send to the server
   * @param {(dialog) => HTMLDialogElement} modal prepares a dialog
   * @param {{tell: (words, ms?) => void, leave: () => void, isBeside: () => boolean,
   *   opens: () => void}} page
   */
  constructor(send, modal, page) {
    Object.assign(this, { send, page, code: "" });
    this.wrong = modal($("wrong-dialog"));
    this.share = modal($("share-dialog"));
    $("record").addEventListener("click", (event) => {
      if (this.keeps()) send({ type: "record", on: !this.recording });
      if (event.detail) page.leave();
    });
    $("wrong").addEventListener("click", () => this.ask());
    $("wrong-form").addEventListener("submit", () => {
      send({ type: "wrong", note: $("wrong-note").value.slice(0, 500) });
      $("wrong-note").value = "";
    });
    $("share").addEventListener("click", () => {
      $("share-link").value = "";
      $("share-said").textContent = "telling this moment …";
      this.share.showModal();
      send({ type: "share" });
    });
    $("share-copy").addEventListener("click", () => this.copy());
    $("share-save").addEventListener("click", () => this.save());
    $("share-open").addEventListener("click", () => this.open(codeIn($("share-code").value)));
    $("share-file").addEventListener("change", async ({ target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) this.open(codeIn(await file.text()));
    });
    $("share-choose").addEventListener("click", () => $("share-file").click());
    addEventListener("hashchange", () => this.arrive()); // a link pasted where one plays already
  }

  ready(message) {
    this.title = message.title;
    this.recorded({ on: false });
    this.canKeep = message.can_keep;
    $("wrong").hidden = message.kind !== "dream";
    for (const id of ["record", "wrong"]) {
      $(id).setAttribute("aria-disabled", !message.can_keep);
      $(id).title = message.can_keep ? MEANINGS[id] : NOWHERE;
    }
    this.arrive();
  }

  /** Goes to the moment that the address tells, if it tells one. */
  arrive() {
    const { hash } = location;
    if (!hash.startsWith(`#${MARK}`)) return;
    // Once: whoever comes back after a loss of the connection goes on playing.
    history.replaceState(null, "", location.pathname + location.search);
    this.open(hash.slice(MARK.length + 1));
  }

  /** Whether there is anywhere to keep things; says so where there is not. */
  keeps() {
    if (!this.canKeep) this.page.tell(NOWHERE);
    return this.canKeep;
  }

  ask() {
    if (!this.keeps()) return;
    $("wrong-beside").hidden = !this.page.isBeside();
    this.wrong.showModal();
    $("wrong-note").focus();
  }

  recorded({ on }) {
    this.recording = on;
    $("record").setAttribute("aria-pressed", on);
    $("record-word").textContent = on ? "Recording" : "Record";
  }

  /** Something was stored. */
  kept({ kind, where, frames }) {
    const folder = where.split("/").slice(0, -1).join("/");
    this.page.tell(`${kind === "wrong" ? "marked" : "kept"}: ${frames} frames in ${folder}`);
  }

  /** The server told this moment. */
  told({ code, ticks }) {
    this.code = code;
    $("share-link").value = `${location.origin}${location.pathname}${location.search}#${MARK}${code}`;
    $("share-said").textContent = `${ticks} ticks from its start`;
  }

  async copy() {
    const field = $("share-link");
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      $("share-said").textContent = "copied";
    } catch {
      $("share-said").textContent = "press Ctrl-C to copy";
    }
  }

  save() {
    if (!this.code) return;
    const text = JSON.stringify({ worldloom_moment: this.code, world: this.title }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "moment.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** Goes to a moment that somebody told. */
  open(code) {
    if (!code) {
      $("share-said").textContent = "there is no moment in this";
      return;
    }
    this.page.opens();
    if (this.share.open) this.share.close();
    for (let from = 0; from < code.length; from += PART) {
      const more = from + PART < code.length;
      this.send({ type: "open", code: code.slice(from, from + PART), more });
    }
    this.page.tell("going to the shared moment …", 60_000);
  }

  opening({ tick, of }) {
    this.page.tell(`going to the shared moment: ${tick} of ${of} ticks`, 60_000);
  }

  opened({ exact, differs }) {
    const where = differs.length ? ` (${differs.join("; ")})` : "";
    this.page.tell(
      exact
        ? "this is the shared moment, to the byte"
        : `the shared moment came out differently here${where}`,
      6000,
    );
  }
}
