// Trades a one-time code or a key for a session cookie, then shows the dashboard.

const say = document.getElementById('say');
const form = document.getElementById('form');
const field = document.getElementById('key');

/** Sends `body` and goes on to the dashboard, or says why not. */
async function logIn(body) {
  form.inert = true;
  try {
    const response = await fetch('/api/v1/session', {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (response.ok) {
      location.reload();
      return;
    }
    const wait = response.headers.get('retry-after');
    if (response.status === 429) say.textContent = `Too many attempts: try again in ${wait} s.`;
    else if ('code' in body) say.textContent = 'This code was used or has expired. The terminal shows a new address.';
    else say.textContent = 'This key is not known here.';
  } catch {
    say.textContent = 'The host does not answer.';
  }
  form.inert = false;
  field.focus();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = field.value.trim();
  field.value = '';
  logIn(text.startsWith('c-') ? { code: text } : { key: text });
});

const fragment = new URLSearchParams(location.hash.slice(1));
const code = fragment.get('code');
if (code !== null) {
  // Out of the address bar and the history before anything else.
  history.replaceState(null, '', location.pathname);
  say.textContent = 'Logging in …';
  logIn({ code });
} else {
  form.inert = false;
  field.focus();
}
