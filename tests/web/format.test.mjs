import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as f from '../../host/web/app/format.mjs';

test('what is unknown is a dash and never a zero', () => {
  for (const write of [f.money, f.price, f.quantity, f.percent, f.signedPercent, f.ratio, f.count, f.bytes, f.duration, f.micros]) {
    for (const unknown of [null, undefined, '', 'text', NaN]) assert.equal(write(unknown), f.UNKNOWN);
  }
  assert.equal(f.money('0'), '0.00');
});

test('money has two decimals, thousands, a true minus and no negative zero', () => {
  assert.equal(f.money('1234567.891', 'USD'), '1,234,567.89 USD');
  assert.equal(f.money('-12.345'), '−12.35');
  assert.equal(f.money('0.00123'), '0.001230');
  assert.equal(f.signedMoney('3'), '+3.00');
  assert.equal(f.signedPercent(-0.0001), '0.00 %');
  assert.equal(f.signedPercent(1.5), '+1.50 %');
});

test('prices show as many decimals as their size needs', () => {
  assert.equal(f.price('64123.4'), '64,123.40');
  assert.equal(f.price('3.14159265'), '3.14159');
  assert.equal(f.price('2.34980000'), '2.3498');
  assert.equal(f.price('0.123456789'), '0.1234568');
  assert.equal(f.price('0.00002255'), '0.000022550');
  assert.equal(f.price(2.5e-7), '0.00000025000');
  assert.equal(f.price('111242.40000445'), '111,242.40');
  assert.equal(f.price('0'), '0.00');
  assert.equal(f.quantity('0.01500000'), '0.015');
});

test('nanoseconds keep their milliseconds', () => {
  assert.equal(f.millis('1732492800123456789'), 1732492800123);
  assert.equal(f.millis('5'), 0);
  assert.equal(f.millis(null), null);
  assert.equal(f.fullTime(1732492800123), '2024-11-25 00:00:00 UTC');
});

test('lengths of time', () => {
  assert.deepEqual([0.25, 3.21, 75, 7500, 90000].map(f.duration), ['250 ms', '3.2 s', '1 min 15 s', '2 h 5 min', '1 d 1 h']);
  assert.deepEqual([1.25, 230, 1200, 2e6].map(f.micros), ['1.3 µs', '230 µs', '1.2 ms', '2.00 s']);
});

test('a gain has its sign however small, where it shows', () => {
  assert.equal(f.signedMoney('0.000017'), '+0.000017');
  assert.equal(f.signedMoney('0.0000000001'), '0.000000');
  assert.equal(f.isShown('0.00 %'), false);
});

test('quantities of one list have the same decimals', () => {
  assert.deepEqual(['1830', '666.25'].map(f.aligned(['1830', '666.25'])), ['1,830.0', '666.3']);
  assert.deepEqual(['0.5', null].map(f.aligned(['0.5', null])), ['0.500000', f.UNKNOWN]);
});

test('the tone of a number is that of its sign', () => {
  assert.deepEqual(['1', '-1', '0', null].map(f.tone), ['gain', 'loss', '', '']);
});

test('a count has its noun', () => {
  assert.equal(f.counted(1, 'trade'), '1 trade');
  assert.equal(f.counted('0', 'trade'), '0 trades');
  assert.equal(f.counted(null, 'trade'), `${f.UNKNOWN} trades`);
});
