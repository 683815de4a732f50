// Wires socket, keys, canvas and figures together. Each module knows only its own part.

import { Buttons } from "./buttons.js";
import { Connection, FLAGS } from "./connection.js";
import { Held, listen } from "./held.js";
import { Pacer } from "./pacer.js";
import { Time } from "./time.js";
import { View, decode } from "./view.js";

const $ = (id) => document.getElementById(id);
const KINDS = {
  dream: ["dream", "Every frame is imagined by a learned model."],
  real: ["real", "Frames come from the environment itself."],
};
const WORDS = {
  connecting: "connecting …",
  lost: "connection lost, reconnecting …",
  paused: "paused",
  ended: "ended",
  playing: "",
  rewinding: "",
};

const stage = $("stage");
const view = new View($("view"), stage);
const buttons = new Buttons($("pad"), $("others"), null);
let size = { width: 1, height: 1 };
let belongs = new Set();
let paused = false;
let pausedByHiding = false;
let echoed = 0;
let roundTrips = [];
let modelTime = null;
let told = { words: "", until: 0 };

const now = () => Math.max(1, Math.round(performance.now())) >>> 0;
const seed = () => Math.min(2 ** 31 - 1, Math.max(0, Math.trunc(Number($("seed").value)) || 0));

const held = new Held((codes) => {
  buttons.light(codes);
  connection.send({ type: "keys", held: codes.slice(-32), tapped: [], time: now() });
});
buttons.held = held;

function show(state, words = WORDS[state]) {
  if (performance.now() < told.until) words = told.words;
  document.body.dataset.state = state;
  if ($("notice").textContent !== words) $("notice").textContent = words;
  $("pause-word").textContent = state === "paused" ? "Resume" : "Pause";
}

const time = new Time((message) => connection.send(message), {
  preview: (film, moment) => view.preview(film, moment),
  tell: show,
  isPaused: () => paused,
  leave: () => stage.focus({ preventScroll: true }),
});

const pacer = new Pacer(({ frame, picture }) => {
  if (!time.back) view.draw(picture);
  stage.dataset.frame = frame.id;
  if (frame.inputTime && frame.inputTime !== echoed) {
    echoed = frame.inputTime;
    const took = performance.now() - frame.inputTime;
    roundTrips = [...roundTrips, took].slice(-15);
    dispatchEvent(new CustomEvent("worldloom:round-trip", { detail: took }));
  }
}, requestAnimationFrame.bind(window));

async function arrived(frame) {
  const picture = await decode(frame, size.width, size.height);
  connection.send({ type: "ack", frame: frame.id });
  const wasPaused = paused;
  paused = Boolean(frame.flags & FLAGS.paused);
  time.arrived(frame, picture);
  if (paused || wasPaused || frame.flags & (FLAGS.reset | FLAGS.rewound)) pacer.reset();
  pacer.offer({ frame, picture }, performance.now());
  modelTime = frame.modelTime || modelTime;
  if (!time.back) show(paused ? "paused" : frame.flags & FLAGS.ended ? "ended" : "playing");
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const ms = (value) => (value == null ? "–" : `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`);
setInterval(() => {
  const running = document.body.dataset.state === "playing" && pacer.interval;
  $("fps").textContent = running ? (1000 / pacer.interval).toFixed(1) : "–";
  $("round-trip").textContent = ms(median(roundTrips));
  $("model-time").textContent = ms(modelTime);
}, 250);

const connection = new Connection(
  `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`,
  new URLSearchParams(location.search).get("token") ?? "",
  {
    ready(message) {
      size = { width: message.width, height: message.height };
      belongs = new Set(message.keys.flatMap((entry) => entry.codes));
      view.resize(size.width, size.height);
      buttons.show(message.keys);
      const [word, meaning] = KINDS[message.kind];
      Object.assign($("kind"), { textContent: word, title: meaning, hidden: false });
      $("kind").dataset.kind = message.kind;
      $("title").textContent = message.title;
      document.title = `${message.title} · worldloom`;
      paused = false;
      pacer.reset();
      time.ready(message);
      if (document.hidden) hide();
    },
    frame: arrived,
    branches: (message) => time.branches(message),
    stats(message) {
      if (document.activeElement !== $("seed")) $("seed").value = message.seed;
      $("server-time").textContent = ms(message.stages.input_to_frame?.p50);
    },
    error(message) {
      const words = [message.message, message.hint].filter(Boolean).join(" · ");
      if (message.code !== "refused") return show("error", words);
      told = { words, until: performance.now() + 3000 };
      show(document.body.dataset.state, words);
      setTimeout(() => show(document.body.dataset.state), 3010);
    },
    lost() {
      time.lost();
      held.clear();
      show("lost");
    },
  },
);

const actions = {
  pause: () => connection.send({ type: "pause", on: !paused }),
  step: () => connection.send({ type: "step" }),
  reset: () => connection.send({ type: "reset", seed: seed() }),
  next() {
    $("seed").value = Math.min(2 ** 31 - 1, seed() + 1);
    actions.reset();
  },
};
for (const [name, act] of Object.entries(actions)) {
  $(name).addEventListener("click", (event) => {
    act();
    if (event.detail) stage.focus(); // a mouse or a finger: give the keyboard back to the world
  });
}
$("seed").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  actions.reset();
  stage.focus();
});
listen(
  held,
  (code) => belongs.has(code),
  new Map([
    ["KeyP", actions.pause],
    ["Period", actions.step],
    ["KeyR", actions.reset],
    ["KeyN", actions.next],
    ["KeyB", () => time.branch()],
    ["BracketLeft", () => time.turn(-1)],
    ["BracketRight", () => time.turn(1)],
    ["Backspace", () => time.hold()],
  ]),
);

// A world that nobody looks at stands still.
function hide() {
  pausedByHiding = !paused;
  if (pausedByHiding) connection.send({ type: "pause", on: true });
}
document.addEventListener("visibilitychange", () => {
  pacer.reset();
  if (document.hidden) return hide();
  if (pausedByHiding) connection.send({ type: "pause", on: false });
  pausedByHiding = false;
});
stage.addEventListener("pointerdown", () => stage.focus());
show("connecting");
stage.focus({ preventScroll: true });
