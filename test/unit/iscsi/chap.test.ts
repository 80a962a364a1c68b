import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexText, utf8Bytes } from '../../../src/base/bytes.ts';
import { systemHashes } from '../../../src/platform/hashes.ts';
import type { HashName } from '../../../src/ports/hashes.ts';
import type { ChapRules } from '../../../src/volume/access.ts';
import { loginStatuses, stages } from '../../../src/wire/iscsi/codes.ts';
import { encodeText, parseBinary, type TextPair } from '../../../src/wire/iscsi/text.ts';
import { Initiator, TestTarget } from './initiator.ts';

const rules: ChapRules = {
  initiator: { name: '0xhost', secret: utf8Bytes('host-secret-123') },
  target: { name: 'array', secret: utf8Bytes('array-secret-45') },
};
const security = { transit: false, currentStage: stages.security, nextStage: 0 };
const base64 = (bytes: Uint8Array): string => `0b${Buffer.from(bytes).toString('base64')}`;

interface Challenge {
  readonly initiator: Initiator;
  readonly text: ReadonlyMap<string, string>;
}

/** Up to the target's challenge. */
async function challenged(target: TestTarget, algorithms: string): Promise<Challenge> {
  const initiator = new Initiator(target);
  initiator.loginPdu(security, encodeText([...initiator.identity(), ['AuthMethod', 'CHAP,None']]));
  const { text } = await initiator.takeLogin();
  assert.equal(text.get('AuthMethod'), 'CHAP');
  initiator.loginPdu(security, encodeText([['CHAP_A', algorithms]]));
  return { initiator, text: (await initiator.takeLogin()).text };
}

function responseTo(text: ReadonlyMap<string, string>, hash: HashName, secret: Uint8Array): Uint8Array {
  const challenge = parseBinary(text.get('CHAP_C') ?? '', 1024);
  assert.ok(challenge !== undefined);
  return systemHashes.digest(hash, [Uint8Array.of(Number(text.get('CHAP_I'))), secret, challenge]);
}

/** The last step; the session begins if it is right. */
async function prove({ initiator }: Challenge, pairs: readonly TextPair[]) {
  const fields = { currentStage: stages.security, nextStage: stages.fullFeature };
  initiator.loginPdu(fields, encodeText(pairs));
  return initiator.takeLogin();
}

function chapTarget(chap: ChapRules = rules): TestTarget {
  const target = new TestTarget();
  target.wantChap(chap);
  return target;
}

for (const [number, hash] of [
  ['5', 'md5'],
  ['6', 'sha1'],
  ['7', 'sha256'],
  ['8', 'sha3-256'],
] as const)
  test(`T7, T8: CHAP with ${hash}, mutual, challenge and response in hexadecimal and Base64`, async () => {
    const challenge = await challenged(chapTarget(), `99,${number},5`);
    const { text } = challenge;
    assert.equal(text.get('CHAP_A'), number, 'the first that both know');
    const response = responseTo(text, hash, rules.initiator.secret);
    const mine = Uint8Array.from({ length: 16 }, (_, i) => i);
    const last = await prove(challenge, [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', number === '6' ? base64(response) : `0x${hexText(response)}`],
      ['CHAP_I', '200'],
      ['CHAP_C', base64(mine)],
    ]);
    assert.equal(last.status, 0);
    assert.ok(last.transit && last.tsih !== 0);
    assert.equal(last.text.get('CHAP_N'), 'array');
    const expected = systemHashes.digest(hash, [Uint8Array.of(200), rules.target?.secret as Uint8Array, mine]);
    assert.equal(last.text.get('CHAP_R'), `0x${hexText(expected)}`);
  });

test('T7: CHAP_A that names nothing we know fails: 56, empty', async () => {
  for (const algorithms of ['56', '']) {
    const initiator = new Initiator(chapTarget());
    initiator.loginPdu(security, encodeText([...initiator.identity(), ['AuthMethod', 'CHAP']]));
    await initiator.takeLogin();
    initiator.loginPdu(security, encodeText([['CHAP_A', algorithms]]));
    assert.equal((await initiator.takeLogin()).status, loginStatuses.authenticationFailure);
    await initiator.closed();
  }
});

