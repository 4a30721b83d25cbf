export { castBf16ToF32, castF16ToF32, castF32ToBf16, castF32ToF16 } from './casts';
export { byteHistogram, byteswap16, byteswap32, byteswap64, leadingHistogram, markCodes } from './bytes';
export { fineFloor, fineJoin, fineSplit } from './fine-planes';
export { joinPlanes2, joinPlanes4, joinPlanes8, splitPlanes2, splitPlanes4, splitPlanes8 } from './planes';
export { statisticsBf16, statisticsF16, statisticsF32 } from './statistics';
export { compareF32 } from './compare';
export { cast16ByTable, castF32ByTable, widenTo16ByTable, widenTo32ByTable } from './tables';
export { planeDecode, planeEncode, planeModel, planeSample, sampleElements } from './plane-codes';
export { residualDecode } from './residual-decode';
export { residualChanged, residualEncode, residualModel } from './residual-encode';
export { countDiffering, countNonZero, differingPositions, gatherAt, scatterAt } from './positions';
export { gapsDecode, gapsEncode, gapsModel } from './gaps';
export { paletteElements, paletteOf, xorBytes } from './palette';
export { adamSecond, adamWeight } from './adam';
export { codebookRun, levelsRun, powerLevelsRun } from './levels';
export { nbitsRun, packBytes, turnF32 } from './runs';
export { columnEnds, halfErrors, linearRow, nbitsBlock, rowEnds } from './quantize';
export {
  countMagnitudes32,
  countMagnitudes64,
  magnitudeDigits32,
  magnitudeDigits64,
  nearMagnitudes32,
  patternAlong16,
  patternAlong32,
  patternAlong64,
  pattern16,
  pattern32,
  pattern64,
  zeroBelow16,
  zeroBelow32,
  zeroBelow64,
} from './prune';
export { addProducts } from './products';
export { crcFold } from './checksums';
