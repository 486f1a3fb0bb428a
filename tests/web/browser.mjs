// A browser driven over DevTools: a headless Chromium that logs in with the
// first-run address, walks through the pages, and keeps every console message.
// Node 20 needs --experimental-websocket for it.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--remote-debugging-port=0', '--remote-allow-origins=*', 'about:blank',
];
const PATIENCE_MS = 20_000;

/** A page of a new browser with a profile of its own. Call `close` in the end. */
export async function open(program = process.env.CHROMIUM ?? 'chromium') {
  const profile = await mkdtemp(join(tmpdir(), 'sandpaper-browser-'));
  const child = spawn(program, [`--user-data-dir=${profile}`, ...FLAGS], { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await new Promise((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${text.slice(-400)}`)));
    child.stderr.on('data', (chunk) => {
      text = (text + chunk).slice(-10_000);
      const found = /ws:\/\/\S+/.exec(text);
      if (found) resolve(found[0]);
    });
  });
  const tabs = await (await fetch(`${address.replace('ws:', 'http:').replace(/\/devtools.*/, '')}/json`)).json();
  const page = new Page(new WebSocket(tabs.find(({ type }) => type === 'page').webSocketDebuggerUrl));
  await page.ready();
  page.close = async () => {
    child.removeAllListeners('exit');
    const gone = new Promise((resolve) => { child.once('exit', resolve); });
    child.kill();
    await gone;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return page;
}

class Page {
  constructor(socket) {
    this.socket = socket;
    this.waiting = new Map();
    this.last = 0;
    /** What the console said that it should not have. */
    this.complaints = [];
    socket.addEventListener('message', ({ data }) => this.receive(JSON.parse(data)));
  }

  async ready() {
    await new Promise((resolve) => { this.socket.addEventListener('open', resolve); });
    for (const domain of ['Page', 'Runtime', 'Log']) await this.command(`${domain}.enable`);
    await this.command('Emulation.setScrollbarsHidden', { hidden: true });
  }

  receive({ id, result, error, method, params }) {
    if (id !== undefined) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error.message));
      else resolve(result);
    } else if (method === 'Runtime.exceptionThrown') {
      this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) {
      this.complaints.push(params.args.map(({ value, description }) => value ?? description).join(' '));
    } else if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    }
  }

  command(method, params = {}) {
    this.last += 1;
    const id = this.last;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => { this.waiting.set(id, { resolve, reject }); });
  }

  go(url) {
    return this.command('Page.navigate', { url });
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.command('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression is true; returns its value. */
  async until(what, expression) {
    const end = Date.now() + PATIENCE_MS;
    while (Date.now() < end) {
      // While a page loads there may be no document to ask.
      const value = await this.value(expression).catch(() => null);
      if (value) return value;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    throw new Error(`it never came: ${what}. The page says: ${await this.value('document.body.innerText.slice(0, 400)')}`);
  }

  async size(width, height, scheme) {
    await this.command('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    await this.command('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  async png() {
    const { data } = await this.command('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }
}
