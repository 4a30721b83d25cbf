import type { BenchModel } from '../../operations/bench/report.js';
import type { Style } from '../style.js';
export const rooflineSection = (_model: BenchModel, _style: Style): string[] => [];
