// Whether the market data is well, and when it was not.

import { html } from '../../vendor/ui.mjs';
import * as f from '../format.mjs';
import { Chip, Empty, Export, Facts, Panel, Skeleton, Table } from '../parts.mjs';
import * as store from '../store.mjs';
import { listOf } from '../topics.mjs';

const SAYS = { ok: 'Market data arrives as it should.', down: 'There is no connection and no market data; nothing fills.' };

/** What the state means, with how much of the market it is about. */
function says({ state }, symbols) {
  if (state !== 'stale') return SAYS[state] ?? '';
  const old = symbols.filter(({ status }) => status === 'stale').length;
  return `The connection stands, but ${old === symbols.length ? 'no symbol has' : `${old} of ${f.counted(symbols.length, 'symbol')} ${old === 1 ? 'has' : 'have'} no`} prices that can be trusted; nothing fills there.`;
}
const counted = (key, label, title) => ({ key, label, title, value: (s) => s[key], show: (s) => html`<span class=${s[key] > 0 && key !== 'messages' ? 'loss' : ''}>${f.count(s[key])}</span>` });
const age = (s) => s.last_message_age_ms ?? null;
const since = (channel) => (s) => s.ages_ms?.[channel] ?? null;
const ago = (value) => (s) => (value(s) === null ? f.UNKNOWN : `${f.duration(value(s) / 1000)} ago`);
const COLUMNS = [
  { key: 'symbol', label: 'Symbol', text: true, value: (s) => s.symbol, show: (s) => html`<b>${s.symbol}</b>` },
  { key: 'status', label: 'Status', text: true, value: (s) => s.status, show: (s) => html`<${Chip} status=${s.status} />` },
  { key: 'age', label: 'Last message', value: age, show: ago(age) },
  { key: 'book', label: 'Last book', value: since('book'), show: ago(since('book')) }, { key: 'trade', label: 'Last trade', value: since('trade'), show: ago(since('trade')) },
  counted('messages', 'Messages'), counted('gaps', 'Gaps', 'Messages that were missed'), counted('checksum_failures', 'Checksum failures', 'The book was not as the exchange says'),
];

const ofMarket = (key) => (s) => store.market.value?.find((row) => row.symbol === s.symbol)?.[key] ?? null;
const PRICES = [
  { key: 'last', label: 'Last', value: ofMarket('last'), show: (s) => f.price(ofMarket('last')(s)) },
  { key: 'bid', label: 'Bid', value: ofMarket('bid'), show: (s) => f.price(ofMarket('bid')(s)) },
  { key: 'ask', label: 'Ask', value: ofMarket('ask'), show: (s) => f.price(ofMarket('ask')(s)) },
];

/** The run as a strip, with its outages. */
function Strip({ outages }) {
  const run = store.run.value;
  const [from, to] = [f.millis(run?.started_ns), f.millis(run?.now_ns)];
  if (from === null || to === null || to <= from) return null;
  const place = (ms) => `${Math.max(0, Math.min(100, (100 * (ms - from)) / (to - from)))}%`;
  return html`<div class="timeline" role="img" aria-label=${`${outages.length} outages since the start of the run`}>${outages.map((at, index) => {
    const [begin, end] = [f.millis(at.from_ns), at.to_ns ? f.millis(at.to_ns) : to];
    return html`<span key=${index} title=${at.why} style=${{ left: place(begin), width: `max(2px, ${(100 * Math.max(0, end - begin)) / (to - from)}%)` }} />`;
  })}</div><div class="row spread muted"><small>${f.moment(from, store.prefs.value.zone)}</small><small>${f.moment(to, store.prefs.value.zone)}</small></div>`;
}

/** What a connection knows is not known of a market that is made in the program. */
const MADE = ['symbol', 'status'];

export function Feed() {
  const feed = store.feed.value;
  if (feed === null) return html`<h1>Feed health</h1><${Skeleton} rows=${6} />`;
  const { zone } = store.prefs.value;
  const outages = listOf(feed, 'outages');
  const symbols = listOf(feed, 'symbols');
  return html`<h1>Feed health</h1>
    <section class="panel head"><p class="verdict"><${Chip} status=${feed.state} /> ${says(feed, symbols)}</p>
      <${Facts} pairs=${[['Source', feed.kind], ['Since', f.moment(f.millis(feed.since_ns), zone)], ['Events', `${f.count(store.run.value?.events_per_s)} /s`], ['Outages', f.count(outages.length)],
        ...(feed.venue ? [['Connections lost', f.count(feed.reconnects)], ['Unreadable', f.count(feed.parse_errors), 'Frames that could not be read'], ['Venue', feed.venue, feed.url], ['Connection', feed.connected ? 'open' : 'closed'], ['Attempts to connect', f.count(feed.attempts)], ['Frames', f.count(feed.frames)],
          ['Trades missed', f.count(feed.trades_missed)], ['Asked for anew', f.count(feed.resubscriptions), 'Channels of a symbol after a doubt'], ['Clock skew', feed.skew_ms === null || feed.skew_ms === undefined ? null : `${f.ratio(feed.skew_ms, 0)} ms`, 'Our clock minus the venue’s at the latest event: a delay and the difference of two clocks']] : [])]} />
      ${!feed.venue && html`<p class="meta">This market is made or replayed in the program itself: no connection can be lost, and nothing can be missed.</p>`}
      ${feed.last_loss && html`<p class="meta">The last connection ended: ${feed.last_loss}</p>`}
      ${feed.last_refusal && html`<p class="meta">The last frame that was refused: ${feed.last_refusal} (${Object.entries(feed.errors ?? {}).map(([kind, n]) => `${kind} ${f.count(n)}`).join(', ')})</p>`}</section>
    <${Panel} title="Symbols" className="span" tools=${html`<${Export} name="feed" rows=${symbols} />`}>${symbols.length === 0 ? html`<${Empty}>No symbol yet.<//>` : html`<${Table} name="Symbols" columns=${feed.venue ? COLUMNS : [...COLUMNS.filter(({ key }) => MADE.includes(key)), ...PRICES]} rows=${symbols} keyOf=${(s) => s.symbol} />`}<//>
    <${Panel} title="Outages" className="span" tools=${html`<${Export} name="outages" rows=${outages} />`}><${Strip} outages=${outages} />
      ${outages.length === 0 ? html`<${Empty}>None in this run.<//>` : html`<${Table} name="Outages" rows=${outages.toReversed()} columns=${[
        { key: 'from', label: 'From', show: (o) => f.moment(f.millis(o.from_ns), zone) }, { key: 'to', label: 'Until', show: (o) => (o.to_ns ? f.moment(f.millis(o.to_ns), zone) : 'now') },
        { key: 'length', label: 'Lasted', show: (o) => f.duration(((o.to_ns ? f.millis(o.to_ns) : f.millis(store.run.value?.now_ns)) - f.millis(o.from_ns)) / 1000) },
        { key: 'symbol', label: 'Symbol', text: true, show: (o) => o.symbol ?? 'all' }, { key: 'why', label: 'Why', text: true }]} />`}<//>`;
}
