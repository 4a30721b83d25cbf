/** `runtime` leaves out what only fits this processor's layouts. */
export const RUNTIME_LEVELS = ['runtime', 'runtime-all'] as const;
export type RuntimeLevel = (typeof RUNTIME_LEVELS)[number];

export const isRuntimeLevel = (level: string | undefined): level is RuntimeLevel =>
  RUNTIME_LEVELS.some((one) => one === level);
