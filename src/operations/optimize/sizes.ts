import { MlserError } from '../../errors.js';
import type { FixedSizes } from '../../graph/fix-shapes.js';

/** As the command line gives them: name → size, input → `1x3x224x224`. */
export interface SizeChoice {
  readonly setDim?: ReadonlyMap<string, string>;
  readonly setShape?: ReadonlyMap<string, string>;
}

/** The numbers of `--set-dim` and `--set-shape`; undefined if neither is given. E_USAGE for what is no size. */
export function sizesOf({ setDim, setShape }: SizeChoice): FixedSizes | undefined {
  if (!setDim && !setShape) return undefined;
  const dims = new Map(
    [...(setDim ?? [])].map(([name, text]) => [name, sizeOf(text, `--set-dim ${name}=${text}`)]),
  );
  const shapes = new Map(
    [...(setShape ?? [])].map(([name, text]) => {
      const parts = text === '' ? [] : text.split(/[x,]/);
      return [name, parts.map((part) => sizeOf(part, `--set-shape ${name}=${text}`))];
    }),
  );
  return { dims, shapes };
}

function sizeOf(text: string, option: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(size) && size > 0) return size;
  throw new MlserError('E_USAGE', `${option}: ${JSON.stringify(text)} is not a size`, {
    details: { option, value: text },
    hint: 'write --set-dim batch=1, or --set-shape input=1x3x224x224',
  });
}
