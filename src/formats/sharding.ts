import { MlserError } from '../errors.js';

/** Bytes a shard may hold when a sharded output is asked for without a size: the Hub's 5 GB (decimal). */
export const DEFAULT_SHARD_BYTES = 5_000_000_000;

/** What the rule needs to know of a tensor. */
export interface Sized {
  readonly byteLength: number;
}

/**
 * Splits tensors into shards by the Hub's greedy rule, in their order: a tensor joins the open shard unless that
 * would pass `maxBytes`, which closes it and opens the next one; a tensor that is larger than `maxBytes` by itself
 * becomes a shard of its own at once, while the open shard stays open. At least one shard, even without tensors.
 *
 * @throws E_USAGE if `maxBytes` is not a positive whole number.
 */
export function planShards<T extends Sized>(tensors: readonly T[], maxBytes: number): T[][] {
  if (!Number.isSafeInteger(maxBytes) || maxBytes <= 0)
    throw new MlserError('E_USAGE', `a shard size of ${maxBytes} bytes is not possible`, {
      details: { shardSize: maxBytes },
      hint: 'give a size such as 5GB or 500MiB',
    });
  const shards: T[][] = [];
  let open: T[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    if (tensor.byteLength > maxBytes) {
      shards.push([tensor]);
      continue;
    }
    if (bytes + tensor.byteLength > maxBytes) {
      shards.push(open);
      open = [];
      bytes = 0;
    }
    open.push(tensor);
    bytes += tensor.byteLength;
  }
  if (open.length > 0 || shards.length === 0) shards.push(open);
  return shards;
}

/** `model.safetensors`, shard 0 of 4 → `model-00001-of-00004.safetensors`. `index` counts from 0. */
export function shardName(file: string, extension: string, index: number, count: number): string {
  const stem = file.endsWith(extension) ? file.slice(0, -extension.length) : file;
  return `${stem}-${digits(index + 1)}-of-${digits(count)}${extension}`;
}

const digits = (value: number): string => String(value).padStart(5, '0');

export const INDEX_SUFFIX = '.index.json';
/** `model.safetensors` → `model.safetensors.index.json`. */
export const indexName = (file: string): string => `${file}${INDEX_SUFFIX}`;
export const isIndexName = (name: string): boolean => name.endsWith(INDEX_SUFFIX);
/** The file that an index stands for: `model.safetensors.index.json` → `model.safetensors`. */
export const withoutIndexSuffix = (name: string): string =>
  isIndexName(name) ? name.slice(0, -INDEX_SUFFIX.length) : name;
