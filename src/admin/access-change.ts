import { utf8Bytes } from '../base/bytes.ts';
import type { AccessChange } from '../corelet/types.ts';
import type { ChapCredentials, ChapRules } from '../volume/access.ts';
import { Refusal } from './http.ts';

type Json = Readonly<Record<string, unknown>>;

/** The body of a change of access. Errors name fields, never what is in them. @throws Refusal */
export function accessChange(body: Json): AccessChange {
  const { hosts, readOnly, chap, ...others } = body;
  expectNothing(others);
  const isHosts = hosts === undefined || hosts === 'any' || (Array.isArray(hosts) && hosts.every(isText));
  if (!isHosts) throw new Refusal('BAD_REQUEST', '\'hosts\' must be "any" or a list of names');
  if (readOnly !== undefined && typeof readOnly !== 'boolean')
    throw new Refusal('BAD_REQUEST', "'readOnly' must be true or false");
  return {
    hosts: hosts as AccessChange['hosts'],
    readOnly,
    chap: chap === undefined || chap === null ? chap : chapRules(chap),
  };
}

function chapRules(value: unknown): ChapRules {
  const { initiator, target, ...others } = object(value, 'chap');
  expectNothing(others);
  const rules = { initiator: credentials(initiator, 'chap.initiator') };
  return target === undefined ? rules : { ...rules, target: credentials(target, 'chap.target') };
}

function credentials(value: unknown, where: string): ChapCredentials {
  const { name, secret, ...others } = object(value, where);
  expectNothing(others);
  if (!isText(name) || !isText(secret)) throw new Refusal('BAD_REQUEST', `'${where}' needs a 'name' and a 'secret'`);
  return { name, secret: utf8Bytes(secret) };
}

function object(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal('BAD_REQUEST', `'${where}' must be an object`);
  return value as Json;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function expectNothing(others: Json): void {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new Refusal('BAD_REQUEST', `unknown field '${unknown}'`);
}
