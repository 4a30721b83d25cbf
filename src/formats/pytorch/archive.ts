import { LIMITS } from '../../core/limits.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import { decodeUtf8 } from '../../io/cursor.js';
import type { ByteSource } from '../../io/source.js';
import {
  DEFLATED,
  inflatedSource,
  memberSource,
  readMember,
  readZipDirectory,
  type ZipDirectory,
  type ZipMember,
} from '../../io/zip/directory.js';
import { TorchMeaning } from './globals.js';
import { unpickle } from './pickle.js';
import type { Container, Storages } from './storages.js';

const PICKLE = 'data.pkl';
/** `version` records that are known (caffe2/serialize/versions.h). */
const VERSIONS = { least: 1, most: 10 };

/**
 * A zip archive as torch.save and torch.jit.save write it: one top folder with `data.pkl`, `data/<key>` a storage,
 * `version`, `byteorder`. Only the directory, the small records and the pickle are read.
 */
export async function readArchive(source: ByteSource): Promise<Container> {
  const zip = await readZipDirectory(source);
  const { folder, findings } = topFolder(zip);
  const records = new Map(
    zip.members.filter(({ name }) => name.startsWith(folder)).map((m) => [m.name.slice(folder.length), m]),
  );
  const version = await readVersion(zip, records.get('version'), findings);
  const swap = await readByteOrder(zip, records.get('byteorder'));
  const scripted =
    records.has('constants.pkl') || [...records.keys()].some((name) => name.startsWith('code/'));
  if (scripted)
    findings.push(
      finding(
        'warning',
        'TORCHSCRIPT_CODE',
        source.name,
        'this is a TorchScript program: its weights are read, its code is not',
      ),
    );

  const meaning = new TorchMeaning(`${source.name}[${folder}${PICKLE}]`);
  const value = await readPickle(zip, records.get(PICKLE), meaning, findings);
  return {
    value,
    meaning,
    findings: [...zip.findings, ...findings],
    formatVersion: `${scripted ? 'torchscript' : 'zip'} ${version ?? '?'}`,
    storages: archiveStorages(zip, folder, records, swap),
  };
}

/** The folder with the pickle, with its slash. Records at the top level, and files beside the folder, are odd. */
function topFolder(zip: ZipDirectory): { folder: string; findings: Finding[] } {
  const file = zip.source.name;
  const folders = zip.members.flatMap(({ name }) => /^([^/]*\/)?data\.pkl$/.exec(name)?.slice(1, 2) ?? []);
  const names = [...new Set(folders.map((folder) => folder ?? ''))];
  const [folder] = names;
  if (folder === undefined) {
    const npz = zip.members.some(({ name }) => name.endsWith('.npy'));
    throw malformed(
      `${file}: the zip archive has no data.pkl in a top folder${npz ? '; it looks like an .npz file' : ''}`,
      { file },
      npz ? 'rename it to .npz' : 'this zip was not written by torch.save',
    );
  }
  if (names.length > 1)
    throw malformed(
      `${file}: data.pkl is in ${names.length} folders (${names
        .slice(0, 3)
        .map((n) => JSON.stringify(n))
        .join(', ')}): which one is meant is not defined`,
      { file },
    );
  const findings: Finding[] = [];
  const odd = (code: string, subject: string, message: string): void =>
    void findings.push(finding('warning', code, subject, message));
  if (folder === '' || folder === '/')
    odd('NO_TOP_FOLDER', file, 'the records of the archive are not in a named folder, as torch.load needs');
  const stray = zip.members.find(({ name }) => !name.startsWith(folder));
  if (stray)
    odd(
      'STRAY_ENTRY',
      stray.name,
      `zip entry ${JSON.stringify(stray.name)} lies outside ${folder} and was ignored`,
    );
  const climbing = zip.members.find(({ name }) => name.split(/[\\/]/).includes('..'));
  if (climbing)
    odd(
      'ODD_ENTRY_NAME',
      climbing.name,
      `zip entry ${JSON.stringify(climbing.name)} would leave its folder; ignored`,
    );
  const twin = zip.members.find(
    ({ name }) => name !== folder + PICKLE && name.toLowerCase() === (folder + PICKLE).toLowerCase(),
  );
  if (twin)
    odd('CASE_TWIN', twin.name, `zip entry ${JSON.stringify(twin.name)} differs from data.pkl in case only`);
  return { folder, findings };
}

