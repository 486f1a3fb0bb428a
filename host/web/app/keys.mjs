// The keyboard. Everything here can be reached with Tab as well.

import { go, route, strategies } from './store.mjs';
import { address } from './route.mjs';

export const HELP = [
  ['?', 'this help'], ['g o', 'overview'], ['g s', 'strategies'], ['g m', 'market'], ['g f', 'feed health'],
  ['g e', 'events'], ['g r', 'runs'], ['/', 'filter'], ['j  k', 'next and previous row'], ['Enter', 'open the row'], ['Space', 'chart the row'], ['← →', 'crosshair of a chart'], ['+ −', 'zoom a chart'], ['End', 'newest of a chart'],
  ['[  ]', 'previous and next strategy'], ['t', 'light or dark'], ['Esc', 'close'],
];
const PLACES = { o: 'overview', s: 'strategy', m: 'market', f: 'feed', e: 'events', r: 'runs' };

function row(step) {
  const rows = [...document.querySelectorAll('tr[tabindex]')];
  const at = rows.indexOf(document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.focus();
}

function neighbor(step) {
  const names = (strategies.value ?? []).filter((s) => !s.benchmark).map(({ name }) => name);
  const at = names.indexOf(route.value.subject);
  if (names.length > 0) go(address('strategy', names[(at + step + names.length) % names.length], route.value.query));
}

/** Listens for keys; returns what ends it. */
export function listen({ help, theme }) {
  let prefix = false;
  const onKey = (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === 'Escape') {
      help(false);
      if (typing) event.target.blur();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog:modal')) return;
    if (prefix) {
      prefix = false;
      if (PLACES[event.key]) go(address(PLACES[event.key]));
      return;
    }
    const actions = {
      g: () => { prefix = true; }, '?': () => help((at) => !at), t: theme, j: () => row(1), k: () => row(-1),
      '[': () => neighbor(-1), ']': () => neighbor(1),
      ' ': () => {
        const box = event.target.closest?.('tr[tabindex]')?.querySelector('input[type=checkbox]');
        if (box) { event.preventDefault(); box.click(); }
      },
      '/': () => { event.preventDefault(); document.querySelector('[data-filter]')?.focus(); },
    };
    actions[event.key]?.();
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}
