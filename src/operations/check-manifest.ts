import * as path from 'node:path';
import type { WorkContext } from '../core/format.js';
import { rangeTensor } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { decodeUtf8 } from '../io/cursor.js';
import { openDisk } from '../io/disk.js';
import { hashTensors } from '../kernels/transfer.js';
import { checksumModel } from './checksum.js';
import type { CheckReport, ChecksumReport } from './reports.js';

type Check = CheckReport['checks'][number];
type Expected = Pick<ChecksumReport, 'files' | 'content' | 'tensors'>;

/**
 * Verifies a manifest: the JSON that `checksum --output` wrote (files, tensors, content id), or the text of
 * sha256sum. Paths in it are relative to the folder of the manifest, or to the working folder. With `inputs` the
 * model that was named is checked instead of the recorded path, and of a text only the lines that name an input.
 */
export async function checkManifest(
  manifest: string,
  inputs: readonly string[],
  context: WorkContext,
): Promise<CheckReport> {
  const source = openDisk(manifest);
  let text: string | undefined;
  try {
    text = decodeUtf8(await source.read(0, source.size));
  } finally {
    source.close();
  }
  if (text === undefined) throw notAManifest(manifest);
  const find = (file: string): string => {
    const beside = path.resolve(path.dirname(manifest), file);
    return path.isAbsolute(file) ? file : existsOnDisk(beside) ? beside : file;
  };
  const checks = text.trimStart().startsWith('{')
    ? await checkJson(parseJson(text, manifest), inputs[0], find, context)
    : await checkSums(text, manifest, inputs, find, context);
  return { command: 'checksum', passed: checks.every((check) => check.ok), checks, findings: [] };
}

const notAManifest = (manifest: string): MlserError =>
  new MlserError('E_MALFORMED', `${manifest} is not a checksum manifest`, {
    details: { file: manifest },
    hint: 'make one with: mlser checksum model --output manifest.json, or sha256sum',
  });

function existsOnDisk(file: string): boolean {
  try {
    openDisk(file).close();
    return true;
  } catch {
    return false;
  }
}

function parseJson(text: string, manifest: string): Expected {
  try {
    const value = JSON.parse(text) as Partial<Expected>;
    const hashed = (entries: unknown): boolean =>
      Array.isArray(entries) &&
      entries.every((entry) => typeof entry?.name === 'string' && typeof entry.sha256 === 'string');
    const paths = Array.isArray(value.files) && value.files.every((file) => typeof file?.path === 'string');
    if (hashed(value.files) && paths && hashed(value.tensors) && typeof value.content === 'string')
      return value as Expected;
  } catch {
    // Told below: whatever is wrong with it, it is not a manifest.
  }
  throw notAManifest(manifest);
}

async function checkJson(
  expected: Expected,
  input: string | undefined,
  find: (file: string) => string,
  context: WorkContext,
): Promise<Check[]> {
  const [main] = expected.files;
  if (!main) return [];
  const found = await checksumModel(input ?? find(main.path), context);
  const files = new Map(found.files.map((file) => [file.name, file.sha256]));
  const tensors = new Map(found.tensors.map((tensor) => [tensor.name, tensor.sha256]));
  const check = (kind: Check['kind'], name: string, want: string, got: string | undefined): Check => ({
    kind,
    name,
    ok: want === got,
    expected: want,
    found: got ?? null,
  });
  return [
    ...expected.files.map((file) => check('file', file.name, file.sha256, files.get(file.name))),
    check('content', 'content id', expected.content, found.content),
    ...expected.tensors.map((tensor) =>
      check('tensor', tensor.name, tensor.sha256, tensors.get(tensor.name)),
    ),
  ];
}

async function checkSums(
  text: string,
  manifest: string,
  inputs: readonly string[],
  find: (file: string) => string,
  context: WorkContext,
): Promise<Check[]> {
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const all = lines.map((line) => {
    const plain = /^(?<mark>\\?)(?<sha256>[0-9a-fA-F]{64}) [ *](?<name>.+)$/.exec(line);
    const tagged = /^(?<mark>\\?)SHA256 \((?<name>.+)\) = (?<sha256>[0-9a-fA-F]{64})$/.exec(line);
    const { mark, sha256, name } = (plain ?? tagged)?.groups ?? {};
    if (sha256 === undefined || name === undefined) throw notAManifest(manifest);
    return { sha256: sha256.toLowerCase(), file: mark ? unescaped(name) : name };
  });
  const named = new Set(inputs.map((input) => path.resolve(input)));
  const wanted = inputs.length === 0 ? all : all.filter(({ file }) => named.has(path.resolve(find(file))));
  if (inputs.length > 0 && wanted.length === 0)
    throw new MlserError('E_NOT_FOUND', `${manifest} names none of the models given`, {
      details: { file: manifest },
      hint: 'check the paths, or leave out the models to verify everything that it names',
    });
  const checks: Check[] = [];
  for (const { sha256, file } of wanted) {
    let found: string | null = null;
    if (existsOnDisk(find(file))) {
      const source = openDisk(find(file));
      try {
        const whole = rangeTensor({ name: file, dtype: 'u8', shape: [source.size] }, source, 0);
        found = (await hashTensors([whole], context))[0] ?? null;
      } finally {
        source.close();
      }
    }
    checks.push({ kind: 'file', name: file, ok: found === sha256, expected: sha256, found });
  }
  return checks;
}

/** A line that begins with a backslash has its path escaped (GNU coreutils). */
const unescaped = (name: string): string =>
  name.replace(/\\([\\nr])/g, (_, c: string) => (c === 'n' ? '\n' : c === 'r' ? '\r' : '\\'));