/** A small record as text. */
async function readText(zip: ZipDirectory, member: ZipMember): Promise<string> {
  if (member.size > 1024)
    throw malformed(`${zip.source.name}: record ${JSON.stringify(member.name)} has ${member.size} bytes`, {
      file: zip.source.name,
      entry: member.name,
    });
  return decodeUtf8(await readMember(zip, member)) ?? '';
}

async function readVersion(
  zip: ZipDirectory,
  member: ZipMember | undefined,
  findings: Finding[],
): Promise<number | undefined> {
  const file = zip.source.name;
  if (!member) {
    findings.push(
      finding('warning', 'NO_VERSION', file, 'the version record is missing, torch.load needs it'),
    );
    return undefined;
  }
  const text = await readText(zip, member);
  if (!/^\s*\d{1,9}\s*$/.test(text))
    throw malformed(`${file}: the version record says ${JSON.stringify(text.slice(0, 40))}, not a number`, {
      file,
    });
  const version = Number(text);
  if (version < VERSIONS.least || version > VERSIONS.most)
    throw new MlserError(
      'E_UNSUPPORTED',
      `${file}: archive version ${version}; versions ${VERSIONS.least} to ${VERSIONS.most} can be read`,
      { details: { file, version }, hint: 'save it again with a current torch' },
    );
  return version;
}

/** True for big-endian storages. */
async function readByteOrder(zip: ZipDirectory, member: ZipMember | undefined): Promise<boolean> {
  if (!member) return false;
  const order = await readText(zip, member);
  if (order !== 'little' && order !== 'big')
    throw malformed(
      `${zip.source.name}: the byteorder record says ${JSON.stringify(order.slice(0, 40))}, needed "little" or "big"`,
      { file: zip.source.name },
    );
  return order === 'big';
}

async function readPickle(
  zip: ZipDirectory,
  member: ZipMember | undefined,
  meaning: TorchMeaning,
  findings: Finding[],
): Promise<Container['value']> {
  if (!member) throw new Error('the folder was chosen by its pickle');
  if (member.size > LIMITS.PICKLE_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `${zip.source.name}: ${member.name} has ${member.size} bytes; PICKLE_BYTES is ${LIMITS.PICKLE_BYTES}`,
      { details: { file: zip.source.name, limit: 'PICKLE_BYTES', size: member.size } },
    );
  const bytes = await readMember(zip, member);
  const { value, length } = unpickle(bytes, meaning.file, meaning);
  if (length < bytes.byteLength)
    findings.push(
      finding(
        'warning',
        'PICKLE_TRAILING_BYTES',
        member.name,
        `${bytes.byteLength - length} bytes follow the end of the pickle; they were not read`,
      ),
    );
  return value;
}

function archiveStorages(
  zip: ZipDirectory,
  folder: string,
  records: ReadonlyMap<string, ZipMember>,
  swap: boolean,
): Storages {
  return {
    swap,
    async open(key, tensor) {
      const member = records.get(`data/${key}`);
      if (!member)
        throw malformed(
          `${zip.source.name}: tensor ${JSON.stringify(tensor)}: record ${JSON.stringify(`${folder}data/${key}`)} is missing`,
          { file: zip.source.name, entry: `${folder}data/${key}` },
          'the file is incomplete: save or download it again',
        );
      return member.method === DEFLATED ? inflatedSource(zip, member) : memberSource(zip, member);
    },
  };
}
