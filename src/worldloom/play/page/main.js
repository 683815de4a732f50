// Wires socket, keys, canvas and figures together. Each module knows only its own part.

import { Analog } from "./analog.js";
import { Beside } from "./beside.js";
import { Buttons } from "./buttons.js";
import { Connection, FLAGS } from "./connection.js";
import { Futures } from "./futures.js";
import { Gamepads } from "./gamepad.js";
import { Held, listen } from "./held.js";
import { Keep } from "./keep.js";
import { Lies } from "./lies.js";
import { modal } from "./modal.js";
import { Pacer } from "./pacer.js";
import { Save } from "./save.js";
import { Starts } from "./starts.js";
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

const token = new URLSearchParams(location.search).get("token") ?? "";
const stage = $("stage");
const view = new View($("view"), stage, $("panes"));
const buttons = new Buttons($("pad"), $("others"), null);
let size = { width: 1, height: 1 };
let belongs = new Set();
let paused = false;
let waits = null; // why the world stands still without having been paused
let echoed = 0;
let roundTrips = [];
let modelTime = null;
let doubt = null;
let told = { words: "", until: 0 };

const now = () => Math.max(1, Math.round(performance.now())) >>> 0;
const send = (message) => connection.send(message);
const leave = () => stage.focus({ preventScroll: true });

const held = new Held((codes) => {
  buttons.light(codes);
  told.until = 0;
  say();
});
buttons.held = held;
const analog = new Analog(
  { list: $("axes"), centre: $("centre"), stage, hint: $("mouse-hint") },
  () => say(),
  held,
);

/** Everything that is done now: keys, sliders and sticks, and how far the mouse went. */
function say() {
  const codes = [...held.codes].slice(-32);
  send({ type: "keys", held: codes, tapped: [], time: now(), ...analog.take() });
}

function show(state, words = WORDS[state]) {
  const tells = performance.now() < told.until;
  if (tells) words = told.words;
  document.body.dataset.state = state;
  $("notice").classList.toggle("told", tells);
  if ($("notice").textContent !== words) $("notice").textContent = words;
  const word = state === "paused" ? "Resume" : "Pause";
  if ($("pause-word").textContent === word) return;
  $("pause-word").textContent = word;
  $("pause").setAttribute("aria-label", word); // where there is room for the sign only
}

/** Says something over the world for a while. */
function tell(words, milliseconds = 4000) {
  told = { words, until: performance.now() + milliseconds };
  show(document.body.dataset.state, words || undefined);
  setTimeout(() => show(document.body.dataset.state), milliseconds + 10);
}

// A world that nobody looks at stands still, and so it does behind a dialog.
function wait(why) {
  if (paused || waits) return;
  waits = why;
  send({ type: "pause", on: true });
}
function goOn(why) {
  if (waits !== why) return;
  waits = null;
  send({ type: "pause", on: false });
}
const dialogs = { opened: () => wait("dialog"), closed: () => goOn("dialog"), leave };

const time = new Time(send, {
  preview: (film, moment) => view.preview(film, moment),
  tell: show,
  isPaused: () => paused,
  leave,
  mark: () => beside.parted,
});
const beside = new Beside(send, { tell, leave, redraw: (panes) => view.draw(panes) });
const futures = new Futures(send, { isPaused: () => paused, leave });
const keep = new Keep(send, (dialog) => modal(dialog, dialogs), {
  tell,
  leave,
  isBeside: () => beside.on,
  opens() {
    waits = null; // one stays where one arrives
  },
});
const starts = new Starts(token, {
  ...dialogs,
  begin(start) {
    send({ type: "reset", ...start });
    leave();
  },
  tell,
});
const lies = new Lies(token, (dialog) => modal(dialog, dialogs), {
  bring: (name, word) => starts.bring(name, word),
  leave,
});
const save = new Save(send, token, {
  ...dialogs,
  kept: () => (time.film ? time.film.head - time.film.oldest : 0),
});
const gamepads = new Gamepads(held, analog, {
  start: () => actions.pause(),
  back: () => time.hold(),
  connected(name) {
    $("pad-hint").hidden = !name;
    $("pad-hint").textContent = name && "gamepad connected";
    $("pad-hint").title = name;
  },
});

const pacer = new Pacer(({ frame, panes }) => {
  if (!time.back) view.draw(panes);
  stage.dataset.frame = frame.id;
  if (frame.inputTime && frame.inputTime !== echoed) {
    echoed = frame.inputTime;
    const took = performance.now() - frame.inputTime;
    roundTrips = [...roundTrips, took].slice(-15);
    dispatchEvent(new CustomEvent("worldloom:round-trip", { detail: took }));
  }
}, requestAnimationFrame.bind(window));

