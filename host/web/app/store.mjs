// What the pages show: the host's state as it arrives, and the user's choices.

import { effect, signal } from '../vendor/ui.mjs';
import { api, connect, follow, runId, session } from './net.mjs';
import { writeNumbersAs } from './format.mjs';
import { append, listOf } from './topics.mjs';
import { parse } from './route.mjs';

const EVENTS_MOST = 2000;

/** Null until it is known. */
export const me = signal(null);
export const run = signal(null);
export const strategies = signal(null);
export const market = signal(null);
export const feed = signal(null);
export const events = signal(null);
/** The first run that this page showed; `runId` differs after a restart. */
export const firstRun = signal(null);
/** True when this host takes commands for strategies from here. */
export const commands = signal(false);
/** True when it takes them for all strategies at once. */
export const commandsForAll = signal(false);
/** True when the host serves other pages than those that run here. */
export const filesChanged = signal(false);
/** When the last message came, in ms. */
export const heard = signal(Date.now());
export const route = signal(parse(location.hash));
/** Ticks once a second, for clocks and ages. */
export const now = signal(Date.now());

const DEFAULTS = { theme: 'auto', colors: 'green-red', zone: 'utc', density: 'cozy', notices: false, sound: false, drawdown: 10, hidden: [], folded: [], numbers: 'en-US', motion: 'auto', looked: null };

function stored() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem('sandpaper') ?? '{}') };
  } catch {
    return { ...DEFAULTS };
  }
}

/** Forgets which parts are folded and which strategies are charted. */
export function resetLayout() {
  setPref('folded', DEFAULTS.folded);
  setPref('hidden', DEFAULTS.hidden);
}

/** The user's choices, kept in this browser. */
export const prefs = signal(stored());

export function setPref(name, value) {
  prefs.value = { ...prefs.value, [name]: value };
  localStorage.setItem('sandpaper', JSON.stringify(prefs.value));
}

/** Light or dark, as it is shown now. */
export function themeNow() {
  const { theme } = prefs.value;
  if (theme !== 'auto') return theme;
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

effect(() => {
  const root = document.documentElement;
  root.dataset.theme = prefs.value.theme;
  root.dataset.colors = prefs.value.colors;
  root.dataset.density = prefs.value.density;
  root.dataset.motion = prefs.value.motion;
  writeNumbersAs(prefs.value.numbers);
});

const note = (target, pick) => (data) => {
  heard.value = Date.now();
  target.value = pick(data);
};

/** The host may have come back with other pages than these. */
function compareFiles() {
  api('/me').then(({ ui_hash: hash }) => {
    if (hash && me.value?.ui_hash && hash !== me.value.ui_hash) filesChanged.value = true;
  }, () => {});
}

let started = false;

/** Loads who we are, then follows what every page needs. */
export async function start() {
  me.value = await api('/me');
  session.value = 'in';
  connect();
  if (started) return;
  started = true;
  api('/openapi.json').then(({ paths }) => {
    const has = (pattern) => Object.keys(paths ?? {}).some((path) => pattern.test(path));
    commands.value = has(/\/strategies\/\{\w+\}\/(pause|\{\w+\})$/);
    commandsForAll.value = has(/\/run\/(pause|\{\w+\})$/);
  }, () => {});
  follow('run', note(run, (data) => {
    if (data.run) runId.value = data.run;
    return data;
  }));
  follow('strategies', note(strategies, (data) => listOf(data, 'strategies')));
  follow('market', note(market, (data) => listOf(data, 'symbols')));
  follow('feed', note(feed, (data) => data));
  follow('events', (data, isSnapshot) => {
    heard.value = Date.now();
    const fresh = listOf(data, 'events');
    events.value = append(isSnapshot ? [] : events.value ?? [], fresh, EVENTS_MOST);
  });
  effect(() => {
    if (runId.value === null) return;
    if (firstRun.value === null) firstRun.value = runId.value;
    else if (firstRun.value !== runId.value) compareFiles();
  });
  setInterval(() => { now.value = Date.now(); }, 1000);
}

addEventListener('hashchange', () => { route.value = parse(location.hash); });

/** Goes to an address without a new entry in the history when `replace`. */
export function go(hash, replace = false) {
  if (replace) {
    history.replaceState(null, '', hash);
    route.value = parse(hash);
  } else {
    location.hash = hash;
  }
}
