import type { Adapter } from '../adapter.js';
import { attributeAdapters } from './attributes.js';
import { axesAdapters } from './axes.js';
import { broadcastAdapters } from './broadcast.js';
import { clipAdapters } from './clip.js';
import { constantAdapters } from './constant.js';
import { dropoutAdapters } from './dropout.js';
import { functionAdapters } from './functions.js';
import { negativeAxisAdapters } from './negative-axes.js';
import { normalizationAdapters } from './normalization.js';
import { padAdapters } from './pad.js';
import { quantizeAdapters } from './quantize.js';
import { resizeAdapters } from './resize.js';
import { samplingAdapters } from './sampling.js';
import { scatterAdapters } from './scatter.js';
import { sequenceAdapters } from './sequence.js';
import { shapeAdapters } from './shape.js';
import { sliceAdapters } from './slice.js';
import { softmaxAdapters } from './softmax.js';
import { splitAdapters } from './split.js';
import { topKAdapters } from './topk.js';

const ADAPTERS: ReadonlyMap<string, Adapter> = new Map(
  [
    attributeAdapters,
    axesAdapters,
    broadcastAdapters,
    clipAdapters,
    constantAdapters,
    dropoutAdapters,
    functionAdapters,
    negativeAxisAdapters,
    normalizationAdapters,
    padAdapters,
    quantizeAdapters,
    resizeAdapters,
    samplingAdapters,
    scatterAdapters,
    sequenceAdapters,
    shapeAdapters,
    sliceAdapters,
    softmaxAdapters,
    splitAdapters,
    topKAdapters,
  ].flatMap((family) => Object.entries(family)),
);

/** What a version's change of an operator takes. For the version that brought it: what stands for it before. */
export const adapterOf = (operator: string, version: number): Adapter | undefined =>
  ADAPTERS.get(`${operator}@${version}`);

/** `Operator@version` of every change that has an adapter. */
export const adapterKeys = (): readonly string[] => [...ADAPTERS.keys()];
