// Getting in: by the first-run code in the address, or by a key.

import { html, useEffect, useRef, useState } from '../vendor/ui.mjs';
import { api, session } from './net.mjs';
import { codeOf } from './route.mjs';
import { start } from './store.mjs';

/** Spends the code in the address, if any, else asks who we are. */
async function enter() {
  const code = codeOf(location.hash);
  if (code !== null) {
    // Out of the address and the history before anything else.
    history.replaceState(null, '', '#/');
    await api('/session', { method: 'POST', body: { code } }).catch(() => {});
  }
  await start().catch((error) => {
    if (error.status !== 401) setTimeout(enter, 2000);
    else if (session.value === 'unknown') session.value = 'out';
  });
}

enter();
addEventListener('hashchange', () => {
  if (codeOf(location.hash) !== null) enter();
});

/** Asks for a key; over the view when a session expired. */
export function Login({ expired = false }) {
  const [key, setKey] = useState('');
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const dialog = useRef(null);
  useEffect(() => { if (expired) dialog.current.showModal(); }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await api('/session', { method: 'POST', body: { key: key.trim() } });
      setKey('');
      await start();
    } catch (error) {
      setProblem(error.status === 429 ? `Too many attempts. Try again in ${error.retryAfter ?? 'a few'} seconds.` : error.message);
    }
    setBusy(false);
  };
  const form = html`<form class="login" onSubmit=${submit}>
    <h1>${expired ? 'The session has expired' : 'Sandpaper'}</h1>
    <p>${expired ? 'Enter a key to go on where you were.' : 'Paper trading for strategies that nobody has to trust.'}</p>
    <label>API key<input type="password" name="key" autocomplete="current-password" autofocus required value=${key} onInput=${(e) => setKey(e.target.value)} /></label>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <button class="primary" disabled=${busy || key.trim() === ''}>${busy ? 'Checking…' : 'Enter'}</button>
    <p class="note">No key? <code>sandpaper run</code> prints an address with a code that works once, for a minute.</p></form>`;
  return expired ? html`<dialog ref=${dialog} aria-label="Log in" onCancel=${(e) => e.preventDefault()}>${form}</dialog>` : html`<main class="center">${form}</main>`;
}
