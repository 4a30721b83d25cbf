import type { BenchReport } from '../../operations/bench/report.js';
export const benchPage = (_report: BenchReport): string => '';
