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
  /** Threads wait for work awake, as they do by default: faster, but they hold a core. Until the end of a run. */
  readonly spin?: boolean;
  /** Every node is timed; `endProfile` tells. */
  readonly profile?: ProfileSettings;
}

export interface ProfileSettings {
  /** The runtime puts the time and `.json` behind it and writes what it saw there. The file is removed once read. */
  readonly prefix: string;
  /** Weights stay as they are, so that their shapes are in the profile: packed ones are not. Slower. */
  readonly unpacked: boolean;
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
  /** Keeps feeds for `measure`, in the place of those before. */
  | {
      readonly id: number;
      readonly op: 'hold';
      readonly session: number;
      readonly feeds: readonly (readonly [string, Value])[];
      readonly fetches: readonly string[];
    }
  /** Runs `warmup` times, then `runs` times on what is held. */
  | {
      readonly id: number;
      readonly op: 'measure';
      readonly session: number;
      readonly warmup: number;
      readonly runs: number;
    }
  | { readonly id: number; readonly op: 'endProfile'; readonly session: number }
  | { readonly id: number; readonly op: 'memory' }
  | { readonly id: number; readonly op: 'backends' };

export interface CreatedSession {
  readonly session: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** What making it took. */
  readonly milliseconds: number;
}

/** Memory of the child process that is in RAM, in bytes. */
export interface MemoryUse {
  readonly now: number;
  /** The most that it was since the process began. */
  readonly peak: number;
}

/** A node of the graph as the runtime has optimised it, over all runs of a session. */
export interface NodeProfile {
  readonly name: string;
  readonly op: string;
  /** Types (in the runtime's words) and shapes of the first run, absent optional ones left out. */
  readonly inputs: readonly ProfiledValue[];
  readonly outputs: readonly ProfiledValue[];
  /** Microseconds in each run, without those of nodes inside it (branches, bodies of loops). */
  readonly microseconds: readonly number[];
}
export type ProfiledValue = readonly [type: string, shape: readonly number[]];

export interface SessionProfile {
  readonly nodes: readonly NodeProfile[];
  /** Microseconds of each run, everything included. */
  readonly runs: readonly number[];
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
  | { readonly op: 'hold' }
  | { readonly op: 'measure'; readonly milliseconds: Float64Array }
  | { readonly op: 'endProfile'; readonly profile: SessionProfile }
  | { readonly op: 'memory'; readonly memory: MemoryUse }
  | { readonly op: 'backends'; readonly backends: readonly Backend[] };

/** Some bytes of an output of a run; the answer comes behind the last one. */
export interface ValuePart {
  /** Its place among the outputs. */
  readonly output: number;
  readonly offset: number;
  /** Bytes of the whole output. */
  readonly total: number;
  readonly bytes: Uint8Array;
}

export type Response =
  | { readonly id: number; readonly part: ValuePart }
  | { readonly id: number; readonly ok: true; readonly answer: Answer }
  | { readonly id: number; readonly ok: false; readonly message: string };
