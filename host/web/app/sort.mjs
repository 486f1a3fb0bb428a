// Order and export of rows. Pure.

import { number } from './format.mjs';

/** Compares two cells: numbers as numbers, the rest as text. */
function compare(a, b) {
  const [x, y] = [number(a), number(b)];
  if (x !== null && y !== null) return x - y;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

/**
 * Rows by a column, stably; what is unknown stands last in either direction.
 * @param {object[]} rows
 * @param {(row: object) => unknown} value
 * @param {'ascending'|'descending'} direction
 */
export function sorted(rows, value, direction) {
  const sign = direction === 'descending' ? -1 : 1;
  const unknown = (cell) => cell === null || cell === undefined || cell === '';
  return rows.map((row) => [value(row), row]).sort(([a], [b]) => {
    if (unknown(a) || unknown(b)) return Number(unknown(a)) - Number(unknown(b));
    return sign * compare(a, b);
  }).map(([, row]) => row);
}

/** One CSV cell. A text that a spreadsheet would run as a formula is made plain. */
export function cell(value) {
  if (value === null || value === undefined) return '';
  let text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  if (/^[=+\-@\t\r]/.test(text) && number(text) === null) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as CSV after RFC 4180, with the union of their fields as header. */
export function csv(rows) {
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [fields.map(cell).join(',')];
  for (const row of rows) lines.push(fields.map((field) => cell(row[field])).join(','));
  return `${lines.join('\r\n')}\r\n`;
}

/** True when every word of a filter stands somewhere in the text. */
export function matches(text, filter) {
  const hay = text.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => hay.includes(word));
}
