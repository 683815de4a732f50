// What is known to be wrong with this world: entries, each with a film, and a way to begin there.

const $ = (id) => document.getElementById(id);

const paragraph = (words, className = "") =>
  Object.assign(document.createElement("p"), { textContent: words, className });

export class Lies {
  /**
   * @param {string} token access token
   * @param {(dialog) => HTMLDialogElement} modal prepares a dialog
   * @param {{bring: (name: string, word: string) => void, leave: () => void}} page
   */
  constructor(token, modal, page) {
    Object.assign(this, { query: `?token=${encodeURIComponent(token)}`, page });
    this.dialog = modal($("lies-dialog"));
    $("lies").addEventListener("click", () => this.open());
  }

  /** The server told how many there are. */
  ready({ lies }) {
    $("lies").hidden = !lies;
  }

  async open() {
    this.dialog.showModal();
    $("lies-said").textContent = "";
    $("lies-list").setAttribute("aria-busy", true);
    try {
      const answer = await fetch(`/lies${this.query}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const { all, lies } = await answer.json();
      const open = lies.filter(({ closed }) => !closed).length;
      const rest = all > lies.length ? `, the first ${lies.length} of ${all}` : "";
      $("lies-said").textContent = `${open} open, ${lies.length - open} repaired${rest}`;
      $("lies-list").replaceChildren(...lies.map((lie) => this.entry(lie)));
    } catch {
      $("lies-said").textContent = "The ledger could not be read; close this and try again.";
    }
    $("lies-list").setAttribute("aria-busy", false);
  }

  entry(lie) {
    const entry = document.createElement("li");
    entry.dataset.closed = Boolean(lie.closed);
    const words = document.createElement("div");
    const name = paragraph(lie.what, "what");
    const state = lie.closed ? `repaired ${lie.closed}` : "open";
    const facts = [lie.kind, lie.often, `found ${lie.found}`, state].join(" · ");
    words.append(name);
    if (lie.facts) words.append(paragraph(lie.facts));
    words.append(paragraph(facts), this.beginning(lie));
    entry.append(this.film(lie), words);
    return entry;
  }

  /** A picture that moves while it is pressed in. */
  film({ id, what, known }) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: known ? "lie-film" : "lie-film alone" });
    button.setAttribute("aria-label", `Film of lie ${id}: ${what}`);
    button.setAttribute("aria-pressed", false);
    const picture = document.createElement("img");
    Object.assign(picture, { loading: "lazy", alt: "", src: `/lies/${id}-still.webp${this.query}` });
    const caption = document.createElement("span");
    caption.textContent = known ? "real beside dream" : "dream, truth unknown";
    button.append(picture, caption);
    button.addEventListener("click", () => {
      const plays = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", plays);
      picture.src = `/lies/${id}${plays ? "" : "-still"}.webp${this.query}`;
    });
    return button;
  }

  beginning({ id }) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "lie-begin", textContent: "Begin here" });
    button.setAttribute("aria-label", `Begin where lie ${id} begins`);
    button.addEventListener("click", () => this.begin(id));
    return button;
  }

  /** Enters the world at the frames that a lie came after. */
  async begin(id) {
    try {
      const answer = await fetch(`/lies/${id}${this.query}`, { method: "POST" });
      const said = await answer.json();
      if (!answer.ok) throw new Error([said.message, said.hint].filter(Boolean).join(" · "));
      this.dialog.close();
      this.page.bring(said.id, `Lie ${id}`);
      this.page.leave();
    } catch ({ message }) {
      $("lies-said").textContent = message;
    }
  }
}
