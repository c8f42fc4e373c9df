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
    nano: isNano(graph, path, 'CLIP'),
    background: sources(graph, 'background', path).map(scene)[0] ?? null,
    objects: ordered('objects.').map(scene),
    subjects: ordered('subjects.').map(([, from]) => personOf(from)),
    sample: samples.map(([, from]) => sampleOf(from))[0] ?? ''
  }
  return isKnown(question) ? question : undefined
}

function isKnown(value) {
  if (value === UNKNOWN || value === undefined) return false
  return value === null || typeof value !== 'object' || Object.values(value).every(isKnown)
}

const sampleOf = ({ node, path }) => (node?.comfyClass === 'LumosXSampleFolder' ? valueOf(node, 'sample', path) : UNKNOWN)

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

/** Whether a node's CLIP or VAE is that of LumosX Nano, also behind nodes that change it. */
function isNano(node, path, type) {
  let slot = node.inputs?.findIndex((input) => input.type === type) ?? -1
  let from = slot < 0 ? undefined : source(node, slot, path)
  for (let steps = 0; from?.node && steps < 100; steps++) {
    if (from.node.comfyClass === 'LumosXNano') return true
    slot = from.node.inputs?.findIndex((input) => input.type === type) ?? -1
    from = slot < 0 ? undefined : source(from.node, slot, from.path)
  }
  return false
}

/**
 * What the host is asked about the cost of a video.
 * @param {object} encode a LumosX Encode References
 * @returns {object | undefined} as `Plan` in nodes/work_while_editing.py; undefined where the size or what makes the pictures
 *   is only known after a run, or no relation graph is connected
 */
export function planOf(encode) {
  const path = pathTo(encode.graph, encode.graph.rootGraph ?? encode.graph) ?? []
  const [[, from] = []] = sources(encode, 'graph', path)
  if (from?.node?.comfyClass !== 'LumosXRelationGraph') return undefined
  const { node: graph, path: inside } = from
  const samples = sources(graph, 'sample', inside)
  const plan = {
    ...sizeOf(encode, path),
    nano: isNano(encode, path, 'VAE'),
    background: sources(graph, 'background', inside).length > 0,
    objects: sources(graph, 'objects.', inside).length,
    subjects: sources(graph, 'subjects.', inside).map(([, each]) => picturesOf(each)),
    sample: samples.map(([, each]) => sampleOf(each))[0] ?? ''
  }
  return isKnown(plan) ? plan : undefined
}

/** Width, height and length of the video; those that LumosX Nano gives out are the ones its own description tells. */
function sizeOf(encode, path) {
  const given = { width: 96, height: 80, length: 17 }
  return Object.fromEntries(
    Object.entries(given).map(([name, nanos]) => {
      const slot = encode.inputs?.findIndex((input) => input.name === name) ?? -1
      const from = slot < 0 ? undefined : source(encode, slot, path)
      return [name, from?.node?.comfyClass === 'LumosXNano' ? nanos : valueOf(encode, name, path)]
    })
  )
}

function picturesOf(from) {
  const person = personOf(from)
  return person === UNKNOWN ? UNKNOWN : person.attributes.length + (person.face ? 1 : 0)
}
