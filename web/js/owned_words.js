// The words of a relation graph, gathered from the nodes around it. Who owns which of them is settled by the host, with the
// code that a run uses (nodes/words_while_typing.py).
import { UNKNOWN, pathTo, source, sources, valueOf } from './link_sources.js'

/**
 * What the host is asked about a LumosX Relation Graph.
 * @param {object} graph the node
 * @returns {{prompt: string, nano: boolean, background: object | null, objects: object[], subjects: object[],
 *   sample: string} | undefined} as
 *   `Question` in nodes/words_while_typing.py; undefined where some of the words are only known after a run
 */
export function questionOf(graph) {
  const path = pathTo(graph.graph, graph.graph.rootGraph ?? graph.graph) ?? []
  const samples = sources(graph, 'sample', path)
  const ordered = (prefix) => sources(graph, prefix, path).sort(([a], [b]) => (a < b ? -1 : 1)) // the order of a run
  const scene = ([, from]) => phraseOf(from, 'LumosXSceneReference', 'phrase')
  const question = {
    prompt: valueOf(graph, 'prompt', path),
    nano: isNano(graph, path),
    background: sources(graph, 'background', path).map(scene)[0] ?? null,
    objects: ordered('objects.').map(scene),
    subjects: ordered('subjects.').map(([, from]) => personOf(from)),
    sample: samples.map(([, { node, path: at }]) =>
      node?.comfyClass === 'LumosXSampleFolder' ? valueOf(node, 'sample', at) : UNKNOWN
    )[0] ?? ''
  }
  return isKnown(question) ? question : undefined
}

function isKnown(value) {
  if (value === UNKNOWN || value === undefined) return false
  return value === null || typeof value !== 'object' || Object.values(value).every(isKnown)
}

function phraseOf(from, kind, field) {
  const { node, path } = from
  if (node?.comfyClass !== kind) return UNKNOWN
  const words = valueOf(node, field, path)
  return { words, tag: valueOf(node, 'tag', path) ?? '', occurrence: valueOf(node, 'occurrence', path) ?? 0 }
}

function personOf(from) {
  if (from.node?.comfyClass === 'LumosXPerson') return photographedOf(from)
  const said = phraseOf(from, 'LumosXSubject', 'name')
  if (said === UNKNOWN) return UNKNOWN
  const { node, path } = from
  const attributes = sources(node, 'attributes.', path).map(([, each]) =>
    phraseOf(each, 'LumosXAttributeReference', 'phrase')
  )
  return { ...said, face: sources(node, 'face', path).length > 0, attributes }
}

/** A person out of a photograph: the things that are named there are looked for in a run, which stops for those it misses. */
function photographedOf(from) {
  const said = phraseOf(from, 'LumosXPerson', 'name')
  const { node, path } = from
  const given = sources(node, 'given.', path).map(([, each]) => phraseOf(each, 'LumosXAttributeReference', 'phrase'))
  const named = valueOf(node, 'attributes', path)
  if (named === UNKNOWN || given.includes(UNKNOWN)) return UNKNOWN
  const there = new Set(given.map(({ words }) => words))
  const lines = (named ?? '').split('\n').map((line) => line.trim().replace(/\s+/g, ' '))
  const found = [...new Set(lines)].filter((line) => line && !there.has(line)).map((words) => ({ words }))
  return { ...said, face: true, attributes: [...found, ...given] }
}

/** Whether the CLIP is that of LumosX Nano, also behind nodes that change a CLIP. */
function isNano(graph, path) {
  let slot = graph.inputs?.findIndex((input) => input.name === 'clip') ?? -1
  let from = slot < 0 ? undefined : source(graph, slot, path)
  for (let steps = 0; from?.node && steps < 100; steps++) {
    if (from.node.comfyClass === 'LumosXNano') return true
    slot = from.node.inputs?.findIndex((input) => input.type === 'CLIP') ?? -1
    from = slot < 0 ? undefined : source(from.node, slot, from.path)
  }
  return false
}
