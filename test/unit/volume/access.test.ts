import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reader, utf8Bytes, Writer } from '../../../src/base/bytes.ts';
import { RemoteProtocolError } from '../../../src/base/errors.ts';
import {
  type AccessRules,
  decodeAccess,
  encodeAccess,
  intersection,
  mayUse,
  openToAll,
} from '../../../src/volume/access.ts';

const iqn = 'iqn.2026-01.test:a';
const nqn = 'nqn.2014-08.org.nvmexpress:uuid:a';
const chap = { initiator: { name: 'a', secret: utf8Bytes('a-secret-of-many') } };
const mutual = { ...chap, target: { name: 'b', secret: utf8Bytes('another-of-many') } };

test('who may use a volume: by name, or anybody; with CHAP nobody who can prove nothing', () => {
  const cases: readonly (readonly [AccessRules, readonly (string | undefined)[]])[] = [
    [openToAll, [iqn, nqn, undefined]],
    [{ hosts: [iqn], readOnly: false }, [iqn]],
    [{ hosts: [], readOnly: false }, []],
    [{ ...openToAll, chap }, [iqn, nqn]],
    [{ hosts: [nqn], readOnly: false, chap }, [nqn]],
  ];
  for (const [rules, allowed] of cases)
    assert.deepEqual(
      [iqn, nqn, undefined].filter((host) => mayUse(rules, host)),
      allowed,
    );
});

test('rules are stored whole; those of before CHAP are read as they were', () => {
  for (const rules of [openToAll, { hosts: [iqn, nqn], readOnly: true, chap }, { ...openToAll, chap: mutual }]) {
    const writer = new Writer();
    encodeAccess(writer, rules);
    const bytes = writer.copy();
    assert.deepEqual(decodeAccess(new Reader(bytes), 3), rules);
    for (let end = 0; end < bytes.length; end++)
      assert.throws(() => decodeAccess(new Reader(bytes.slice(0, end)), 3), RemoteProtocolError);
  }
  assert.deepEqual(decodeAccess(new Reader(Uint8Array.of(1, 1)), 2), { hosts: 'any', readOnly: true });
});

test('while rules change, only what both allow is allowed', () => {
  const both = intersection({ hosts: [iqn, nqn], readOnly: true }, { hosts: 'any', readOnly: false, chap });
  assert.deepEqual(both, { hosts: [iqn, nqn], readOnly: true, chap });
  assert.deepEqual(intersection({ ...openToAll, chap }, { hosts: [iqn], readOnly: false }).chap, chap);
});
