import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ENV, mlser } from '../support/cli.js';
import { ownFolder } from '../support/folders.js';

const at = ownFolder('float16');
const CNN = path.resolve('fixtures/trained/digits_cnn/model.onnx');

describe('half precision where JavaScript has a Float16Array', () => {
  it('is run as everywhere: the runtime does not see it', () => {
    // Node 24 and later have one, and onnxruntime-node 1.30 takes tensors of it for empty ones.
    writeFileSync(
      at('float16.cjs'),
      `globalThis.Float16Array = class Float16Array extends Uint16Array {
        constructor(...args) { super(...args); throw new Error('a Float16Array was made'); }
      };`,
    );
    const run = mlser(['quantize', CNN, at('half.onnx'), '--scheme', 'fp16', '--no-keep-io'], {
      env: { ...ENV, NODE_OPTIONS: `--require ${at('float16.cjs')}` },
    });
    expect(run).toMatchObject({ code: 0, err: '' });
  });
});
