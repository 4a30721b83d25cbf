import { LIMITS } from '../../core/limits.js';
import type { Model } from '../../core/model.js';
import type { TensorInfo } from '../../core/tensor.js';
import { holdsValues } from '../../core/training.js';
import { type Finding, finding } from '../../errors.js';
import { NUMPY_DTYPES } from './dtypes.js';

/** What neither npy nor npz can hold. */
export function checkModel(model: Model, title: string): Finding[] {
  const findings = model.tensors.flatMap(({ info }) => checkTensor(info, title));
  const dropped = (code: string, subject: string, message: string): void => {
    findings.push(finding('warning', code, subject, message));
  };
  if (model.metadata.size > 0)
    dropped(
      'METADATA_DROPPED',
      'metadata',
      `${title} holds arrays only: ${model.metadata.size} metadata value(s) are left out`,
    );
  if (model.training && holdsValues(model.training.tree))
    dropped(
      'TRAINING_DROPPED',
      'training',
      `the training state (optimizer, step, scheduler) has no place in ${title}; its tensors are kept under their names`,
    );
  if (model.graph)
    dropped('GRAPH_DROPPED', 'graph', `the graph has no place in ${title}; only weights are written`);
  for (const [name, canonical] of model.aliases)
    findings.push(
      finding(
        'info',
        'ALIAS_EXPANDED',
        name,
        `${JSON.stringify(name)} shares the bytes of ${JSON.stringify(canonical)}; ${title} cannot say so, both are written out`,
      ),
    );
  return findings;
}

function checkTensor({ name, dtype, shape }: TensorInfo, title: string): Finding[] {
  const error = (code: string, message: string): Finding[] => [
    finding('error', code, name, `tensor ${JSON.stringify(name)} ${message}`),
  ];
  if (!NUMPY_DTYPES.has(dtype))
    return error(
      'DTYPE_UNSUPPORTED',
      `has dtype ${dtype}, which ${title} cannot store: ${remedy(dtype)}, or choose another format`,
    );
  if (shape.length > LIMITS.RANK)
    return error('RANK_UNSUPPORTED', `has ${shape.length} dimensions; numpy has ${LIMITS.RANK}`);
  return [];
}

function remedy(dtype: string): string {
  if (dtype === 'str') return 'leave it out with --exclude';
  if (dtype === 'c32') return 'convert it with --dtype c64';
  if (/^[iu][24]$/.test(dtype)) return 'convert it with --dtype i8 or u8';
  return 'convert it with --dtype f32';
}

/** Names that would be another array's, or a path, for those who read or unpack the archive. */
export function checkNames(model: Model): Finding[] {
  const names = new Set(model.tensors.map(({ info }) => info.name));
  const findings: Finding[] = [];
  const error = (name: string, why: string): void => {
    findings.push(
      finding(
        'error',
        'NAME_UNSUPPORTED',
        name,
        `an array of an npz cannot be named ${JSON.stringify(name)}: ${why}; rename it`,
      ),
    );
  };
  for (const name of names) {
    if (name.includes('\0')) error(name, 'it holds a NUL character');
    else if (!isUnicode(name)) error(name, 'it has no UTF-8 form');
    else if (Buffer.byteLength(name) + 4 > 0xffff) error(name, 'zip names have at most 65,535 bytes');
    else if (name.split(/[\\/]/).includes('..') || /^[A-Za-z]:[\\/]/.test(name))
      error(name, 'it would lead out of the folder when the archive is unpacked');
    else if (name.endsWith('.npy') && names.has(name.slice(0, -4)))
      error(name, `numpy would give the array ${JSON.stringify(name.slice(0, -4))} for it`);
  }
  return findings;
}

/** No half of a surrogate pair alone. */
const isUnicode = (text: string): boolean => !/\p{Surrogate}/u.test(text);
