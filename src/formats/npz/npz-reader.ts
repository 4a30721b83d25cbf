import type { ModelReader } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, type MlserError, malformed } from '../../errors.js';
import {
  DEFLATED,
  inflatedSource,
  memberHead,
  memberSource,
  readZipDirectory,
  type ZipDirectory,
  type ZipMember,
} from '../../io/zip/directory.js';
import { arrayTensor } from './array.js';
import { HEAD_BYTES, hasMagic, readHeader } from './header.js';

export const SUFFIX = '.npy';

/** Reads the zip directory and the first bytes of every entry. */
export const reader: ModelReader = {
  async read(files) {
    const source = await files.open(files.main);
    const zip = await readZipDirectory(source);
    const tensors = new Map<string, TensorSource>();
    const findings: Finding[] = [...zip.findings];
    const foreign: string[] = [];
    for (const member of zip.members) {
      if (member.name.endsWith('/') && member.size === 0) continue; // a folder
      const head = await memberHead(zip, member, HEAD_BYTES);
      if (!hasMagic(head) && !member.name.endsWith(SUFFIX)) {
        foreign.push(member.name);
        continue;
      }
      const { tensor, notices } = await readArray(zip, member, head);
      const { name } = tensor.info;
      if (tensors.has(name))
        throw malformed(
          `${source.name}: two zip entries hold an array named ${JSON.stringify(name)}: which one counts is not defined`,
          { file: source.name, tensor: name },
          'write the archive again with one of them',
        );
      tensors.set(name, tensor);
      findings.push(...notices);
    }
    if (tensors.size === 0 && foreign.length > 0) throw noArrays(source.name, foreign);
    findings.push(...foreign.map((name) => notAnArray(source.name, name)), ...pathLike([...tensors.keys()]));
    return {
      format: 'npz',
      tensors: [...tensors.values()],
      aliases: new Map(),
      metadata: new Map(),
      findings: gathered(findings),
    };
  },
};

async function readArray(
  zip: ZipDirectory,
  member: ZipMember,
  head: Uint8Array,
): Promise<{ tensor: TensorSource; notices: readonly Finding[] }> {
  const file = zip.source.name;
  const read = async (length: number): Promise<Uint8Array> =>
    length <= head.byteLength || head.byteLength === member.size ? head : memberHead(zip, member, length);
  const header = await readHeader(read, member.size, { file, entry: member.name });
  const source = member.method === DEFLATED ? inflatedSource(zip, member) : await memberSource(zip, member);
  const name = member.name.endsWith(SUFFIX) ? member.name.slice(0, -SUFFIX.length) : member.name;
  const rest = member.size - header.dataOffset - header.byteLength;
  const trailing = finding(
    'warning',
    'NPY_TRAILING_BYTES',
    member.name,
    `${file}: ${rest} bytes follow the array in entry ${JSON.stringify(member.name)}; they are not read`,
  );
  return {
    tensor: arrayTensor(name, header, source),
    notices: rest > 0 ? [...header.findings, trailing] : header.findings,
  };
}

function noArrays(file: string, names: readonly string[]): MlserError {
  const has = (test: RegExp): boolean => names.some((name) => test.test(name));
  const looks = has(/(^|\/)data\.pkl$/)
    ? 'it looks like a PyTorch archive'
    : has(/\.weights\.h5$/)
      ? 'it looks like a Keras model'
      : `it holds ${names
          .slice(0, 3)
          .map((name) => JSON.stringify(name))
          .join(', ')}`;
  return malformed(
    `${file}: the zip archive holds no NumPy arrays; ${looks}`,
    { file, entries: names.length },
    'give the file the extension of its format',
  );
}

const notAnArray = (file: string, name: string): Finding =>
  finding(
    'warning',
    'NPZ_NOT_AN_ARRAY',
    name,
    `${file}: entry ${JSON.stringify(name)} is no array and is left out`,
  );

/** Names stay data, but whoever unpacks such an archive by name should know. */
function pathLike(names: readonly string[]): Finding[] {
  const paths = names.filter((name) => /^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)/.test(name));
  const [first] = paths;
  if (first === undefined) return [];
  const more = paths.length > 1 ? ` and ${paths.length - 1} more` : '';
  return [
    finding(
      'warning',
      'NAME_LIKE_PATH',
      first,
      `the array name ${JSON.stringify(first)}${more} would lead out of the folder if it were taken for a path`,
    ),
  ];
}

/** One line for what is said about many arrays. */
function gathered(findings: readonly Finding[]): Finding[] {
  const groups = new Map<string, Finding[]>();
  for (const entry of findings) {
    const group = groups.get(entry.code);
    if (group) group.push(entry);
    else groups.set(entry.code, [entry]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first && group.length > 3
      ? [{ ...first, message: `${first.message} (the same of ${group.length - 1} more entries)` }]
      : group;
  });
}
