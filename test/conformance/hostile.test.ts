import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { isMlserError } from '../../src/errors.js';
import { inspectModel } from '../../src/operations/inspect.js';
import type { InspectReport } from '../../src/operations/reports.js';
import { testContext } from '../support/context.js';

type Verdict = 'accept' | 'warn' | 'reject';
interface Case {
  readonly id: string;
  readonly file: string;
  readonly format: string;
  readonly unusual: string;
  readonly expected: Verdict;
  readonly also_ok: readonly Verdict[];
  readonly why: string;
  readonly tensors?: readonly { name: string; shape: number[]; sha256?: string }[];
}

const root = path.resolve('fixtures/hostile');
const { cases } = JSON.parse(readFileSync(path.join(root, 'manifest.json'), 'utf8')) as { cases: Case[] };

type Outcome = { verdict: Verdict; report?: InspectReport; code?: string };

/** A full read: headers, and every byte through the hashes. */
async function read(file: string): Promise<Outcome> {
  try {
    const report = await inspectModel(path.join(root, file), { hashes: true }, testContext(1));
    return { verdict: report.findings.some((f) => f.severity !== 'info') ? 'warn' : 'accept', report };
  } catch (error) {
    if (!isMlserError(error)) throw error; // an exception that is not coded is a bug
    expect(error.message, 'one line').not.toMatch(/\n/);
    expect(error.message.length).toBeGreaterThan(8);
    return { verdict: 'reject', code: error.code };
  }
}

const prototypeBefore = Object.getOwnPropertyNames(Object.prototype).join();

for (const format of new Set(cases.map((c) => c.format)))
  describe(`hostile ${format}`, () => {
    it.each(cases.filter((c) => c.format === format).map((c) => [c.id, c] as const))('%s', async (_, c) => {
      const outcome = await read(c.file);
      const fine = [c.expected, ...c.also_ok];
      if (fine.includes('accept')) fine.push('warn');
      expect(fine, `${c.unusual}: ${c.why} [${outcome.code ?? 'read'}]`).toContain(outcome.verdict);
      expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototypeBefore);
      if (!outcome.report || !c.tensors) return;
      const found = new Map(outcome.report.tensors.map((t) => [t.name, t]));
      for (const want of c.tensors) {
        const got = found.get(want.name) ?? found.get(want.name.replaceAll('/', '.'));
        expect(got, `tensor ${JSON.stringify(want.name)}`).toBeDefined();
        if (want.sha256) expect(got?.sha256?.slice(0, 16)).toBe(want.sha256);
      }
    });
  });
