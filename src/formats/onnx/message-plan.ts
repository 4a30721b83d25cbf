import { ENUMS, type MessageName, SCHEMA } from './schema.js';

/** How a field is decoded. */
export interface FieldPlan {
  readonly key: string;
  readonly type: string;
  readonly message: MessagePlan | undefined;
  readonly many: boolean;
  /** Wire type of one value. */
  readonly wire: 0 | 2 | 5;
  /** Greatest value of an enum. */
  readonly enumMax: number | undefined;
  /** Keys of the other members of the oneof. */
  readonly rivals: readonly string[] | undefined;
}
export interface MessagePlan {
  readonly name: MessageName;
  readonly isTensor: boolean;
  /** By field number. */
  readonly fields: (FieldPlan | undefined)[];
}

const plans = new Map<MessageName, MessagePlan>();
const isMessage = (type: string): type is MessageName => Object.hasOwn(SCHEMA, type);
const enumMax = (type: string): number | undefined =>
  type === 'AttributeType' || type === 'DataLocation' ? ENUMS[type] : undefined;

/** The fields of a message by number, made from SCHEMA when a message of that kind is first met. */
export function planOf(name: MessageName): MessagePlan {
  const known = plans.get(name);
  if (known) return known;
  const plan: MessagePlan = { name, isTensor: name === 'TensorProto', fields: [] };
  plans.set(name, plan);
  const entries = Object.entries(SCHEMA[name]);
  for (const [key, { id, type, many, choice }] of entries)
    plan.fields[id] = {
      key,
      type,
      message: isMessage(type) ? planOf(type) : undefined,
      many,
      wire: isMessage(type) || type === 'string' || type === 'bytes' ? 2 : type === 'float' ? 5 : 0,
      enumMax: enumMax(type),
      rivals: choice
        ? entries.filter(([other, f]) => f.choice && other !== key).map(([other]) => other)
        : undefined,
    };
  return plan;
}
