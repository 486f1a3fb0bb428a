// How numbers and times are written. Pure: no document, no state.
// What is unknown is a dash, never a zero.

/** What stands for an unknown value. */
export const UNKNOWN = '–';

const formats = new Map();
/** How numbers are grouped and where their decimals begin. */
let locale = 'en-US';

/** Writes numbers as in this locale from now on. */
export function writeNumbersAs(name) {
  locale = name;
  formats.clear();
}

/** A number with `digits` decimals and grouped thousands. */
function fixed(value, digits, least = digits) {
  const key = `${digits}/${least}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat(locale, {
      minimumFractionDigits: least, maximumFractionDigits: digits,
    }));
  }
  // A true minus sign is as wide as the plus sign.
  return formats.get(key).format(value).replace('-', '−');
}

/** A decimal string or number as a number; null when there is none. */
export function number(value) {
  if (value === null || value === undefined || value === '') return null;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : null;
}

/** Rounds to `digits` first, so that nothing reads "−0.00". */
function rounded(value, digits) {
  const at = Number(value.toFixed(digits));
  return at === 0 ? 0 : at;
}

/** An amount of money: two decimals, or more for an amount below one cent. */
export function money(value, currency = '') {
  const amount = number(value);
  if (amount === null) return UNKNOWN;
  const digits = amount !== 0 && Math.abs(amount) < 0.01 ? 6 : 2;
  return fixed(rounded(amount, digits), digits) + (currency ? ` ${currency}` : '');
}

/** True when a written number is not zero. */
export const isShown = (text) => /[1-9]/.test(String(text));

/** An amount with its sign, as gains and losses are written. */
export function signedMoney(value, currency = '') {
  const [amount, text] = [number(value), money(value, currency)];
  return amount !== null && amount > 0 && isShown(text) ? `+${text}` : text;
}

/** Decimals of a number as it is written, without trailing zeros. */
const decimals = (text) => (/\.(\d*?)0*$/.exec(text)?.[1] ?? '').length;

/**
 * How many decimals a price shows: what its size needs, and one more where it has
 * one, so that neighboring prices of a market differ.
 */
export function priceDigits(value) {
  const size = Math.abs(number(value) ?? 0);
  const least = size >= 100 || size === 0 ? 2 : size >= 1 ? 4 : size >= 0.01 ? 6 : Math.min(12, 4 - Math.floor(Math.log10(size)));
  // An average has more than any price: they count only as far as they are shown.
  return Math.max(least, decimals((number(value) ?? 0).toFixed(least + 1)));
}

/** Prices of one list with the same number of decimals. */
export function alignedPrices(values) {
  const digits = Math.max(2, ...values.map(priceDigits));
  return (value) => (number(value) === null ? UNKNOWN : fixed(number(value), digits));
}

export function price(value) {
  const amount = number(value);
  return amount === null ? UNKNOWN : fixed(amount, priceDigits(amount));
}

/** A quantity: what is there, without trailing zeros. */
export function quantity(value) {
  const amount = number(value);
  return amount === null ? UNKNOWN : fixed(amount, 8, 0);
}

/** A percentage; 1.5 means 1.5 %. */
export function percent(value, digits = 2) {
  const amount = number(value);
  return amount === null ? UNKNOWN : `${fixed(rounded(amount, digits), digits)} %`;
}

export function signedPercent(value, digits = 2) {
  const amount = number(value);
  return amount !== null && rounded(amount, digits) > 0 ? `+${percent(value, digits)}` : percent(value, digits);
}

/** A ratio such as Sharpe's. */
export function ratio(value, digits = 2) {
  const amount = number(value);
  return amount === null ? UNKNOWN : fixed(rounded(amount, digits), digits);
}

/** A count; from a million on in short. */
export function count(value) {
  const amount = number(value);
  if (amount === null) return UNKNOWN;
  const size = Math.abs(amount);
  if (size >= 1e9) return `${fixed(amount / 1e9, 2)} G`;
  if (size >= 1e6) return `${fixed(amount / 1e6, 2)} M`;
  return fixed(amount, size < 10 && amount % 1 !== 0 ? 1 : 0, 0);
}

/** A count with its noun: "1 trade", "2 trades". */
export const counted = (value, noun) => `${count(value)} ${noun}${number(value) === 1 ? '' : 's'}`;

export function bytes(value) {
  const amount = number(value);
  if (amount === null) return UNKNOWN;
  if (amount >= 1 << 20) return `${fixed(amount / (1 << 20), 1)} MiB`;
  if (amount >= 1 << 10) return `${fixed(amount / (1 << 10), 1)} KiB`;
  return `${fixed(amount, 0)} B`;
}

/** A length of time from seconds: "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function duration(value) {
  const seconds = number(value);
  if (seconds === null) return UNKNOWN;
  if (seconds < 1) return `${fixed(seconds * 1000, 0)} ms`;
  if (seconds < 60) return `${fixed(seconds, seconds < 10 ? 1 : 0)} s`;
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [whole / 86400, (whole % 86400) / 3600, (whole % 3600) / 60].map(Math.floor);
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes} min ${whole % 60} s`;
}

