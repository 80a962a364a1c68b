import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { utf8Bytes } from '../../../src/base/bytes.ts';
import { loginStatuses, stages } from '../../../src/wire/iscsi/codes.ts';
import { encodeText, type TextPair } from '../../../src/wire/iscsi/text.ts';
import { Initiator, pattern, TestTarget } from './initiator.ts';

/** As open-iscsi sends them (T2). */
const linuxKeys: readonly TextPair[] = [
  ['HeaderDigest', 'CRC32C,None'],
  ['DataDigest', 'None'],
  ['DefaultTime2Wait', '2'],
  ['DefaultTime2Retain', '0'],
  ['IFMarker', 'No'],
  ['OFMarker', 'No'],
  ['ErrorRecoveryLevel', '0'],
  ['InitialR2T', 'No'],
  ['ImmediateData', 'Yes'],
  ['MaxBurstLength', '16776192'],
  ['FirstBurstLength', '262144'],
  ['MaxOutstandingR2T', '1'],
  ['MaxConnections', '1'],
  ['DataPDUInOrder', 'Yes'],
  ['DataSequenceInOrder', 'Yes'],
  ['MaxRecvDataSegmentLength', '262144'],
];

async function refused(initiator: Initiator, status: number): Promise<void> {
  const response = await initiator.takeLogin();
  assert.equal(response.status.toString(16), status.toString(16));
  await initiator.closed();
}

test('T2, T3: what open-iscsi offers is answered key by key, and a session begins', async () => {
  const initiator = new Initiator(new TestTarget());
  const { text } = await initiator.login({ keys: linuxKeys });
  assert.deepEqual(Object.fromEntries(text), {
    TargetPortalGroupTag: '1',
    HeaderDigest: 'CRC32C',
    DataDigest: 'None',
    DefaultTime2Wait: '2',
    DefaultTime2Retain: '0',
    IFMarker: 'No',
    OFMarker: 'No',
    ErrorRecoveryLevel: '0',
    InitialR2T: 'No',
    ImmediateData: 'Yes',
    MaxBurstLength: '4194304',
    FirstBurstLength: '262144',
    MaxOutstandingR2T: '1',
    MaxConnections: '1',
    DataPDUInOrder: 'Yes',
    DataSequenceInOrder: 'Yes',
    MaxRecvDataSegmentLength: '262144',
  });
});

test('T3: what nobody knows is NotUnderstood, what no key can have is rejected, FirstBurstLength stays below MaxBurstLength', async () => {
  const initiator = new Initiator(new TestTarget());
  const keys: readonly TextPair[] = [
    ['X-com.example.thing', '1'],
    ['FirstBurstLength', '65536'],
    ['MaxBurstLength', '8192'],
    ['InitialR2T', 'Maybe'],
    ['MaxConnections', '0'],
    ['ErrorRecoveryLevel', '2'],
    ['MaxOutstandingR2T', '500'],
  ];
  const { text } = await initiator.login({ keys });
  assert.equal(text.get('X-com.example.thing'), 'NotUnderstood');
  assert.equal(text.get('FirstBurstLength'), '8192');
  assert.equal(text.get('InitialR2T'), 'Reject');
  assert.equal(text.get('MaxConnections'), 'Reject');
  assert.equal(text.get('ErrorRecoveryLevel'), '0', 'T20');
  assert.equal(text.get('MaxOutstandingR2T'), '16');
});

test('T3: without unsolicited data FirstBurstLength is irrelevant; in a discovery session whatever is about SCSI data is', async () => {
  const target = new TestTarget();
  const keys: readonly TextPair[] = [
    ['InitialR2T', 'Yes'],
    ['FirstBurstLength', '65536'],
    ['ImmediateData', 'No'],
  ];
  const normal = await new Initiator(target).login({ keys });
  assert.equal(normal.text.get('FirstBurstLength'), 'Irrelevant');
  const discovery = await new Initiator(target).login({ keys, discovery: true });
  for (const [key] of keys) assert.equal(discovery.text.get(key), 'Irrelevant');
});

test('T3: keys split over C-bit requests are read as one text', async () => {
  const initiator = new Initiator(new TestTarget());
  const text = encodeText([...initiator.identity(), ['HeaderDigest', 'CRC32C']]);
  for (const [from, to] of [
    [0, 10],
    [10, 40],
  ] as const) {
    initiator.loginPdu({ transit: false, continued: true, nextStage: 0 }, text.subarray(from, to));
    const { transit, status } = await initiator.takeLogin();
    assert.deepEqual({ transit, status }, { transit: false, status: 0 });
  }
  initiator.loginPdu({}, text.subarray(40));
  const last = await initiator.takeLogin();
  assert.equal(last.text.get('HeaderDigest'), 'CRC32C');
  assert.ok(last.transit);
});

test('through all stages, with AuthMethod=None, as libiscsi does', async () => {
  const initiator = new Initiator(new TestTarget());
  const first = encodeText([...initiator.identity(), ['AuthMethod', 'CHAP,None']]);
  initiator.loginPdu({ currentStage: stages.security, nextStage: stages.operational }, first);
  const security = await initiator.takeLogin();
  assert.equal(security.text.get('AuthMethod'), 'None');
  assert.equal(security.text.get('TargetPortalGroupTag'), '1');
  assert.ok(security.transit && security.nextStage === stages.operational && security.tsih === 0);
  initiator.loginPdu({ transit: false, nextStage: 0 }, encodeText([['ImmediateData', 'No']]));
  const more = await initiator.takeLogin();
  assert.ok(!more.transit);
  assert.equal(more.text.get('MaxRecvDataSegmentLength'), '262144');
  initiator.loginPdu({}, new Uint8Array(0));
  const last = await initiator.takeLogin();
  assert.ok(last.transit && last.tsih !== 0);
});

