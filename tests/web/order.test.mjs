import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, codeOf, parse } from '../../host/web/app/route.mjs';
import { cell, csv, matches, sorted } from '../../host/web/app/sort.mjs';
import { Sequence, append, appendPoints, backOff, gather, listOf } from '../../host/web/app/topics.mjs';

test('a topic is applied in order, and a gap asks for it anew', () => {
  const topic = new Sequence();
  assert.equal(topic.take({ t: 'upd', seq: 1 }), 'ignore');
  assert.equal(topic.take({ t: 'snap', seq: 4 }), 'apply');
  assert.equal(topic.take({ t: 'upd', seq: 5 }), 'apply');
  assert.equal(topic.take({ t: 'upd', seq: 5 }), 'ignore');
  assert.equal(topic.take({ t: 'upd', seq: 7 }), 'gap');
  assert.equal(topic.take({ t: 'upd', seq: 8 }), 'ignore');
  assert.equal(topic.take({ t: 'snap', seq: 9 }), 'apply');
  topic.reset();
  assert.equal(topic.take({ t: 'upd', seq: 10 }), 'ignore');
});

test('a list takes each item once and keeps the newest', () => {
  const one = append([], [{ seq: 1 }, { seq: 2 }], 3);
  assert.deepEqual(append(one, [{ seq: 2 }, { seq: 3 }, { seq: 4 }], 3).map(({ seq }) => seq), [2, 3, 4]);
  assert.equal(append(one, [{ seq: 2 }], 3), one);
  assert.deepEqual(listOf({ events: [1] }, 'events'), [1]);
  assert.deepEqual(listOf(null, 'events'), []);
});

test('a point of the last time replaces it', () => {
  assert.deepEqual(appendPoints([[1, 5], [2, 6]], [[2, 7], [3, 8]], 10), [[1, 5], [2, 7], [3, 8]]);
  assert.deepEqual(appendPoints([[1, 5], [2, 6]], [[3, 8]], 2), [[2, 6], [3, 8]]);
});

test('longer candles are made of shorter ones', () => {
  const minutes = [[240, 5, 7, 4, 6, 1], [300, 6, 8, 5, 7, 2], [360, 7, 9, 6, 8, 3], [600, 1, 1, 1, 1, 1]];
  assert.deepEqual(gather(minutes, 300), [[0, 5, 7, 4, 6, 1], [300, 6, 9, 5, 8, 5], [600, 1, 1, 1, 1, 1]]);
  assert.deepEqual(gather(minutes, 60), minutes);
});

test('the wait grows from half a second to fifteen, and never beyond', () => {
  assert.equal(backOff(0, () => 1), 500);
  assert.equal(backOff(3, () => 1), 4000);
  assert.equal(backOff(50, () => 1), 15000);
  assert.equal(backOff(50, () => 0), 11250);
});

test('rows sort by number, and the unknown stands last either way', () => {
  const rows = [{ v: '10' }, { v: null }, { v: '9' }, { v: '-1' }];
  const values = (direction) => sorted(rows, (row) => row.v, direction).map(({ v }) => v);
  assert.deepEqual(values('ascending'), ['-1', '9', '10', null]);
  assert.deepEqual(values('descending'), ['10', '9', '-1', null]);
});

test('a spreadsheet runs nothing that a strategy wrote', () => {
  assert.equal(cell('=HYPERLINK("x")'), '"\'=HYPERLINK(""x"")"');
  assert.equal(cell('@x'), "'@x");
  assert.equal(cell('-1.5'), '-1.5');
  assert.equal(csv([{ a: 1 }, { a: 'x,y', b: null }]), 'a,b\r\n1,\r\n"x,y",\r\n');
});

test('an address holds page, subject and choices', () => {
  const hash = address('market', 'BTC/USD', { interval: 60, empty: '' });
  assert.equal(hash, '#/m/BTC%2FUSD?interval=60');
  assert.deepEqual(parse(hash), { page: 'market', subject: 'BTC/USD', query: { interval: '60' } });
  assert.equal(parse('#/nowhere').page, 'overview');
  assert.equal(parse('#/s/%E0%A4').subject, '%E0%A4');
});

test('only a well-formed code is taken from the address', () => {
  assert.equal(codeOf('#code=aB-_9'), 'aB-_9');
  assert.equal(codeOf('#code=<script>'), null);
  assert.equal(codeOf('#/'), null);
});

test('a filter needs each of its words', () => {
  assert.ok(matches('Mean Reversion paused', 'paused mean'));
  assert.ok(!matches('Mean Reversion', 'mean flow'));
});
