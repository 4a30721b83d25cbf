/**
 * How a tensor follows, nearly or exactly, from the tensor of the same name in the base and from other tensors of its
 * own model: differences to what is predicted are short. All tensors are f32 of one length, all numbers are f32.
 */
export type Prediction =
  /** A weight after a step of Adam or AdamW, from the moments after it. */
  | {
      readonly kind: 'adam-weight';
      /** Names in the own model. */
      readonly first: string;
      readonly second: string;
      /** 1 − lr · weight decay, −lr / (1 − β₁ᵗ), √(1 − β₂ᵗ), ε. */
      readonly scalars: readonly number[];
    }
  /** A second moment after a step, from the first one before it (of the same name in the base) and after it. */
  | {
      readonly kind: 'adam-second';
      readonly first: string;
      /** 1 − β₁, β₂, 1 − β₂. */
      readonly scalars: readonly number[];
    };

/** Numbers that each kind has. */
export const PREDICTION_SCALARS = { 'adam-weight': 4, 'adam-second': 3 } as const;
