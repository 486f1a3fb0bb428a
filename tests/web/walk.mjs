// Walks through every page of a running dashboard in three widths, saves what it
// sees, and fails on any console message or on a page that is wider than the
// window. Usage: walk.mjs ADDRESS FOLDER, the address with its first-run code.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from './browser.mjs';

const [address, folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: walk.mjs ADDRESS FOLDER');
const WIDTHS = [['desktop', 1440, 900, 'dark'], ['tablet', 900, 1100, 'light'], ['phone', 390, 844, 'dark']];
const wrong = [];
const check = (fine, what) => { if (!fine) wrong.push(what); };

await mkdir(folder, { recursive: true });
const page = await open();
try {
  await page.size(1440, 900, 'dark');
  await page.go(address);
  await page.until('the leaderboard after logging in', "document.querySelector('td.c-name b') !== null");
  // The address itself answers 401 until the code was spent.
  page.complaints = page.complaints.filter((complaint) => !complaint.includes('status of 401'));
  check(!(await page.value('location.href')).includes('code='), 'the code stayed in the address');
  const name = await page.value("[...document.querySelectorAll('tr[tabindex] td.c-name b')][0].textContent");

  await page.value("[...document.querySelectorAll('th button')].find((b) => b.textContent.startsWith('Trades')).click()");
  await page.until('the leaderboard sorted by trades', "document.querySelector('th[aria-sort=descending]')?.textContent.startsWith('Trades')");
  const before = await page.value("getComputedStyle(document.body).backgroundColor");
  await page.value("dispatchEvent(new KeyboardEvent('keydown', { key: 't' }))");
  await page.until('the other theme', `getComputedStyle(document.body).backgroundColor !== ${JSON.stringify(before)}`);
  await page.value("localStorage.removeItem('sandpaper')");
  await page.until('a fill in the events', "[...document.querySelectorAll('.events .kind')].some((kind) => kind.textContent === 'fill') || null");

  const pages = {
    overview: '#/', strategy: `#/s/${encodeURIComponent(name)}`, sandbox: `#/s/${encodeURIComponent(name)}?tab=sandbox`, orders: `#/s/${encodeURIComponent(name)}?tab=orders`,
    statistics: `#/s/${encodeURIComponent(name)}?tab=statistics`, market: '#/m', feed: '#/feed', events: '#/events', runs: '#/runs', settings: '#/settings', about: '#/about',
  };
  for (const [device, width, height, scheme] of WIDTHS) {
    await page.size(width, height, scheme);
    for (const [title, hash] of Object.entries(pages)) {
      await page.value(`location.hash = ${JSON.stringify(hash)}`);
      await page.command('Page.reload');
      await page.until(`${title} on a ${device}`, "document.querySelector('main section, main .kpis') !== null && document.querySelector('.skeleton') === null");
      // Charts draw in the frames after their data came.
      await page.value('new Promise((done) => setTimeout(done, 300))');
      const wide = await page.value('document.documentElement.scrollWidth - innerWidth');
      check(wide <= 0, `${title} on a ${device} is ${wide} px too wide`);
      await writeFile(join(folder, `${title}-${device}.png`), await page.png());
    }
  }
  for (const complaint of page.complaints) wrong.push(`console: ${complaint}`);
} finally {
  await page.close();
}
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}
console.log(`${WIDTHS.length} widths, every page: no console message, nothing too wide`);
