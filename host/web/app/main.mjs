// The frame around every page: top bar, navigation, banners, keyboard.

import { html, render, useEffect, useState } from '../vendor/ui.mjs';
import * as f from './format.mjs';
import { HELP, listen } from './keys.mjs';
import { Login } from './login.mjs';
import { connection, farewell, runId, session } from './net.mjs';
import { Chip } from './parts.mjs';
import { watch } from './notify.mjs';
import { address } from './route.mjs';
import * as store from './store.mjs';
import { About } from './pages/about.mjs';
import { Events } from './pages/events.mjs';
import { Feed } from './pages/feed.mjs';
import { Market } from './pages/market.mjs';
import { Overview } from './pages/overview.mjs';
import { Runs } from './pages/runs.mjs';
import { Settings } from './pages/settings.mjs';
import { Strategy } from './pages/strategy.mjs';

const PAGES = {
  overview: Overview, strategy: Strategy, market: Market, feed: Feed,
  runs: Runs, events: Events, settings: Settings, about: About,
};
const LINKS = [
  ['overview', 'Overview', '◫'], ['strategy', 'Strategies', '▤'], ['market', 'Market', '∿'], ['feed', 'Feed', '⇅'],
  ['events', 'Events', '≡'], ['runs', 'Runs', '⟲'], ['settings', 'Settings', '⚙'], ['about', 'About', 'i'],
];
/** Behind "More" on a phone. */
const MINOR = ['feed', 'runs', 'settings', 'about'];
const MODES = { live: 'LIVE FEED', sim: 'SIM', replay: 'REPLAY' };

/** Lost for long enough to say so: a blink is no news. */
const isLost = () => connection.value.state !== 'open' && store.now.value - connection.value.since > 1500;

function TopBar() {
  const run = store.run.value;
  const zone = store.prefs.value.zone;
  const dark = store.themeNow() === 'dark';
  const link = { open: ['●', 'good', 'connected'], connecting: ['◌', 'info', 'connecting'], lost: ['✕', 'bad', 'reconnecting'] }[connection.value.state];
  return html`<header class="top">
    <a class="brand" href="#/">Sandpaper</a>
    <span class="badge ${run?.mode ?? ''}" title="No order leaves this machine">${run ? `${MODES[run.mode] ?? run.mode} · PAPER` : 'PAPER'}</span>
    ${run?.unsigned && html`<span class="badge bad" title="Strategies were run without being allowed">UNSIGNED</span>`}
    <span class="muted wide run" title="Run ${run?.run ?? ''}">${run?.run ?? ''}</span>
    <span class="gap" />
    <${Bell} />
    <a href="#/feed" class="plain" title="Feed health"><span class="wide">Feed </span><${Chip} status=${isLost() ? 'unknown' : run?.feed || 'unknown'} /></a>
    <span class="chip ${link[1]}" title="Connection with the host"><span aria-hidden="true">${link[0]}</span><span class="wide"> ${link[2]}</span></span>
    <button class="quiet wide" title="Switch between UTC and local time" onClick=${() => store.setPref('zone', zone === 'utc' ? 'local' : 'utc')}>
      <time>${f.clock(run?.now_ns ? f.millis(run.now_ns) : store.now.value, zone)}</time> ${zone === 'utc' ? 'UTC' : 'local'}</button>
    <button class="quiet" aria-label="Switch to the ${dark ? 'light' : 'dark'} theme" title="Theme (t)" onClick=${toggleTheme}>${dark ? '☾' : '☀'}</button>
    <span class="muted wide" title="Your role">${store.me.value?.role ?? ''}</span></header>`;
}

/** What deserves a look: faults, commands that ended something, a feed in trouble. */
const isAlert = (event) => event.kind !== 'log' && (event.level === 'warn' || event.level === 'error');

/** How many alerts came since someone looked at them last. */
function Bell() {
  const looked = store.prefs.value.looked;
  const here = looked?.run === runId.value ? looked.seq : 0;
  const alerts = (store.events.value ?? []).filter((event) => event.seq > here && isAlert(event));
  const look = () => store.setPref('looked', { run: runId.value, seq: store.events.value?.at(-1)?.seq ?? 0 });
  const text = f.counted(alerts.length, 'new alert');
  return html`<a href="#/events?level=warn" class="plain bell ${alerts.length > 0 ? 'some' : ''}" aria-label=${text} title=${text} onClick=${look}><span aria-hidden="true">${alerts.length > 0 ? '▲' : '△'}</span>${alerts.length > 0 ? ` ${f.count(alerts.length)}` : ''}</a>`;
}

const toggleTheme = () => store.setPref('theme', store.themeNow() === 'dark' ? 'light' : 'dark');

