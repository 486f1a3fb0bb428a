// Talks to the host: REST requests and the one WebSocket, with topics that
// several parts of a page may share.

import { signal } from '../vendor/ui.mjs';
import { Sequence, backOff } from './topics.mjs';

/** `open` | `connecting` | `lost`, since when, and when it is tried again, in ms. */
export const connection = signal({ state: 'connecting', since: Date.now(), again: null });
/** `unknown` | `in` | `out` (never logged in) | `expired` (keep the view). */
export const session = signal('unknown');
/** What the host said when it took leave, or null. */
export const farewell = signal(null);
/** The run of this connection; another one means that the host was restarted. */
export const runId = signal(null);

/** A request to `/api/v1`. Throws an Error whose message is the host's own. */
export async function api(path, { method = 'GET', body } = {}) {
  const response = await fetch(`/api/v1${path}`, {
    method,
    credentials: 'same-origin',
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && path !== '/session') {
    session.value = session.value === 'in' || session.value === 'expired' ? 'expired' : 'out';
  }
  const error = new Error(answer?.error?.message ?? `The host answered ${response.status}`);
  throw Object.assign(error, { status: response.status, retryAfter: response.headers.get('retry-after') });
}

/** @type {Map<string, {sequence: Sequence, listeners: Set<Function>}>} */
const topics = new Map();
let socket = null;
let attempt = 0;
let timer = null;

/** Topics to begin or to end, gathered: the host takes only so many messages a second. */
const asked = new Map();
const FLUSH_MS = 150;
let flushed = 0;
let flushing = null;

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function flush() {
  flushing = null;
  flushed = Date.now();
  for (const t of ['unsub', 'sub']) {
    const names = [...asked].filter(([, what]) => what === t).map(([topic]) => topic);
    if (names.length > 0) send({ t, topics: names });
  }
  asked.clear();
}

/** What a page that nobody sees goes on with: its title and its notices. */
const ALWAYS = ['run', 'strategies', 'events'];
const isWanted = (topic) => !resting || ALWAYS.includes(topic);
/** How long a page is hidden before it asks for less. */
const REST_MS = 10_000;
let resting = false;
let restTimer = null;

/** Asks for less while nobody looks, and for all of it again when somebody does. */
function rest(hidden) {
  if (resting === hidden) return;
  resting = hidden;
  for (const [topic, { sequence }] of topics) {
    if (ALWAYS.includes(topic)) continue;
    sequence.reset();
    ask(topic, hidden ? 'unsub' : 'sub');
  }
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(restTimer);
  if (document.hidden) restTimer = setTimeout(() => rest(true), REST_MS);
  else rest(false);
});

/** Asks for a topic (`sub`, which brings a snapshot) or for its end (`unsub`). */
function ask(topic, t) {
  asked.set(topic, t);
  flushing ??= setTimeout(flush, Math.max(0, flushed + FLUSH_MS - Date.now()));
}

/**
 * Follows a topic. `listener(data, isSnapshot)`. Returns what ends it.
 * @returns {() => void}
 */
export function follow(topic, listener) {
  const entry = topics.get(topic) ?? { sequence: new Sequence(), listeners: new Set() };
  topics.set(topic, entry);
  entry.sequence.reset();
  ask(topic, 'sub');
  entry.listeners.add(listener);
  return () => {
    entry.listeners.delete(listener);
    if (entry.listeners.size === 0 && topics.get(topic) === entry) {
      topics.delete(topic);
      ask(topic, 'unsub');
    }
  };
}

function receive(message) {
  if (message.t === 'hello') {
    attempt = 0;
    farewell.value = null;
    connection.value = { state: 'open', since: Date.now(), again: null };
    // A host that has just begun does not know its run yet; the topic `run` will.
    if (message.run) runId.value = message.run;
    for (const { sequence } of topics.values()) sequence.reset();
    asked.clear();
    for (const topic of topics.keys()) if (isWanted(topic)) ask(topic, 'sub');
  } else if (message.t === 'snap' || message.t === 'upd') {
    const entry = topics.get(message.topic);
    const verdict = entry?.sequence.take(message);
    if (verdict === 'apply') {
      for (const listener of entry.listeners) listener(message.data, message.t === 'snap');
    } else if (verdict === 'gap') {
      ask(message.topic, 'sub');
    }
  } else if (message.t === 'resync') {
    topics.get(message.topic)?.sequence.reset();
  } else if (message.t === 'shutdown') {
    farewell.value = message.reason ?? 'The host was stopped';
  }
}

function lost() {
  socket = null;
  if (connection.value.state !== 'lost') connection.value = { state: 'lost', since: Date.now(), again: null };
  // A refused upgrade does not say why; a request does.
  api('/me').catch(() => {});
  if (session.value !== 'in') return;
  const wait = backOff(attempt);
  connection.value = { ...connection.value, again: Date.now() + wait };
  timer = setTimeout(connect, wait);
  attempt += 1;
}

/** Opens the socket, and opens it again whenever it is lost. */
export function connect() {
  clearTimeout(timer);
  if (socket !== null) return;
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new WebSocket(`${scheme}://${location.host}/api/v1/ws`, 'sandpaper.v1');
  const opened = socket;
  socket.onmessage = ({ data }) => {
    if (socket === opened) receive(JSON.parse(data));
  };
  socket.onclose = () => {
    if (socket === opened) lost();
  };
}
/** Closes the socket for good. */
export function disconnect() {
  clearTimeout(timer);
  const open = socket;
  socket = null;
  open?.close(1000);
}
