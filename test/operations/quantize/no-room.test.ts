import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { convertModel } from '../../../src/operations/convert.js';
import { testContext } from '../../support/context.js';
import { folderOfEachTest } from '../../support/folders.js';

const at = folderOfEachTest('no-room');
const BIN = path.resolve('bin/mlser.js');

it('weights that find no room in scratch files are streamed: the same bytes', async () => {
  const values = Float32Array.from({ length: 512 * 1024 }, (_, i) => Math.sin(i * i));
  const header = JSON.stringify({
    w: { dtype: 'F32', shape: [512, 1024], data_offsets: [0, values.byteLength] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  fs.writeFileSync(
    at('w.safetensors'),
    Buffer.concat([length, Buffer.from(header), Buffer.from(values.buffer)]),
  );
  const quick = { validate: 'structure', device: 'cpu' } as const;
  await convertModel(at('w.safetensors'), at('w.mlck'), { ...quick, compress: true }, testContext());
  const quantize = `node ${BIN} quantize w.mlck out.safetensors --scheme int4-weights --force --quiet`;
  const run = (command: string): Buffer => {
    const { status, stderr } = spawnSync('bash', ['-c', command], { cwd: at(''), encoding: 'utf8' });
    expect(`${status} ${stderr}`).toBe('0 ');
    return fs.readFileSync(at('out.safetensors'));
  };
  const whole = run(quantize);
  // Files of at most 1 MiB: the output has room, the weight has not.
  expect(run(`ulimit -f 1024 && ${quantize}`).equals(whole)).toBe(true);
  expect(whole.length).toBeLessThan(1 << 20);
});