for (const [why, fields] of [
  ['T and C both set', { continued: true }],
  ['NSG 2', { nextStage: 2 }],
  ['NSG not beyond CSG', { nextStage: stages.operational }],
  ['NSG before CSG', { nextStage: stages.security }],
  ['CSG 2', { currentStage: 2 }],
  ['CSG 3', { currentStage: 3 }],
] as const)
  test(`T1: ${why} → 02/00, close`, async () => {
    const initiator = new Initiator(new TestTarget());
    initiator.loginPdu(fields, encodeText(initiator.identity()));
    await refused(initiator, loginStatuses.initiatorError);
  });

for (const [why, fields] of [
  ['ISID', { isid: '00023d000002' }],
  ['ITT', { taskTag: 2 }],
  ['version', { versionMax: 1 }],
  ['TSIH', { tsih: 7 }],
  ['connection', { connectionId: 7 }],
  ['stage', { currentStage: stages.security }],
] as const)
  test(`T1: ${why} changed in the midst of a login → 02/00, close`, async () => {
    const initiator = new Initiator(new TestTarget());
    initiator.loginPdu({ transit: false, nextStage: 0 }, encodeText(initiator.identity()));
    await initiator.takeLogin();
    initiator.loginPdu(fields);
    await refused(initiator, loginStatuses.initiatorError);
  });

test('a volume whose leader is not known yet is asked for again: a login just after a start succeeds', async () => {
  const target = new TestTarget();
  target.access.set('vol', { kind: 'retry' });
  const initiator = new Initiator(target);
  const entered = initiator.login();
  for (let tries = 0; tries < 3; tries++) {
    await turn();
    target.clock.advance(100);
  }
  assert.equal(initiator.received.length, 0, 'not refused');
  target.access.set('vol', { kind: 'granted', chap: undefined });
  await turn();
  target.clock.advance(100);
  await entered;
});

test('T4: refusals by class: what iscsid retries and what it gives up', async () => {
  const target = new TestTarget({ openRetryMsMax: 0 });
  target.access.set('secret', { kind: 'forbidden' });
  target.access.set('slow', { kind: 'retry' });
  const cases: readonly (readonly [readonly TextPair[], number])[] = [
    [[['TargetName', 'iqn.2026-01.io.corelet:vol']], loginStatuses.missingParameter],
    [[['InitiatorName', 'iqn.2026-01.test:a']], loginStatuses.missingParameter],
    [[['InitiatorName', 'not a name']], loginStatuses.initiatorError],
    [new Initiator(target).identity({ volume: 'nothing' }), loginStatuses.notFound],
    [
      [...new Initiator(target).identity({ discovery: true }).slice(0, 1), ['TargetName', 'iqn.other:vol']],
      loginStatuses.notFound,
    ],
    [new Initiator(target).identity({ volume: 'secret' }), loginStatuses.forbidden],
    [new Initiator(target).identity({ volume: 'slow' }), loginStatuses.serviceUnavailable],
    [
      [
        ['InitiatorName', 'iqn.2026-01.test:a'],
        ['SessionType', 'Strange'],
      ],
      loginStatuses.unsupportedSessionType,
    ],
  ];
  for (const [pairs, status] of cases) {
    const initiator = new Initiator(target);
    initiator.loginPdu({}, encodeText(pairs));
    await refused(initiator, status);
  }
});

test('T4: a session that isn’t there, a second connection to one that is, and another version', async () => {
  const target = new TestTarget();
  const { tsih } = await new Initiator(target).login();
  for (const [fields, status] of [
    [{ tsih }, loginStatuses.tooManyConnections],
    [{ tsih: tsih + 1 }, loginStatuses.sessionDoesNotExist],
    [{ versionMin: 1, versionMax: 2 }, loginStatuses.unsupportedVersion],
  ] as const) {
    const initiator = new Initiator(target);
    initiator.loginPdu(fields, encodeText(initiator.identity()));
    await refused(initiator, status);
  }
});

test('T9: all four combinations of digests carry data both ways', async () => {
  for (const header of ['None', 'CRC32C'])
    for (const data of ['None', 'CRC32C']) {
      const initiator = await new Initiator(new TestTarget()).start({
        keys: [
          ['HeaderDigest', header],
          ['DataDigest', data],
        ],
      });
      assert.equal(initiator.headerDigest, header === 'CRC32C');
      const bytes = pattern(3 * 512);
      assert.equal((await initiator.write(5, bytes)).status, 0);
      assert.deepEqual((await initiator.read(5, 3)).data, bytes);
      initiator.nop({}, utf8Bytes('odd'));
      assert.deepEqual((await initiator.take(0x20)).data.length, 1, 'padding is part of the digest');
    }
});

test('a login that takes longer than 15 s is ended', async () => {
  const target = new TestTarget();
  const initiator = new Initiator(target);
  initiator.loginPdu({ transit: false, nextStage: 0 }, encodeText(initiator.identity()));
  await initiator.takeLogin();
  target.clock.advance(15_000);
  await initiator.closed();
});

test('a Corelet that stops sends new hosts to another one (T19: 01/01), or to come later', async () => {
  const target = new TestTarget();
  const initiator = new Initiator(target);
  initiator.loginPdu({}, encodeText(initiator.identity()));
  initiator.connection.stop();
  await refused(initiator, loginStatuses.serviceUnavailable);
  target.otherPortals.push({ address: '127.0.0.1:3261', groupTag: 2 });
  const second = new Initiator(target);
  second.loginPdu({}, encodeText(second.identity()));
  second.connection.stop();
  const response = await second.takeLogin();
  assert.equal(response.status, loginStatuses.movedTemporarily);
  assert.equal(response.text.get('TargetAddress'), '127.0.0.1:3261');
});
