// Small parts that pages are made of. Text is always a text node.

import { html, useEffect, useRef, useState } from '../vendor/ui.mjs';
import * as f from './format.mjs';
import { connection } from './net.mjs';
import { csv, sorted } from './sort.mjs';
import { prefs, run, setPref } from './store.mjs';

const STATUS = {
  running: ['●', 'good'], warming: ['◔', 'info'], paused: ['‖', 'warn'], halted: ['■', 'bad'],
  quarantined: ['✕', 'bad'], stopped: ['□', ''], ok: ['●', 'good'], trading: ['●', 'good'],
  stale: ['▲', 'warn'], down: ['✕', 'bad'], error: ['✕', 'bad'], warn: ['▲', 'warn'], info: ['i', 'info'],
  ended: ['□', ''], allowed: ['✓', 'good'], unsigned: ['!', 'bad'], filled: ['✓', 'good'], rejected: ['✕', 'bad'],
  restarting: ['◔', 'warn'], killed: ['■', 'bad'], unfinished: ['✕', 'warn'], starting: ['◔', 'info'], pending: ['◔', 'info'],
  working: ['◔', 'info'], 'partially-filled': ['◑', 'info'], canceled: ['□', ''], expired: ['□', ''], recovered: ['↻', 'warn'],
};

/** A state as sign and word, never as color alone. */
export function Chip({ status, title }) {
  const [sign, kind] = (Object.hasOwn(STATUS, status) && STATUS[status]) || ['○', ''];
  return html`<span class="chip ${kind}" title=${title ?? ''}><span aria-hidden="true">${sign}</span> ${status ?? 'unknown'}</span>`;
}

/** A number with the color of its sign, unless it reads as zero. */
export const Toned = ({ value, text }) => html`<span class=${f.isShown(text) ? f.tone(value) : ''}>${text}</span>`;

/** Rows that are not there yet. */
export const Skeleton = ({ rows = 4 }) => html`<div class="skeleton" role="status" aria-label="Loading">
  ${Array.from({ length: rows }, (_, index) => html`<div key=${index} />`)}</div>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** A titled part of a page, which can be folded away; `name` where the title changes. */
export function Panel({ title, tools, name = title, className = '', children }) {
  const folded = prefs.value.folded.includes(name);
  const fold = () => setPref('folded', folded ? prefs.value.folded.filter((at) => at !== name) : [...prefs.value.folded, name]);
  return html`<section class="panel ${className} ${folded ? 'folded' : ''}" aria-label=${title}>
    <header><div class="titled"><button class="fold" aria-expanded=${!folded} aria-label=${`${folded ? 'Show' : 'Hide'} ${title}`} onClick=${fold}>${folded ? '▸' : '▾'}</button><h2>${title}</h2></div>
      ${!folded && html`<div class="tools">${tools}</div>`}</header>${!folded && children}</section>`;
}

/** Label and value pairs. */
export const Facts = ({ pairs }) => html`<dl class="facts">${pairs.map(([label, value, title]) => html`
  <div key=${label}><dt>${label}</dt><dd title=${title ?? ''}>${value ?? f.UNKNOWN}</dd></div>`)}</dl>`;

function save(name, blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${run.value?.run ?? 'sandpaper'}-${name}`.replace(/[^\w.-]+/g, '-');
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Buttons that save rows as CSV and JSON. */
export const Export = ({ name, rows }) => html`
  <button class="quiet" disabled=${!rows?.length} onClick=${() => save(`${name}.csv`, new Blob([csv(rows)], { type: 'text/csv' }))}>CSV</button>
  <button class="quiet" disabled=${!rows?.length} onClick=${() => save(`${name}.json`, new Blob([JSON.stringify(rows, null, 2)], { type: 'application/json' }))}>JSON</button>`;

/** Saves a chart with a line below it that says of which run and moment it is. */
export function savePng(name, chart) {
  const canvas = document.createElement('canvas');
  const [scale, line] = [devicePixelRatio || 1, 22];
  [canvas.width, canvas.height] = [chart.width, chart.height + line * scale];
  const look = getComputedStyle(document.documentElement);
  const paint = canvas.getContext('2d');
  paint.fillStyle = look.getPropertyValue('--panel').trim();
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.drawImage(chart, 0, 0);
  paint.fillStyle = look.getPropertyValue('--muted').trim();
  paint.font = `${11 * scale}px ${getComputedStyle(document.body).fontFamily}`;
  const at = run.value?.now_ns ? f.fullTime(f.millis(run.value.now_ns)) : '';
  paint.fillText(`${name} · run ${run.value?.run ?? f.UNKNOWN} · ${at} · paper`, 8 * scale, chart.height + 15 * scale);
  canvas.toBlob((blob) => blob && save(`${name}.png`, blob));
}