function Navigation() {
  const [more, setMore] = useState(false);
  const { page } = store.route.value;
  useEffect(() => setMore(false), [store.route.value]);
  return html`<nav class="pages" aria-label="Pages">${LINKS.map(([name, label, sign]) => html`
    <a key=${name} href=${address(name)} class=${MINOR.includes(name) ? `minor ${more ? 'shown' : ''}` : ''} aria-current=${page === name ? 'page' : undefined}>
      <span class="sign" aria-hidden="true">${sign}</span>${label}</a>`)}
    <button class="more" aria-expanded=${more} onClick=${() => setMore(!more)}><span class="sign" aria-hidden="true">⋯</span>More</button></nav>`;
}

/** Which symbols are without prices, unless all are. */
function staleNames() {
  const rows = store.market.value ?? [];
  const old = rows.filter(({ status }) => status === 'stale').map(({ symbol }) => symbol);
  return old.length === 0 || old.length === rows.length ? '' : ` for ${old.join(', ')}`;
}

const feedSince = () => (store.feed.value?.since_ns ? ` since ${f.clock(f.millis(store.feed.value.since_ns), store.prefs.value.zone)}` : '');

function Banners() {
  const run = store.run.value;
  const zone = store.prefs.value.zone;
  const restarted = store.firstRun.value !== null && runId.value !== store.firstRun.value;
  return html`<div class="banners" aria-live="polite">
    ${farewell.value !== null ? html`<p class="banner bad">The host said goodbye: ${farewell.value}. What you see is as of ${f.clock(store.heard.value, zone)}. This page connects again when the host is back.</p>`
      : isLost() && html`<p class="banner bad">No connection with the host since ${f.clock(connection.value.since, zone)}; ${connection.value.again === null ? 'trying again' : `trying again in ${Math.max(0, Math.ceil((connection.value.again - store.now.value) / 1000))} s`}. What you see is as of ${f.clock(store.heard.value, zone)}.</p>`}
    ${!isLost() && run?.feed === 'stale' && html`<p class="banner warn">The market feed is silent${feedSince()}${staleNames()}. The host is well, but prices there are old and nothing fills. <a href="#/feed">Feed health</a></p>`}
    ${!isLost() && run?.feed === 'down' && html`<p class="banner bad" role="alert">The market feed is down${feedSince()}. Strategies get no market data. <a href="#/feed">Feed health</a></p>`}
    ${run?.state === 'ended' && html`<p class="banner info">This run has ended. The results are final.</p>`}
    ${restarted && html`<p class="banner info">The host was restarted${store.filesChanged.value ? ' in another version' : ''}: this is another run than before. <button onClick=${() => location.reload()}>Reload the view</button></p>`}</div>`;
}

function Help({ onClose }) {
  return html`<dialog open class="help" aria-label="Keyboard"><h2>Keyboard</h2>
    <dl class="keys">${HELP.map(([keys, what]) => html`<div key=${keys}><dt><kbd>${keys}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <div class="row end"><button onClick=${onClose} autofocus>Close</button></div></dialog>`;
}

function title() {
  const run = store.run.value;
  const best = store.strategies.value?.filter((row) => !row.benchmark)
    .reduce((at, row) => (at === null || (row.return_pct ?? -Infinity) > (at.return_pct ?? -Infinity) ? row : at), null);
  if (isLost()) return '⚠ disconnected · Sandpaper';
  if (run?.feed && run.feed !== 'ok') return `⚠ feed ${run.feed} · Sandpaper`;
  return best ? `${f.signedPercent(best.return_pct)} ${best.name} | ${run?.open_positions ?? 0} open · Sandpaper` : 'Sandpaper';
}

function App() {
  const [help, setHelp] = useState(false);
  useEffect(() => listen({ help: setHelp, theme: toggleTheme }), []);
  document.title = title();
  if (session.value === 'unknown') return html`<p class="boot">Loading the dashboard…</p>`;
  if (session.value === 'out') return html`<${Login} />`;
  const Page = PAGES[store.route.value.page];
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById('main').focus(); }}>Skip to the content</a>
    <${TopBar} /><${Navigation} />
    <main id="main" tabindex="-1" class=${isLost() ? 'aged' : ''}><${Banners} /><${Page} key=${`${store.route.value.page}/${store.route.value.subject}`} route=${store.route.value} /></main>
    ${session.value === 'expired' && html`<${Login} expired=${true} />`}
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}`;
}

/** Says that these pages have failed, whatever is left of them: what they show may be old. */
function failed(text) {
  if (document.getElementById('failure')) return;
  const bar = Object.assign(document.createElement('p'), { id: 'failure', role: 'alert', textContent: `The page has failed: ${String(text).slice(0, 200)} ` });
  bar.append(Object.assign(document.createElement('button'), { textContent: 'Load it again', onclick: () => location.reload() }));
  document.body.append(bar);
}
addEventListener('error', ({ message }) => failed(message));
addEventListener('unhandledrejection', ({ reason }) => failed(reason?.message ?? reason));

watch();
const place = document.getElementById('app');
place.replaceChildren();
render(html`<${App} />`, place);
