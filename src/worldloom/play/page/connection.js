// The socket: greets, parses, comes back after a loss. Knows nothing of keys or canvas.

export const VERSION = 3;
export const RAW = 0;
export const FLAGS = { paused: 1, rewound: 2, reset: 4, ended: 8, beside: 16 };

const HEADER = 28;
const NO_DOUBT = 255;
const FIRST_DELAY = 300;
const LONGEST_DELAY = 4000;
// After these another try would end the same way.
const FINAL = new Set(["token", "version", "malformed", "rate", "world", "idle"]);

/** The header and the image bytes of a frame message (an ArrayBuffer). */
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  return {
    id: view.getUint32(0, true),
    inputTime: view.getUint32(4, true),
    serverTime: view.getUint32(8, true),
    modelTime: view.getUint16(12, true) / 10,
    format: view.getUint8(14),
    flags: view.getUint8(15),
    moment: view.getUint32(16, true),
    branch: view.getUint32(20, true),
    doubt: view.getUint8(24) === NO_DOUBT ? null : view.getUint8(24) / 254,
    rewinds: view.getUint8(25),
    image: new Uint8Array(buffer, HEADER),
  };
}

export class Connection {
  /**
   * @param {string} url of the socket
   * @param {string} token access token
   * @param {{ready, frame, stats, error, lost}} on what to call with each message, by its type
   */
  constructor(url, token, on) {
    this.url = url;
    this.token = token;
    this.on = on;
    this.seed = 0;
    this.delay = FIRST_DELAY;
    this.final = false;
    this.open();
  }

  open() {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () =>
      this.send({ type: "hello", version: VERSION, token: this.token, seed: this.seed });
    socket.onmessage = ({ data }) =>
      typeof data === "string" ? this.heard(JSON.parse(data)) : this.on.frame(parseFrame(data));
    socket.onclose = () => {
      if (this.final) return;
      this.on.lost();
      setTimeout(() => this.open(), this.delay);
      this.delay = Math.min(2 * this.delay, LONGEST_DELAY);
    };
  }

  heard(message) {
    if (message.type === "ready") {
      this.delay = FIRST_DELAY;
      this.on.ready(message);
    } else if (message.type === "stats") {
      this.seed = message.seed;
      this.on.stats(message);
    } else if (message.type === "error") {
      this.final = FINAL.has(message.code);
      this.on.error(message);
    } else {
      this.on[message.type]?.(message);
    }
  }

  /** Sends if the socket is open; what cannot be sent is stale by the time it could. */
  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
