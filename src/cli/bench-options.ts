import type { Option } from 'commander';
import { MlserError } from '../errors.js';
import { valueFlag } from './options.js';

const usage = (message: string, hint: string): MlserError => new MlserError('E_USAGE', message, { hint });

/** Milliseconds of a unit. */
const UNITS = new Map([
  ['', 1],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['min', 60_000],
]);

/** A time in milliseconds: `10ms`, `0.5s`, `200us`; a plain number is milliseconds. E_USAGE. */
export function parseDuration(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)\s*$/i.exec(text);
  const unit = UNITS.get((match?.[2] ?? '?').toLowerCase());
  const value = Number(match?.[1]) * (unit ?? Number.NaN);
  if (value > 0) return value;
  throw usage(`${JSON.stringify(text)} is not a time`, 'write a time like 10ms, 0.5s or 200us');
}

/** A share of 1: `0.97` or `97%`. E_USAGE. */
export function parseShare(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(%?)\s*$/.exec(text);
  const value = Number(match?.[1]) / (match?.[2] === '%' ? 100 : 1);
  if (value >= 0 && value <= 1) return value;
  throw usage(`${JSON.stringify(text)} is not a share`, 'write a share like 0.97 or 97%');
}

/** Words or whole numbers above 0, with commas between. E_USAGE. */
export function parseWords(text: string): string[] {
  const words = text.split(',').map((word) => word.trim());
  if (words.every((word) => word !== '')) return words;
  throw usage(`${JSON.stringify(text)} is not a list`, 'write for example cpu,cuda');
}

export function parseCounts(text: string): number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.every((value) => Number.isSafeInteger(value) && value > 0)) return numbers;
  throw usage(`${JSON.stringify(text)} is not a list of whole numbers above 0`, 'write for example 1,8,32');
}

export const durationFlag = (flags: string, description: string): Option =>
  valueFlag(flags, description, parseDuration);
export const shareFlag = (flags: string, description: string): Option =>
  valueFlag(flags, description, parseShare);
export const wordsFlag = (flags: string, description: string): Option =>
  valueFlag(flags, description, parseWords);
export const countsFlag = (flags: string, description: string): Option =>
  valueFlag(flags, description, parseCounts);
