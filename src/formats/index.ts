import type { FormatDescriptor } from '../core/format.js';
import { mlck } from './mlck/index.js';
import { npy, npz } from './npz/index.js';
import { onnx } from './onnx/index.js';
import { pytorch } from './pytorch/index.js';
import { safetensors } from './safetensors/index.js';

/** The registry: a line per format. */
export const FORMATS: readonly FormatDescriptor[] = [
  // a line per format, so that two can be added at once
  safetensors,
  npz,
  npy,
  pytorch,
  mlck,
  onnx,
];

export const formatById = (id: string): FormatDescriptor | undefined => FORMATS.find((f) => f.id === id);
