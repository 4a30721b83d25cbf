import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeModel } from '../../src/graph/build.js';
import { type ReduceOptions, reduceModel } from '../../src/operations/reduce/reduce.js';
import type { ReduceReport } from '../../src/operations/reduce/report.js';
import { runCommand, withReferences } from '../../src/operations/reduce/run-command.js';
import { oneMinimal, shortestPrefix, shortestSuffix } from '../../src/operations/reduce/search.js';
import { validateFile } from '../../src/operations/validate.js';
import { mlser } from '../support/cli.js';
import { testContext } from '../support/context.js';
import { schemaErrors } from '../support/schema.js';
import * as broken from './broken-models.js';
import { at, CNN, TEST } from './broken-models.js';

const context = testContext(1);

async function reduce(input: string, options: Partial<ReduceOptions> = {}): Promise<ReduceReport> {
  const all = { validate: 'weights', device: 'cpu', force: true, ...options } as const;
  const report = await reduceModel(input, at('small.onnx'), all, context);
  expect(schemaErrors('reduce', report)).toEqual([]);
  expect(report.validation.passed).toBe(true);
  return report;
}
const operators = ({ reduce: { nodes } }: ReduceReport): string[] => nodes.map(({ op }) => op);

describe('the search', () => {
  const numbers = Array.from({ length: 37 }, (_, i) => i);
  const needs =
    (...wanted: readonly number[]) =>
    async (kept: readonly number[]): Promise<boolean> =>
      wanted.every((one) => kept.includes(one));
  it('cuts the end and the beginning in few steps', async () => {
    let checks = 0;
    const counted = (kept: readonly number[]): Promise<boolean> => {
      checks++;
      return needs(11, 20)(kept);
    };
    const prefix = await shortestPrefix(numbers, counted);
    expect(prefix).toEqual(numbers.slice(0, 21));
    expect(await shortestSuffix(prefix, counted)).toEqual(numbers.slice(11, 21));
    expect(checks).toBeLessThanOrEqual(12);
  });
  it('leaves nothing that could be left out, whatever is needed', async () => {
    for (const wanted of [[0], [36], [3, 4, 5], [0, 18, 36], numbers])
      expect(await oneMinimal(numbers, needs(...wanted))).toEqual(wanted);
    // Needed only as long as another one is there: 7 goes once 30 has gone.
    const linked = async (kept: readonly number[]): Promise<boolean> =>
      kept.includes(1) && (!kept.includes(30) || kept.includes(7));
    expect(await oneMinimal(numbers, linked)).toEqual([1]);
  });
});

