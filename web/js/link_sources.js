// Where a connected input gets its value from, as the host resolves it when a prompt is queued: through reroutes, bypassed
// nodes, and the inputs and outputs of subgraphs.

const NEVER = 2
const BYPASS = 4
const INPUTS_OF_SUBGRAPH = -10 // what links come from that start at the inputs of a subgraph
const CONSTANTS = ['PrimitiveString', 'PrimitiveStringMultiline', 'PrimitiveInt', 'PrimitiveNode']

/** Stands for what only a run can tell. */
export const UNKNOWN = Symbol('known after a run')

/** The subgraph nodes that hold a graph, outermost first: [] for the outermost graph itself, undefined for a graph outside. */
export function pathTo(graph, root) {
  if (graph === root) return []
  for (const holder of root._nodes ?? []) {
    const inner = holder.subgraph && pathTo(graph, holder.subgraph)
    if (inner) return [holder, ...inner]
  }
  return undefined
}

/**
 * What is connected to an input.
 * @param {object} node
 * @param {number} slot of its inputs
 * @param {object[]} path the subgraph nodes that hold the node, outermost first
 * @returns {{node: object, path: object[]} | {widget: object} | undefined} a node, or the field of a subgraph node; undefined
 *   for nothing
 */
export function source(node, slot, path) {
  const link = node.inputs?.[slot]?.link
  return link == null ? undefined : follow(node.graph, link, path)
}

function follow(graph, id, path) {
  const link = graph.getLink?.(id) ?? graph.links[id]
  if (!link) return undefined
  if (Number(link.origin_id) !== INPUTS_OF_SUBGRAPH) return through(graph.getNodeById(link.origin_id), link.origin_slot, path)
  const holder = path.at(-1)
  const outside = holder && source(holder, link.origin_slot, path.slice(0, -1))
  if (!holder || outside) return outside
  const input = holder.inputs[link.origin_slot]
  const widget = holder.widgets?.find((each) => each.name === (input?.widget?.name ?? input?.name))
  return widget && { widget }
}

function through(node, slot, path) {
  if (!node || node.mode === NEVER) return undefined
  if (node.mode === BYPASS) {
    const type = node.outputs[slot]?.type
    const same = node.inputs[slot]?.type === type ? slot : node.inputs.findIndex((input) => input.type === type)
    return same < 0 ? undefined : source(node, same, path)
  }
  if (node.subgraph) {
    const [link] = node.subgraph.outputs[slot]?.linkIds ?? []
    return link == null ? undefined : follow(node.subgraph, link, [...path, node])
  }
  return node.type === 'Reroute' ? source(node, 0, path) : { node, path }
}

/** What is connected to the inputs whose names start with `prefix`, by slot: [name, source] of those that are not empty. */
export function sources(node, prefix, path) {
  return (node.inputs ?? [])
    .map((input, slot) => [input.name, input.name.startsWith(prefix) ? source(node, slot, path) : undefined])
    .filter(([, from]) => from)
}

/**
 * Where a field is typed: there, in a node that only holds a value, or in a field of a subgraph node.
 * @returns {{node: object, widget: object} | undefined | typeof UNKNOWN} UNKNOWN if another node makes the value
 */
export function holderOf(node, name, path) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1
  const from = slot < 0 ? undefined : source(node, slot, path)
  if (!from) {
    const widget = node.widgets?.find((each) => each.name === name)
    return widget && { node, widget }
  }
  if (from.widget) return { node: path.at(-1), widget: from.widget }
  const { node: holder } = from
  const kind = holder.comfyClass ?? holder.type
  if (!CONSTANTS.includes(kind)) return UNKNOWN
  if (kind !== 'PrimitiveNode') return holderOf(holder, 'value', from.path)
  return holder.widgets?.[0] && { node: holder, widget: holder.widgets[0] }
}

/** What a field says, typed there or in a node that only holds a value; UNKNOWN if it is made by another node. */
export function valueOf(node, name, path) {
  const holder = holderOf(node, name, path)
  return holder === UNKNOWN ? UNKNOWN : written(holder?.widget)
}

const written = (widget) => {
  const value = widget?.value
  return widget?.dynamicPrompts && typeof value === 'string' ? firstChoice(value) : value
}

/** A prompt without its comments, with the first of every {choice|of|several}; a run takes any of them. */
export function firstChoice(text) {
  let plain = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
  for (let before = null; before !== plain; ) {
    before = plain
    plain = plain.replace(/(?<!\\)\{((?:\\[\s\S]|[^{}\\])*)(?<!\\)\}/, (_, inner) => inner.split(/(?<!\\)\|/)[0])
  }
  return plain.replace(/\\([{}|])/g, '$1')
}
