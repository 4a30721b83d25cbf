import * as path from 'node:path';
import type { WorkContext } from '../core/format.js';
import { rangeTensor } from '../core/tensor.js';
import { type Finding, finding, isMlserError, MlserError } from '../errors.js';
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
  const { checks, findings } = /^\s*[[{]/.test(text)
    ? await checkDocuments(parseJson(text, manifest), inputs[0], find, context)
    : { checks: await checkSums(text, manifest, inputs, find, context), findings: [] };
  return { command: 'checksum', passed: checks.every((check) => check.ok), checks, findings };
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

/** One document, or the list that `checksum --json` prints for several models. */
function parseJson(text: string, manifest: string): readonly Expected[] {
  try {
    const value: unknown = JSON.parse(text);
    const documents = Array.isArray(value) ? value : [value];
    if (documents.length > 0 && documents.every(isExpected)) return documents;
  } catch {
    // Told below: whatever is wrong with it, it is not a manifest.
  }
  throw notAManifest(manifest);
}

function isExpected(value: Partial<Expected> | null): value is Expected {
  const hashed = (entries: unknown): boolean =>
    Array.isArray(entries) &&
    entries.every((entry) => typeof entry?.name === 'string' && typeof entry.sha256 === 'string');
  const paths = Array.isArray(value?.files) && value.files.every((file) => typeof file?.path === 'string');
  return hashed(value?.files) && paths && hashed(value?.tensors) && typeof value?.content === 'string';
}

interface Checked {
  readonly checks: readonly Check[];
  readonly findings: readonly Finding[];
}

async function checkDocuments(
  documents: readonly Expected[],
  input: string | undefined,
  find: (file: string) => string,
  context: WorkContext,
): Promise<Checked> {
  const checked: Checked[] = [];
  for (const expected of documents) {
    const [main] = expected.files;
    if (!main) continue;
    try {
      checked.push(await checkJson(expected, input ?? find(main.path), context));
    } catch (error) {
      if (input !== undefined || !isMlserError(error) || !DAMAGED.has(error.code)) throw error;
      checked.push(await checkUnreadable(expected, error, find, context));
    }
  }
  return {
    checks: checked.flatMap(({ checks }) => checks),
    findings: checked.flatMap(({ findings }) => findings),
  };
}

/** What reading a file that is not what it was may end with. */
const DAMAGED: ReadonlySet<string> = new Set([
  'E_INTEGRITY',
  'E_LIMIT',
  'E_MALFORMED',
  'E_NOT_FOUND',
  'E_TRUNCATED',
  'E_UNKNOWN_FORMAT',
  'E_UNSAFE',
  'E_UNSUPPORTED',
]);

/** A model that cannot be read any more: its files are still told apart, and the tensor at fault is named. */
async function checkUnreadable(
  expected: Expected,
  error: MlserError,
  find: (file: string) => string,
  context: WorkContext,
): Promise<Checked> {
  const files: Check[] = [];
  for (const { path: file, name, sha256 } of expected.files) {
    const found = await hashFile(find(file), context);
    files.push({ kind: 'file', name, ok: found === sha256, expected: sha256, found });
  }
  const at = expected.tensors.find(({ name }) => name === error.details['tensor']);
  const missing = (kind: Check['kind'], name: string, want: string): Check => ({
    kind,
    name,
    ok: false,
    expected: want,
    found: null,
  });
  return {
    checks: [
      ...files,
      missing('content', 'content id', expected.content),
      ...(at ? [missing('tensor', at.name, at.sha256)] : []),
    ],
    findings: [finding('error', 'CANNOT_READ', expected.files[0]?.name ?? '', error.message)],
  };
}

async function checkJson(expected: Expected, input: string, context: WorkContext): Promise<Checked> {
  const found = await checksumModel(input, context);
  const files = new Map(found.files.map((file) => [file.name, file.sha256]));
  const tensors = new Map(found.tensors.map((tensor) => [tensor.name, tensor.sha256]));
  const check = (kind: Check['kind'], name: string, want: string, got: string | undefined): Check => ({
    kind,
    name,
    ok: want === got,
    expected: want,
    found: got ?? null,
  });
  const checks = [
    ...expected.files.map((file) => check('file', file.name, file.sha256, files.get(file.name))),
    check('content', 'content id', expected.content, found.content),
    ...expected.tensors.map((tensor) =>
      check('tensor', tensor.name, tensor.sha256, tensors.get(tensor.name)),
    ),
  ];
  return { checks, findings: [] };
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
    const found = await hashFile(find(file), context);
    checks.push({ kind: 'file', name: file, ok: found === sha256, expected: sha256, found });
  }
  return checks;
}

/** null if there is no such file. */
async function hashFile(file: string, context: WorkContext): Promise<string | null> {
  if (!existsOnDisk(file)) return null;
  const source = openDisk(file);
  try {
    const whole = rangeTensor({ name: file, dtype: 'u8', shape: [source.size] }, source, 0);
    return (await hashTensors([whole], context))[0] ?? null;
  } finally {
    source.close();
  }
}

/** A line that begins with a backslash has its path escaped (GNU coreutils). */
const unescaped = (name: string): string =>
  name.replace(/\\([\\nr])/g, (_, c: string) => (c === 'n' ? '\n' : c === 'r' ? '\r' : '\\'));
