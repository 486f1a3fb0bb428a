// What the address says is shown. The hash holds page, subject and choices, so
// that an address can be kept and sent: `#/s/order-flow?tab=trades`. Pure.

const PAGES = {
  '': 'overview', s: 'strategy', m: 'market', feed: 'feed', runs: 'runs',
  events: 'events', settings: 'settings', about: 'about', strategies: 'overview',
};

/** @typedef {{page: string, subject: string|null, query: Record<string, string>}} Route */

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The route of a hash; a page that does not exist is the overview. @returns {Route} */
export function parse(hash) {
  const [path, search = ''] = hash.replace(/^#?\/?/, '').split('?');
  const [first, ...rest] = path.split('/');
  return {
    page: Object.hasOwn(PAGES, first) ? PAGES[first] : 'overview',
    subject: rest.length > 0 && rest[0] !== '' ? decode(rest.join('/')) : null,
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

/** The hash of a page. */
export function address(page, subject = null, query = {}) {
  const short = Object.keys(PAGES).find((key) => PAGES[key] === page) ?? '';
  const path = subject === null ? short : `${short}/${encodeURIComponent(subject)}`;
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const search = new URLSearchParams(kept).toString();
  return `#/${path}${search ? `?${search}` : ''}`;
}

/** The first-run code in a hash, or null: `#code=…`. */
export function codeOf(hash) {
  const match = /^#code=([A-Za-z0-9_-]{1,256})$/.exec(hash);
  return match ? match[1] : null;
}
