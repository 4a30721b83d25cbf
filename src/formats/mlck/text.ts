import type { MetadataValue, Model } from '../../core/model.js';
import type { StateNode } from '../../core/training.js';
import { type Finding, finding } from '../../errors.js';
import { hasLoneSurrogate } from '../../io/utf8.js';

/** The manifest holds UTF-8: text with half a surrogate pair has no such form. */
export function checkText(model: Model): Finding[] {
  const findings: Finding[] = [];
  for (const { info } of model.tensors)
    if (hasLoneSurrogate(info.name))
      findings.push(
        finding(
          'error',
          'NAME_NOT_UNICODE',
          info.name,
          `the tensor name ${JSON.stringify(info.name)} has no UTF-8 form: rename it`,
        ),
      );
  for (const [key, value] of model.metadata)
    if (hasLoneSurrogate(key) || isBadValue(value))
      findings.push(
        finding('error', 'METADATA_NOT_UNICODE', key, `metadata ${JSON.stringify(key)} has no UTF-8 form`),
      );
  if (model.training && isBadState(model.training.tree))
    findings.push(
      finding(
        'error',
        'TRAINING_NOT_UNICODE',
        'training',
        'the training state holds text that has no UTF-8 form',
      ),
    );
  return findings;
}

function isBadValue(value: MetadataValue): boolean {
  if (typeof value === 'string') return hasLoneSurrogate(value);
  if (value instanceof Map)
    return [...value].some(([key, item]) => hasLoneSurrogate(key) || isBadValue(item));
  return Array.isArray(value) && value.some((item: MetadataValue) => isBadValue(item));
}

function isBadState(node: StateNode): boolean {
  switch (node.kind) {
    case 'string':
      return hasLoneSurrogate(node.value);
    case 'opaque':
      return hasLoneSurrogate(node.text) || hasLoneSurrogate(node.type);
    case 'list':
    case 'tuple':
    case 'set':
      return node.items.some(isBadState);
    case 'dict':
      return node.entries.some(([key, value]) => isBadState(key) || isBadState(value));
    default:
      return false;
  }
}