/** A button that copies a text. */
export function Copy({ text, label = 'Copy' }) {
  const [done, setDone] = useState(false);
  const copy = () => navigator.clipboard?.writeText(text).then(() => { setDone(true); setTimeout(() => setDone(false), 1500); }, () => {});
  return html`<button class="quiet" onClick=${copy}>${done ? 'Copied' : label}</button>`;
}

/**
 * A table. Columns: `{key, label, value(row), show(row), text, title, minor, roomy}`; one with
 * `value` sorts. On a phone every row is a card with the column's label beside its cell,
 * without the `minor` ones; the `roomy` ones are for windows of 1,400 pixels and more.
 */
export function Table({ name, columns, rows, first, open, keyOf, pinned = [], most = 500 }) {
  const [by, setBy] = useState(first ?? null);
  const column = by && columns.find(({ key }) => key === by.key);
  const ordered = column ? sorted(rows, column.value, by.direction) : rows;
  const turn = (key) => setBy((at) => ({
    key, direction: at?.key === key && at.direction === 'descending' ? 'ascending' : 'descending',
  }));
  const line = (row, index) => html`<tr key=${keyOf ? keyOf(row) : index} class=${open ? 'opens' : ''}
      tabindex=${open ? 0 : undefined} data-row
      onClick=${open && (() => open(row))} onKeyDown=${open && ((event) => event.key === 'Enter' && event.target === event.currentTarget && open(row))}>
    ${columns.map((c) => html`<td key=${c.key} data-label=${c.label} class="c-${c.key} ${c.text ? 'text' : ''} ${c.minor ? 'minor' : ''} ${c.roomy ? 'roomy' : ''}">${c.show ? c.show(row) : row[c.key] ?? f.UNKNOWN}</td>`)}</tr>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${name}><table>
    <thead><tr>${columns.map((c) => html`<th key=${c.key} scope="col" class="c-${c.key} ${c.text ? 'text' : ''} ${c.roomy ? 'roomy' : ''}" title=${c.title ?? ''}
      aria-sort=${by?.key === c.key ? by.direction : c.value ? 'none' : undefined}>
      ${c.value ? html`<button onClick=${() => turn(c.key)}>${c.label}<span aria-hidden="true">${by?.key === c.key ? (by.direction === 'ascending' ? ' ▲' : ' ▼') : ''}</span></button>` : c.label}</th>`)}</tr></thead>
    <tbody>${ordered.slice(0, most).map(line)}${pinned.map(line)}</tbody></table>
    ${ordered.length > most && html`<p class="note">The first ${most} of ${f.count(ordered.length)} rows; the export has all.</p>`}</div>`;
}

/** A small curve without axes. */
export function Sparkline({ values, label }) {
  if (!values || values.length < 2) return html`<span class="muted">${f.UNKNOWN}</span>`;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = (value, index) => `${(index / (values.length - 1)) * 80},${22 - ((value - low) / (high - low || 1)) * 20}`;
  return html`<svg class="spark ${f.tone(values.at(-1) - values[0])}" viewBox="0 0 80 24" role="img" aria-label=${label}>
    <polyline points=${values.map(at).join(' ')} /></svg>`;
}

/** A dialog that asks for a typed reason before something is done. */
export function Confirm({ title, text, action, onDone, onClose }) {
  const dialog = useRef(null);
  const [reason, setReason] = useState('');
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current.showModal(), []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await onDone(reason.trim());
      onClose();
    } catch (error) {
      setProblem(error.message);
      setBusy(false);
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-label=${title}><form onSubmit=${submit}>
    <h2>${title}</h2><p>${text}</p>
    <label>Reason, kept in the log<input name="reason" autocomplete="off" value=${reason} maxlength="200" required autofocus onInput=${(e) => setReason(e.target.value)} /></label>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <div class="row end"><button type="button" onClick=${onClose}>Cancel</button>
    <button class="danger" disabled=${busy || reason.trim().length < 3}>${action}</button></div></form></dialog>`;
}

/** What a request gave: `{data, error}`; asked again when `deps` change or `every` ms. */
export function useRequest(ask, deps, every = 0) {
  const [state, setState] = useState({ data: null, error: null });
  useEffect(() => {
    let live = true;
    setState({ data: null, error: null });
    const load = () => ask().then(
      (data) => live && setState({ data, error: null }),
      (error) => live && setState((at) => ({ data: at.data, error: error.message })),
    );
    load();
    const timer = every > 0 ? setInterval(() => !document.hidden && connection.value.state === 'open' && load(), every) : null;
    return () => { live = false; clearInterval(timer); };
  }, deps);
  return state;
}

export const Problem = ({ text }) => text && html`<p class="problem" role="alert">${text}</p>`;