describe('reduce with the gate', () => {
  it('leaves the one node that differs, with feeds and the same part of the reference', async () => {
    const wrong = await broken.brokenCnn('wrong.onnx', broken.wrongWeight);
    const report = await reduce(wrong, { reference: CNN, inputs: TEST, referenceOut: at('right.onnx') });
    expect(report.reduce).toMatchObject({
      ...{ failure: { kind: 'differs' }, nodesBefore: 12, nodesAfter: 1, minimal: true, proved: true },
      inputs: [{ name: '/MaxPool_output_0', dtype: 'f32', shape: ['batch', 16, 4, 4] }],
      outputs: [{ name: '/conv3/Conv_output_0' }],
      feeds: at('small.feeds.npz'),
    });
    expect(report.tensors.map(({ name }) => name)).toEqual(['conv3.weight', 'conv3.bias']);
    const run = { level: 'run', device: 'cpu', inputs: at('small.feeds.npz') } as const;
    const again = await validateFile(at('small.onnx'), { ...run, reference: at('right.onnx') }, context);
    expect(again.findings.map(({ code }) => code)).toEqual(['OUTPUT_DIFFERS']);
    expect(
      (await validateFile(at('right.onnx'), { ...run, reference: at('right.onnx') }, context)).passed,
    ).toBe(true);
  });

  it('gives the same bytes and the same steps every time', async () => {
    const wrong = await broken.brokenCnn('wrong.onnx', broken.wrongWeight);
    const first = await reduce(wrong, { reference: CNN });
    const files = ['small.onnx', 'small.feeds.npz'].map((name) => readFileSync(at(name)));
    const second = await reduce(wrong, { reference: CNN });
    expect(second.reduce).toEqual(first.reduce);
    expect(['small.onnx', 'small.feeds.npz'].map((name) => readFileSync(at(name)))).toEqual(files);
  });

  it('finds the node that makes what is not finite, fails while it runs, or is refused', async () => {
    const log = await broken.brokenCnn('log.onnx', (model) => broken.before(model, 'Log'));
    const odd = await reduce(log, { inputs: TEST });
    expect(odd.reduce).toMatchObject({ failure: { kind: 'not-finite' }, nodesAfter: 1 });
    expect(operators(odd)).toEqual(['Log']);
    const failing = await reduce(await broken.brokenCnn('fails.onnx', broken.misshaped), { inputs: TEST });
    expect(failing.reduce.failure.kind).toBe('fails');
    expect(operators(failing)).toEqual(['Reshape']);
    expect(failing.reduce.feeds).toBe(at('small.feeds.npz'));
    const unknown = await broken.brokenCnn('refused.onnx', (model) => broken.before(model, 'NoSuchOperator'));
    const refused = await reduce(unknown);
    expect(refused.reduce.failure).toMatchObject({
      kind: 'refused',
      text: expect.stringContaining('NoSuchOperator'),
    });
    expect(operators(refused)).toEqual(['NoSuchOperator']);
    expect(refused.reduce.feeds).toBeUndefined();
  });

  it('survives a crash of the runtime, and finds what causes it', async () => {
    const bytes = await encodeModel({
      opset: 21,
      inputs: [{ name: 'x', dtype: 'f32', shape: [4] }],
      nodes: [
        { op: 'Relu', inputs: ['x'], outputs: ['a'] },
        { op: 'Exp', inputs: ['a'], outputs: ['b'] },
        { op: 'QuantizeLinear', inputs: ['b', 'scale', 'zero'], outputs: ['y'] },
      ],
      outputs: [{ name: 'y', dtype: 'i4', shape: [4] }],
      initializers: [
        { name: 'scale', dtype: 'f32', shape: [], raw: new Uint8Array(Float32Array.of(0.5).buffer) },
        { name: 'zero', dtype: 'i4', shape: [], raw: Uint8Array.of(0) },
      ],
    });
    writeFileSync(at('crash.onnx'), bytes);
    const report = await reduce(at('crash.onnx'));
    expect(report.reduce.failure.kind).toBe('crashes');
    expect(operators(report)).toEqual(['QuantizeLinear']);
  });

  it('says that there is nothing to reduce, and writes nothing', async () => {
    const ran = mlser(['reduce', CNN, at('none.onnx'), '--reference', CNN]);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain('does not fail');
    expect(existsSync(at('none.onnx'))).toBe(false);
    writeFileSync(at('there.onnx'), 'mine');
    expect(mlser(['reduce', CNN, at('there.onnx'), '--check', 'false']).code).toBe(2);
    expect(readFileSync(at('there.onnx'), 'utf8')).toBe('mine');
    writeFileSync(at('new.feeds.npz'), 'mine');
    expect(mlser(['reduce', CNN, at('new.onnx'), '--check', 'false'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('new.feeds.npz'),
    });
    expect(existsSync(at('new.onnx'))).toBe(false);
    expect(mlser(['reduce', CNN, at('there.npz'), '--check', 'false']).code).toBe(2);
  });
});

describe('reduce with a command', () => {
  it('keeps what the command needs, and feeds what it asks for', async () => {
    const report = await reduce(CNN, { check: '! { grep -q MaxPool_1 {} && test -s {feeds}; }' });
    expect(operators(report)).toEqual(['MaxPool']);
    expect(report.reduce).toMatchObject({
      failure: { kind: 'command' },
      proved: true,
      feeds: at('small.feeds.npz'),
    });
    // Two nodes far from each other: what is between goes.
    const two = await reduce(CNN, { check: '! { grep -q onnx::Conv_38 {} && grep -q fc1.weight {}; }' });
    expect(operators(two)).toEqual(['Conv', 'Gemm']);
    expect(two.reduce.feeds).toBeUndefined();
  });

  it('takes only the failure that is meant', async () => {
    const check = 'if grep -q fc2.weight {}; then echo meant; exit 3; fi; echo other; exit 4';
    expect(operators(await reduce(CNN, { check, failCode: 3 }))).toEqual(['Gemm']);
    expect(operators(await reduce(CNN, { check, failText: /^meant/ }))).toEqual(['Gemm']);
    const any = await reduce(CNN, { check, maxChecks: 2 });
    expect(any.reduce).toMatchObject({ minimal: false, checks: 2 });
    expect(any.findings.map(({ code }) => code)).toContain('NOT_MINIMAL');
    await expect(reduce(CNN, { check, failCode: 5 })).rejects.toThrow(
      expect.objectContaining({ code: 'E_USAGE' }),
    );
    await expect(reduce(CNN, { check: 'no-such-command-here' })).rejects.toThrow(/could not be run/);
  });

  it('kills what does not end, with all that it started', async () => {
    const started = performance.now();
    const result = await runCommand('sleep 30 & sleep 30; true {}', { model: 'm' }, 300, undefined);
    expect(result).toMatchObject({ timedOut: true, signal: 'SIGKILL' });
    expect(performance.now() - started).toBeLessThan(5000);
    const report = await reduce(CNN, { check: 'grep -q Flatten {} && sleep 30; true', timeoutMs: 900 });
    expect(report.reduce.failure.text).toBe('no answer in 0.9 s');
    expect(operators(report)).toEqual(['Flatten']);
  });

  it('hands paths over as arguments, in any quotes', async () => {
    const odd = 'a b\'$(echo no)"; exit 9 #';
    for (const command of [
      'printf %s {}',
      'printf %s "{}"',
      "printf %s '{}'",
      "printf %s '' {} ''",
      'printf %s',
    ])
      expect(await runCommand(command, { model: odd }, 5000, undefined), command).toMatchObject({
        code: 0,
        text: odd,
      });
    expect(withReferences('a "\\"{}" {feeds}')).toMatch(/^a "\\"\$\{1\}" "\$\{2\}"$/);
    const { text } = await runCommand(
      'printf "%s|%s" {} {feeds}',
      { model: 'm', feeds: 'f' },
      5000,
      undefined,
    );
    expect(text).toBe('m|f');
  });
});
