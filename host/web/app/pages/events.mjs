// Everything that happened, newest first, to filter and to follow.

import { html, useState } from '../../vendor/ui.mjs';
import * as f from '../format.mjs';
import { Empty, Export, Panel, Skeleton } from '../parts.mjs';
import { address } from '../route.mjs';
import { matches } from '../sort.mjs';
import * as store from '../store.mjs';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
const KINDS = ['fill', 'order', 'reject', 'log', 'fault', 'feed', 'operator', 'charge', 'status'];
const SHOWN_MOST = 300;

const buys = (fill) => fill.side === 'buy' || fill.action === 'buy' || fill.action === 'cover';

/** True when it was not the strategy's own order that filled: a stop, a target, a person. */
const unusual = (fill) => fill.cause && fill.cause !== 'strategy' && fill.cause !== fill.reason;

/** What a fill did and why, in one line. */
function FillText({ fill }) {
  const bought = buys(fill);
  return html`<span class=${bought ? 'buy' : 'sell'}>${bought ? '▲' : '▼'} ${fill.action ?? fill.side}</span> ${f.quantity(fill.quantity)} ${fill.symbol} at ${f.price(fill.price)}${
    fill.fee && html`<span class="muted"> · fee ${f.money(fill.fee)}</span>`}${fill.reason && html` · “${fill.reason}”`}${
    unusual(fill) && html`<span class="muted"> · ${fill.cause}</span>`}`;
}

/** The newest fill, with its reason: why did it trade? */
export function LastFill({ fill, named = false }) {
  if (!fill) return null;
  return html`<p class="last"><b>Last trade</b> ${f.clock(f.millis(fill.ts_ns), store.prefs.value.zone)} ${named && html`<a href=${address('strategy', fill.strategy)}>${fill.strategy}</a> `}<span class=${
    buys(fill) ? 'buy' : 'sell'}>${buys(fill) ? '▲' : '▼'} ${fill.action ?? fill.side}</span> ${f.quantity(fill.quantity)} ${fill.symbol} at ${f.price(fill.price)}${
    fill.reason ? html` because “${fill.reason}”` : html`<span class="muted"> (no reason given)</span>`}${unusual(fill) && html`<span class="muted"> · ${fill.cause}</span>`}</p>`;
}

/** Events as a list that a screen reader follows. */
export function EventList({ events, loading, marked = null }) {
  if (loading) return html`<${Skeleton} rows=${6} />`;
  if (events.length === 0) return html`<${Empty}>Nothing yet. Fills, refusals, faults and log lines of strategies appear here.<//>`;
  return html`<ol class="events" role="log" aria-label="Events" tabindex="0">${events.map((event) => html`
    <li key=${event.seq} class="${event.level} ${String(event.seq) === marked ? 'marked' : ''}">
      <a class="time" href=${address('events', null, { seq: event.seq })} title="Event ${event.seq}, ${f.fullTime(f.millis(event.ts_ns), store.prefs.value.zone)}">${f.clock(f.millis(event.ts_ns), store.prefs.value.zone)}</a>
      <span class="kind ${event.level}">${event.kind}</span>
      <span class="what">${event.strategy && html`<a href=${address('strategy', event.strategy)}>${event.strategy}</a> `}${event.fill ? html`<${FillText} fill=${event.fill} />` : html`${event.symbol && html`<span class="muted">${event.symbol} </span>`}${event.text}`}</span></li>`)}</ol>`;
}

export function Events({ route }) {
  const { level = '', kind = '', strategy = '', q = '', seq = null } = route.query;
  const [frozen, setFrozen] = useState(null);
  const all = frozen ?? store.events.value ?? [];
  const least = LEVELS.indexOf(level);
  const found = all.filter((event) => (least < 0 || LEVELS.indexOf(event.level) >= least) && (kind === '' || event.kind === kind)
    && (strategy === '' || event.strategy === strategy) && (q === '' || matches(`${event.text} ${event.strategy ?? ''} ${event.symbol ?? ''} ${event.fill?.reason ?? ''}`, q)));
  const shown = found.slice(-SHOWN_MOST).reverse();
  const marked = seq === null ? null : all.find((event) => String(event.seq) === seq);
  const choose = (change) => store.go(address('events', null, { level, kind, strategy, q, ...change }), true);
  const Select = ({ label, value, options, name }) => html`<label class="inline">${label}<select name=${name} value=${value} onChange=${(e) => choose({ [name]: e.target.value })}>
    <option value="">all</option>${options.map((option) => html`<option key=${option} value=${option}>${option}</option>`)}</select></label>`;
  const names = (store.strategies.value ?? []).filter((row) => !row.benchmark).map(({ name }) => name);
  return html`<h1>Events</h1>
    ${seq !== null && html`<${Panel} title=${`Event ${seq}`} tools=${html`<a href="#/events">All events</a>`}>
      ${marked ? html`<${EventList} events=${[marked]} marked=${seq} />` : html`<${Empty}>This event is not among the newest ${f.count(all.length)}. The run's journal has it.<//>`}<//>`}
    <${Panel} title="All events" className="span" tools=${html`
      ${Select({ label: 'Level', name: 'level', value: level, options: LEVELS })}${Select({ label: 'Kind', name: 'kind', value: kind, options: KINDS })}
      ${Select({ label: 'Strategy', name: 'strategy', value: strategy, options: names })}
      <input type="search" name="filter" data-filter placeholder="Filter ( / )" aria-label="Filter events" value=${q} onInput=${(e) => choose({ q: e.target.value })} />
      <button class="quiet" aria-pressed=${frozen === null} onClick=${() => setFrozen(frozen === null ? store.events.value ?? [] : null)}>${frozen === null ? 'Following' : 'Follow'}</button>
      <${Export} name="events" rows=${found} />`}>
      <${EventList} events=${shown} loading=${store.events.value === null} marked=${seq} />
      ${found.length > shown.length && html`<p class="note">The newest ${SHOWN_MOST} of ${f.count(found.length)}; the export has all that are kept here.</p>`}<//>`;
}