for (const [why, change] of [
  [
    'a wrong secret',
    () => [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', `0x${'00'.repeat(16)}`],
    ],
  ],
  [
    'a wrong name',
    (right) => [
      ['CHAP_N', 'somebody'],
      ['CHAP_R', right],
    ],
  ],
  ['no response', () => [['CHAP_N', '0xhost']]],
  [
    'a response that is no number',
    () => [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', 'guess'],
    ],
  ],
  [
    'an identifier above 255',
    (right) => [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', right],
      ['CHAP_I', '256'],
      ['CHAP_C', '0x0102'],
    ],
  ],
  [
    'a challenge of more than 1,024 bytes',
    (right) => [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', right],
      ['CHAP_I', '1'],
      ['CHAP_C', `0x${'01'.repeat(1025)}`],
    ],
  ],
  [
    'an identifier without a challenge',
    (right) => [
      ['CHAP_N', '0xhost'],
      ['CHAP_R', right],
      ['CHAP_I', '1'],
    ],
  ],
] as readonly (readonly [string, (right: string) => readonly TextPair[]])[])
  test(`T4, T8: ${why} → 02/01, close`, async () => {
    const challenge = await challenged(chapTarget(), '5');
    const right = `0x${hexText(responseTo(challenge.text, 'md5', rules.initiator.secret))}`;
    assert.equal((await prove(challenge, change(right))).status, loginStatuses.authenticationFailure);
    await challenge.initiator.closed();
  });

test('T8: our own challenge, reflected, is not answered: nobody proves himself with our words', async () => {
  const challenge = await challenged(chapTarget(), '7');
  const right = `0x${hexText(responseTo(challenge.text, 'sha256', rules.initiator.secret))}`;
  const last = await prove(challenge, [
    ['CHAP_N', '0xhost'],
    ['CHAP_R', right],
    ['CHAP_I', '9'],
    ['CHAP_C', challenge.text.get('CHAP_C') as string],
  ]);
  assert.equal(last.status, loginStatuses.authenticationFailure);
  assert.equal(last.text.get('CHAP_R'), undefined);
});

test('mutual CHAP where the target has no secret to show → 02/01', async () => {
  const challenge = await challenged(chapTarget({ initiator: rules.initiator }), '5');
  const right = `0x${hexText(responseTo(challenge.text, 'md5', rules.initiator.secret))}`;
  const pairs: readonly TextPair[] = [
    ['CHAP_N', '0xhost'],
    ['CHAP_R', right],
    ['CHAP_I', '9'],
    ['CHAP_C', '0x010203'],
  ];
  assert.equal((await prove(challenge, pairs)).status, loginStatuses.authenticationFailure);
});

test('who skips the security stage, offers no CHAP, or wants to go on without it, gets nowhere', async () => {
  const steps: readonly (readonly [object, readonly TextPair[]])[] = [
    [{}, []],
    [{ currentStage: stages.security, nextStage: stages.fullFeature }, [['AuthMethod', 'None']]],
    [{ currentStage: stages.security, nextStage: stages.fullFeature }, []],
    [{ currentStage: stages.security, nextStage: stages.fullFeature }, [['CHAP_N', '0xhost']]],
  ];
  for (const [fields, pairs] of steps) {
    const initiator = new Initiator(chapTarget());
    initiator.loginPdu(fields, encodeText([...initiator.identity(), ...pairs]));
    assert.equal((await initiator.takeLogin()).status, loginStatuses.authenticationFailure);
    await initiator.closed();
  }
  // Agreed on CHAP, then silent about it.
  const initiator = new Initiator(chapTarget());
  initiator.loginPdu(security, encodeText([...initiator.identity(), ['AuthMethod', 'CHAP']]));
  await initiator.takeLogin();
  initiator.loginPdu({ currentStage: stages.security, nextStage: stages.operational });
  assert.equal((await initiator.takeLogin()).status, loginStatuses.authenticationFailure);
});