async function arrived(frame) {
  const isBeside = Boolean(frame.flags & FLAGS.beside);
  const picture = await decode(frame, isBeside ? 2 * size.width : size.width, size.height);
  send({ type: "ack", frame: frame.id });
  const wasPaused = paused;
  paused = Boolean(frame.flags & FLAGS.paused);
  if (time.isStale(frame)) return; // or what one has left would be seen once more
  const { dream, panes } = beside.split(picture, isBeside);
  time.arrived(frame, dream);
  if (paused || wasPaused || frame.flags & (FLAGS.reset | FLAGS.rewound)) pacer.reset();
  pacer.offer({ frame, panes }, performance.now());
  modelTime = frame.modelTime || modelTime;
  doubt = frame.doubt;
  if (!time.back) show(paused ? "paused" : frame.flags & FLAGS.ended ? "ended" : "playing");
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const ms = (value) => (value == null ? "–" : `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`);
setInterval(() => {
  const running = document.body.dataset.state === "playing" && pacer.interval;
  $("fps").textContent = running ? (1000 / pacer.interval).toFixed(1) : "–";
  $("round-trip").textContent = ms(median(roundTrips));
  $("model-time").textContent = ms(modelTime);
  $("doubt-figure").hidden = doubt === null;
  if (doubt === null) return;
  $("doubt").textContent = `${Math.round(100 * doubt)}%`;
  $("doubt-bar").style.setProperty("--doubt", doubt);
}, 250);

const connection = new Connection(
  `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`,
  token,
  {
    ready(message) {
      size = { width: message.width, height: message.height };
      belongs = new Set(message.keys.flatMap((entry) => entry.codes));
      view.resize(size.width, size.height);
      buttons.show(message.keys);
      analog.show(message.axes);
      gamepads.show(message.keys, message.axes);
      const [word, meaning] = KINDS[message.kind];
      Object.assign($("kind"), { textContent: word, title: meaning, hidden: false });
      $("kind").dataset.kind = message.kind;
      $("title").textContent = message.title;
      document.title = `${message.title} · worldloom`;
      paused = false;
      waits = null;
      pacer.reset();
      time.ready(message);
      beside.ready(message);
      futures.ready(message);
      starts.ready(message);
      lies.ready(message);
      save.ready(message);
      if (Number($("speed").value) !== 1) speed();
      keep.ready(message);
      if (document.hidden) wait("hidden");
    },
    frame: arrived,
    beside: (message) => beside.heard(message),
    future: (message) => futures.heard(message),
    recording: (message) => keep.recorded(message),
    kept: (message) => keep.kept(message),
    moment: (message) => keep.told(message),
    opening: (message) => keep.opening(message),
    opened: (message) => keep.opened(message),
    branches: (message) => time.branches(message),
    exporting: (message) => save.progress(message),
    exported: (message) => save.made(message),
    stats(message) {
      starts.shown(message.seed);
      $("server-time").textContent = ms(message.stages.input_to_frame?.p50);
    },
    error(message) {
      const words = [message.message, message.hint].filter(Boolean).join(" · ");
      if (connection.final) return show("error", words);
      save.idle("");
      futures.said(words);
      tell(words);
    },
    notice: (message) => tell(message.message, 1000 * message.seconds),
    lost() {
      time.lost();
      futures.lost();
      analog.clear();
      held.clear();
      save.idle("");
      show("lost");
    },
  },
);

function speed() {
  send({ type: "speed", factor: Number($("speed").value) });
  pacer.reset();
}
$("speed").addEventListener("change", () => {
  speed();
  leave();
});

const actions = {
  pause() {
    waits = null;
    send({ type: "pause", on: !paused });
  },
  step: () => send({ type: "step" }),
  reset: () => starts.again(),
  next: () => starts.next(),
};
for (const [name, act] of Object.entries(actions)) {
  $(name).addEventListener("click", (event) => {
    act();
    if (event.detail) leave(); // a mouse or a finger: give the keyboard back to the world
  });
}
listen(
  held,
  (code) => belongs.has(code),
  new Map([
    ["KeyP", actions.pause],
    ["Period", actions.step],
    ["KeyR", actions.reset],
    ["KeyN", actions.next],
    ["KeyB", () => time.branch()],
    ["KeyC", () => beside.toggle()],
    ["KeyF", () => futures.open()],
    ["BracketLeft", () => time.turn(-1)],
    ["BracketRight", () => time.turn(1)],
    ["Backspace", () => time.hold()],
  ]),
);

document.addEventListener("visibilitychange", () => {
  pacer.reset();
  if (document.hidden) wait("hidden");
  else goOn("hidden");
});
stage.addEventListener("pointerdown", leave);
show("connecting");
leave();
