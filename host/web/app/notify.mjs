// Notices of the browser, when the user asked for them: a fault, a feed that is
// down, a strategy that was stopped or stands far below its peak.

import { effect } from '../vendor/ui.mjs';
import { number, percent } from './format.mjs';
import { events, prefs, run, setPref, strategies } from './store.mjs';

const LOUD = (event) => event.kind === 'fault' || (event.level === 'error' && event.kind !== 'log')
  || (event.kind === 'operator' && /kill/i.test(event.text ?? ''));

function show(title, body) {
  // The tag replaces an older notice of the same kind instead of piling up.
  new Notification(`Sandpaper: ${title}`, { body: String(body ?? '').slice(0, 200), tag: title });
  if (prefs.value.sound) beep();
}

/** A short tone, made here: nothing is loaded for it. */
function beep() {
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio, { frequency: 660 });
  tone.connect(new GainNode(audio, { gain: 0.1 })).connect(audio.destination);
  tone.onended = () => audio.close();
  tone.start();
  tone.stop(audio.currentTime + 0.15);
}

/** Turns notices on, when the browser's user agrees, or off. */
export async function setNotices(on) {
  if (on && (await Notification.requestPermission()) !== 'granted') return;
  setPref('notices', on);
}

/** True where this browser can show notices at all. */
export const canNotify = () => 'Notification' in globalThis;

/** Watches for what deserves a notice. What is already there when it starts is old. */
export function watch() {
  let seen = null;
  let feed = null;
  effect(() => {
    const list = events.value;
    if (list === null) return;
    const newest = Number(list.at(-1)?.seq ?? 0);
    const fresh = seen === null ? [] : list.filter((event) => Number(event.seq) > seen && LOUD(event));
    // After a restart of the host the numbers begin anew.
    seen = newest;
    if (!prefs.value.notices || !canNotify()) return;
    for (const event of fresh.slice(-3)) show(event.strategy ?? event.kind, event.text);
  });
  effect(() => {
    const state = run.value?.feed ?? null;
    if (feed !== null && state === 'down' && feed !== 'down' && prefs.value.notices && canNotify()) {
      show('feed', 'The market feed is down.');
    }
    feed = state;
  });
  watchDrawdowns();
}

/** One notice for each fall below the line, and none for what was below from the start. */
function watchDrawdowns() {
  const below = new Map();
  effect(() => {
    const limit = prefs.value.drawdown;
    for (const { name, benchmark, drawdown_pct: drawdown } of strategies.value ?? []) {
      const now = number(drawdown) !== null && number(drawdown) > limit;
      if (benchmark) continue;
      if (now && below.get(name) === false && prefs.value.notices && canNotify()) {
        show(`${name}: drawdown`, `It stands ${percent(drawdown)} below its peak.`);
      }
      below.set(name, now);
    }
  });
}
