import type { WorkContext } from '../core/format.js';
import { hashModel } from './hashes.js';
import { withModel } from './open.js';
import type { ChecksumReport } from './reports.js';

/** SHA-256 of every file and every tensor of a model, and its content id. */
export const checksumModel = (input: string, context: WorkContext): Promise<ChecksumReport> =>
  withModel(input, context, async ({ model, files }) => {
    const sources = files.opened();
    const hashes = await hashModel(model, context, sources);
    await files.assertUnchanged();
    return {
      command: 'checksum',
      files: sources.map((source, i) => ({
        name: source.name,
        path: files.folder === undefined ? source.name : besideMain(input, files.main, source.name),
        bytes: source.size,
        sha256: hashes.files[i] ?? '',
      })),
      content: hashes.content,
      tensors: model.tensors.map(({ info }) => ({
        name: info.name,
        dtype: info.dtype,
        shape: info.shape,
        sha256: hashes.tensors.get(info.name) ?? '',
      })),
      findings: model.findings,
    };
  });

/** The path of a family member, written as the user wrote the input (so that `sha256sum -c` finds it). */
function besideMain(input: string, main: string, name: string): string {
  if (input.endsWith(main)) return input.slice(0, input.length - main.length) + name;
  return input.endsWith('/') ? input + name : `${input}/${name}`;
}
