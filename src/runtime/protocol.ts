import type { Value, ValueInfo } from './values.js';

/**
 * What parent and child process say to each other (structured clone over the IPC channel).
 * One answer per request, by `id`.
 */
export interface SessionSettings {
  /** Execution providers in order of preference. */
  readonly providers: readonly string[];
  readonly threads: number;
  /**
   * Weights stay in mapped files and nothing is folded, packed or pooled: least memory instead of most speed.
   */
  readonly lean: boolean;
  /** Also writes the graph as the runtime has optimised it to this path. */
  readonly optimizedTo?: string;
  /** With `optimizedTo`: weights go into a file of this name beside it. */
  readonly optimizedWeights?: string;
  /** How far the runtime optimises (default: all it can). `extended` leaves the layouts of this processor out. */
  readonly optimization?: 'extended' | 'all';
}

export type ModelReference =
  | { readonly path: string }
  /** `folder`: where the files that its external data names lie. */
  | { readonly bytes: Uint8Array; readonly folder?: string };

export type Request =
  | {
      readonly id: number;
      readonly op: 'create';
      readonly model: ModelReference;
      readonly settings: SessionSettings;
    }
  | {
      readonly id: number;
      readonly op: 'run';
      readonly session: number;
      readonly feeds: readonly (readonly [string, Value])[];
      readonly fetches: readonly string[];
    }
  | { readonly id: number; readonly op: 'release'; readonly session: number }
  | { readonly id: number; readonly op: 'backends' };

export interface CreatedSession {
  readonly session: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

export interface Backend {
  readonly name: string;
  readonly bundled: boolean;
}

export type Answer =
  | { readonly op: 'create'; readonly created: CreatedSession }
  | {
      readonly op: 'run';
      readonly outputs: readonly (readonly [string, Value])[];
      readonly milliseconds: number;
    }
  | { readonly op: 'release' }
  | { readonly op: 'backends'; readonly backends: readonly Backend[] };

export type Response =
  | { readonly id: number; readonly ok: true; readonly answer: Answer }
  | { readonly id: number; readonly ok: false; readonly message: string };
