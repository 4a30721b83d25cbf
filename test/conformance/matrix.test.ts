import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DTYPES, type DType, dtypeFacts } from '../../src/core/dtype.js';
import type { FormatDescriptor } from '../../src/core/format.js';
import { isMlserError } from '../../src/errors.js';
import { FORMATS } from '../../src/formats/index.js';
import { stageOutput } from '../../src/io/staged.js';
import { checksumModel } from '../../src/operations/checksum.js';
import { convertModel } from '../../src/operations/convert.js';
import { testContext } from '../support/context.js';
import { encodeSampleGraph } from '../support/sample-graph.js';
import { sampleModel } from '../support/sample-model.js';

/**
 * Format × format × element type: every conversion between two formats keeps the content id, or is refused with the
 * expected code because the target cannot hold the type. The table that comes out is in the README.
 */

const types = DTYPES.filter((dtype) => dtypeFacts(dtype).block === 1 && dtype !== 'str');
const formats = FORMATS.filter((format) => format.writer !== undefined && format.id !== 'npy');
const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-matrix-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A file of `format` with two tensors of `dtype`, and its content id; undefined if the format cannot hold them. */
async function makeSource(
  format: FormatDescriptor,
  dtype: DType,
): Promise<{ file: string; content: string } | undefined> {
  if (!format.dtypes.has(dtype)) return undefined;
  const file = path.join(scratch, `source-${dtype}${format.extensions[0]}`);
  const model = sampleModel(dtype);
  if (format.id === 'onnx') writeFileSync(file, await encodeSampleGraph(model));
  else {
    const writer = await format.writer?.();
    const output = stageOutput(file, { force: true });
    await writer?.write(model, output, { ...testContext(1), options: {} });
    await output.commit();
  }
  return { file, content: (await checksumModel(file, testContext(1))).content };
}

type Outcome = 'equal' | 'refused';
const outcomes = new Map<string, Outcome>();

describe.each(formats.map((format) => [format.id, format] as const))('from %s', (from, source) => {
  it.each(types)('%s', async (dtype) => {
    const made = await makeSource(source, dtype);
    if (!made) return;
    for (const target of formats) {
      const out = path.join(scratch, `out-${from}-${dtype}${target.extensions[0]}`);
      const needsGraph = target.id === 'onnx' && source.id !== 'onnx';
      const possible = target.dtypes.has(dtype) && !needsGraph;
      try {
        const report = await convertModel(
          made.file,
          out,
          { validate: 'weights', device: 'cpu' },
          testContext(1),
        );
        expect(possible, `${from} → ${target.id} was not refused`).toBe(true);
        expect(report.validation.passed).toBe(true);
        expect((await checksumModel(out, testContext(1))).content, `${from} → ${target.id}`).toBe(
          made.content,
        );
        outcomes.set(`${from} ${target.id} ${dtype}`, 'equal');
      } catch (error) {
        if (!isMlserError(error)) throw error;
        expect(possible, `${from} → ${target.id}: ${error.message}`).toBe(false);
        expect(error.code).toBe('E_UNSUPPORTED');
        expect(error.details['reasons']).toContain(needsGraph ? 'GRAPH_MISSING' : 'DTYPE_UNSUPPORTED');
        outcomes.set(`${from} ${target.id} ${dtype}`, 'refused');
      }
    }
  });
});

/** `f8` for all of the f8 types, if they all are in the list. */
function families(list: readonly DType[]): string {
  const family = (dtype: DType): string => /^(f8|f6)_/.exec(dtype)?.[1] ?? dtype;
  const whole = (name: string): boolean =>
    types.filter((dtype) => family(dtype) === name).every((dtype) => list.includes(dtype));
  return [...new Set(list.map((dtype) => (whole(family(dtype)) ? family(dtype) : dtype)))].join(', ');
}

/** Rows: the format read. Columns: the format written. Cells: what was measured over every type of the row. */
function table(): string {
  const cell = (from: FormatDescriptor, to: FormatDescriptor): string => {
    const by = (outcome: Outcome): DType[] =>
      types.filter((dtype) => outcomes.get(`${from.id} ${to.id} ${dtype}`) === outcome);
    const [equal, refused] = [by('equal'), by('refused')];
    if (equal.length === 0) return to.id === 'onnx' ? 'with `--graph`' : 'none';
    return refused.length === 0 ? `all ${equal.length}` : `${equal.length}, not ${families(refused)}`;
  };
  const rows = formats.map((from) => {
    const held = types.filter((dtype) => from.dtypes.has(dtype));
    return `| **${from.id}** (${held.length} types) | ${formats.map((to) => cell(from, to)).join(' | ')} |`;
  });
  return [
    `| from \\ to | ${formats.map((to) => `**${to.id}**`).join(' | ')} |`,
    `|---|${formats.map(() => '---|').join('')}`,
    ...rows,
  ].join('\n');
}

describe('the matrix in the README', () => {
  const begin = '<!-- matrix: made by test/conformance/matrix.test.ts -->';
  const end = '<!-- end of matrix -->';
  let readme = '';
  beforeAll(() => {
    readme = readFileSync('README.md', 'utf8');
    if (process.env['MLSER_UPDATE_MATRIX'] !== '1') return;
    const [head = '', tail = ''] = [readme.split(begin)[0], readme.split(end)[1]];
    readme = `${head}${begin}\n${table()}\n${end}${tail}`;
    writeFileSync('README.md', readme);
  });
  it('is what was measured (MLSER_UPDATE_MATRIX=1 writes it anew)', () => {
    expect(readme.split(begin)[1]?.split(end)[0]?.trim()).toBe(table());
  });
});
