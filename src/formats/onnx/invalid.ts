import { type Details, type MlserError, malformed } from '../../errors.js';

/** E_MALFORMED for a file that is protobuf but breaks a rule of ONNX. */
export const invalid = (
  message: string,
  details: Details,
  hint = 'the file breaks a rule of ONNX: export the model again, or mend it with the tool that wrote it',
): MlserError => malformed(message, details, hint);