/** Microseconds as a latency. */
export function micros(value) {
  const amount = number(value);
  if (amount === null) return UNKNOWN;
  if (amount < 1000) return `${fixed(amount, amount < 10 ? 1 : 0)} µs`;
  return amount < 1e6 ? `${fixed(amount / 1000, 1)} ms` : `${fixed(amount / 1e6, 2)} s`;
}

/** Nanoseconds since the epoch, as the server writes them, in milliseconds. */
export function millis(ns) {
  if (ns === null || ns === undefined) return null;
  const text = String(ns);
  // The last six digits are below a millisecond; a double cannot hold all of them.
  const head = text.length > 6 ? Number(text.slice(0, -6)) : 0;
  return Number.isFinite(head) ? head : null;
}

const pad = (value, width = 2) => String(value).padStart(width, '0');

/** The parts of a moment in UTC or in the browser's zone. */
function parts(ms, zone) {
  const date = new Date(ms);
  return zone === 'utc'
    ? [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(),
      date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    : [date.getFullYear(), date.getMonth() + 1, date.getDate(),
      date.getHours(), date.getMinutes(), date.getSeconds()];
}

/** "14:03:12" */
export function clock(ms, zone = 'utc') {
  if (ms === null || ms === undefined) return UNKNOWN;
  const [, , , hour, minute, second] = parts(ms, zone);
  return `${pad(hour)}:${pad(minute)}:${pad(second)}`;
}

/** "11-24 14:03:12" */
export function moment(ms, zone = 'utc') {
  if (ms === null || ms === undefined) return UNKNOWN;
  const [, month, day] = parts(ms, zone);
  return `${pad(month)}-${pad(day)} ${clock(ms, zone)}`;
}

/** "2026-11-24 14:03:12 UTC", for titles and exports. */
export function fullTime(ms, zone = 'utc') {
  if (ms === null || ms === undefined) return UNKNOWN;
  const [year] = parts(ms, zone);
  return `${year}-${moment(ms, zone)}${zone === 'utc' ? ' UTC' : ''}`;
}

/** The beginning of a hash. */
export function shortHash(hash, length = 8) {
  return hash ? String(hash).slice(0, length) : UNKNOWN;
}

/** Quantities of one list with the same number of decimals, so that they align. */
export function aligned(values) {
  const numbers = values.map((value) => Math.abs(number(value) ?? 0));
  const most = Math.max(...numbers, 0);
  const digits = most >= 1000 ? 1 : most >= 100 ? 2 : most >= 1 ? 4 : 6;
  return (value) => (number(value) === null ? UNKNOWN : fixed(number(value), digits));
}

/** "gain", "loss" or "" : the class of a number's color; the sign says the same. */
export function tone(value) {
  const amount = number(value);
  if (amount === null || rounded(amount, 6) === 0) return '';
  return amount > 0 ? 'gain' : 'loss';
}

/** A key such as `max_drawdown_pct` as words: "Max drawdown %". */
export function words(key) {
  const text = String(key).replace(/_pct$/, ' %').replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
