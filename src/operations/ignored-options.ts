import type { FormatDescriptor, WriteOptions } from '../core/format.js';
import { type Finding, finding } from '../errors.js';

/** Formats that an option of writing is about. */
const CONCERNS: readonly {
  readonly option: keyof WriteOptions;
  readonly flag: string;
  readonly formats: readonly string[];
}[] = [
  { option: 'weightsFile', flag: '--weights-file', formats: ['onnx'] },
  { option: 'externalData', flag: '--external-data', formats: ['onnx'] },
  { option: 'shardSize', flag: '--shard-size', formats: ['safetensors', 'pytorch'] },
  { option: 'compress', flag: '--compress', formats: ['npz', 'mlck'] },
];

/** Options that have no meaning for the output format: said, so that nobody relies on what did not happen. */
export const ignoredOptions = (options: WriteOptions, target: FormatDescriptor): Finding[] =>
  CONCERNS.flatMap(({ option, flag, formats }) =>
    options[option] === undefined || options[option] === false || formats.includes(target.id)
      ? []
      : [
          finding(
            'warning',
            'OPTION_IGNORED',
            flag,
            `${flag} has no meaning for ${target.title}: it is for ${formats.join(' and ')}`,
          ),
        ],
  );
