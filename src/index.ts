/**
 * The library: open a model of any format, look at it, change it, write it and prove it.
 * Everything exported here is public; its names are held by a snapshot test.
 */

export { contentId } from './core/content-id.js';
export {
  DTYPES,
  type DType,
  type DTypeFacts,
  dtypeFacts,
  elementCount,
  isDType,
  tensorBytes,
} from './core/dtype.js';
export {
  type FormatDescriptor,
  type ModelReader,
  type ModelWriter,
  NO_PROGRESS,
  type Progress,
  type WorkContext,
  type WriteOptions,
} from './core/format.js';
export type { OnnxGraph, OnnxValueInfo } from './core/graph.js';
export { LIMITS } from './core/limits.js';
export type { MetadataValue, Model } from './core/model.js';
export { memoryTensor, rangeTensor, readTensor, type TensorInfo, type TensorSource } from './core/tensor.js';
export type { StateNode, TrainingState } from './core/training.js';
export type { Transform } from './core/transform.js';
export { type ErrorCode, type Finding, isMlserError, MlserError } from './errors.js';
export { FORMATS, formatById } from './formats/index.js';
export type { InputFiles, OutputFiles } from './io/files.js';
export type { ByteSink } from './io/sink.js';
export type { ByteSource } from './io/source.js';
export { bench } from './operations/bench/bench.js';
export type { BenchGates } from './operations/bench/gates.js';
export type { BenchOptions } from './operations/bench/options.js';
export type { BenchComparison, BenchModel, BenchReport, Roofline } from './operations/bench/report.js';
export { checkManifest } from './operations/check-manifest.js';
export { checksumModel } from './operations/checksum.js';
export { type ConvertOptions, convertModel } from './operations/convert.js';
export { type AddOptions, addToRun } from './operations/delta/add.js';
export { applyDeltas } from './operations/delta/apply.js';
export { createDelta, type DeltaOptions, squashDeltas } from './operations/delta/create.js';
export { logDelta } from './operations/delta/log.js';
export { type PruneOptions, pruneRun } from './operations/delta/prune.js';
export type * from './operations/delta/report.js';
export { verifyDelta } from './operations/delta/verify.js';
export { type DiffOptions, diffModels } from './operations/diff.js';
export { type InspectOptions, inspectModel } from './operations/inspect.js';
export { type MetaEdit, metaEdit, metaGet } from './operations/meta.js';
export { type OpenContext, type OpenedModel, openModel, withModel } from './operations/open.js';
export { listPasses } from './operations/optimize/choose-passes.js';
export { type OptimizeOptions, optimizeModel } from './operations/optimize/optimize.js';
export type { OptimizeReport, PassEntry, PassList } from './operations/optimize/report.js';
export { recipeSchema } from './operations/pipeline/json-schema.js';
export { type Override as RecipeOverride, parseRecipeOverride } from './operations/pipeline/override.js';
export { type PipelineOptions, pipeline } from './operations/pipeline/pipeline.js';
export { recipeOf } from './operations/pipeline/provenance.js';
export { parseRecipe, type Recipe, type RecipeOptions, readRecipe } from './operations/pipeline/recipe.js';
export type { PipelineReport, StepEntry } from './operations/pipeline/report.js';
export { PRUNE_METHODS, type PruneMethod, type PruneScope } from './operations/prune/names.js';
export { type PruneModelOptions, pruneModel } from './operations/prune/prune.js';
export type * from './operations/prune/report.js';
export { type PresetOptions, quantizePreset } from './operations/quantize/preset.js';
export {
  type CalibrationMethod,
  type QuantizeOptions,
  quantizeModel,
} from './operations/quantize/quantize.js';
export type * from './operations/quantize/report.js';
export { sensitivityOf } from './operations/quantize/sensitivity.js';
export { type ReduceOptions, reduceModel } from './operations/reduce/reduce.js';
export type { ReducedNode, ReduceReport, Reduction } from './operations/reduce/report.js';
export type * from './operations/reports.js';
export type { FirstDifference, TracedInput, TracedValue, TraceReport } from './operations/trace/report.js';
export { type TraceOptions, traceModel } from './operations/trace/trace.js';
export { type ValidateOptions, validateFile } from './operations/validate.js';
export { type OutputOptions, type WriteRequest, writeModel } from './operations/write.js';
export { CAST_DEFAULTS, type CastOptions, cast } from './transforms/cast.js';
export { type MetadataOptions, metadata } from './transforms/metadata.js';
export { type RenameOptions, rename } from './transforms/rename.js';
export { type SelectOptions, select } from './transforms/select.js';
export type { GateResult, ValidationLevel, ValidationReport } from './validate/report.js';
