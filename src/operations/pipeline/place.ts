import { MlserError } from '../../errors.js';

/** A value in a recipe: where complaints about it point to. */
export interface Place {
  /** As the user named the recipe. */
  readonly file: string;
  /** JSON pointer (RFC 6901); empty for the whole document. */
  readonly pointer: string;
}

export const inside = ({ file, pointer }: Place, key: string | number): Place => ({
  file,
  pointer: `${pointer}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`,
});

/** E_USAGE that says where in the recipe, what is wrong and what would be right. */
export const refused = ({ file, pointer }: Place, why: string, hint: string): MlserError =>
  new MlserError('E_USAGE', `${file}: ${pointer === '' ? 'the recipe' : pointer} ${why}`, {
    details: { file, at: pointer },
    hint,
  });
