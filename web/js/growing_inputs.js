// Sockets of growing inputs, three faults of the host that would lose or change what is connected:
// - Older frontends (those of ComfyUI 0.8, for example) show no socket at all of a growing input that may stay empty, so that
//   nothing could ever be connected to it. Such nodes get the first one; where it is there already, nothing happens.
// - A node that is made from a stored one (paste, duplicate, a subgraph packed or unpacked) gets its grown sockets at the end
//   of its inputs, but its links by the numbers that the sockets had before. So the sockets are put back into the stored order.
// - When a socket loses its link, the host closes the gap one frame later: at the number that the socket had, even if it is
//   connected again by then (as when nodes are packed into a subgraph or unpacked) or has another number. So the gaps are closed
//   here, by what is empty when the frame comes.
import { app } from '../../../scripts/app.js'

const HOLLOW_CIRCLE = 7 // how litegraph marks an optional socket
const FIRST_SOCKETS = {
  LumosXSubject: [['attributes', 'attribute_1', 'LUMOSX_ATTRIBUTE']],
  LumosXPerson: [['given', 'attribute_1', 'LUMOSX_ATTRIBUTE']],
  LumosXRelationGraph: [
    ['subjects', 'subject_1', 'LUMOSX_SUBJECT'],
    ['objects', 'object_1', 'LUMOSX_SCENE']
  ]
}

/** Tells the links of a node at which number their sockets are. */
function numberLinks(node) {
  node.inputs.forEach(({ link: id }, slot) => {
    const link = id == null ? undefined : (node.graph?.getLink?.(id) ?? node.graph?.links[id])
    if (link && String(link.target_id) === String(node.id)) link.target_slot = slot // a copy still has the original's links
  })
}

/** Puts the inputs into the order of the stored ones; those that were not stored keep their order, behind them. */
function sortInputs(node, stored) {
  const order = new Map(stored.map((input, index) => [input.name, index]))
  const place = (input) => order.get(input.name) ?? order.size
  const sorted = [...node.inputs].sort((a, b) => place(a) - place(b))
  if (sorted.some((input, index) => input !== node.inputs[index])) node.inputs.splice(0, sorted.length, ...sorted)
  numberLinks(node) // the host may have changed the numbers before the inputs were in order
}

/** Moves the links of a group up into its empty sockets; one empty socket stays behind them. */
function closeGaps(node, group) {
  const sockets = node.inputs.filter(({ name }) => name.startsWith(`${group}.`))
  const links = sockets.map(({ link }) => link).filter((link) => link != null)
  const needless = sockets.slice(links.length + 1)
  if (!needless.length) return
  sockets.forEach((socket, index) => (socket.link = links[index] ?? null))
  for (const socket of needless) node.inputs.splice(node.inputs.indexOf(socket), 1)
  numberLinks(node)
  node.size[1] = node.computeSize([...node.size])[1]
  node.setDirtyCanvas(true, true)
}

/** Keeps the host from closing the gaps of a node's growing inputs; they are closed here. */
function takeOverGaps(node) {
  const { onConnectionsChange } = node
  node.onConnectionsChange = function (kind, slot, connected, ...rest) {
    const name = kind === LiteGraph.INPUT && !connected ? (this.inputs?.[slot]?.name ?? '') : ''
    const group = name.slice(0, Math.max(0, name.indexOf('.')))
    const growing = this.comfyDynamic?.autogrow
    if (!growing || !(group in growing)) return onConnectionsChange?.call(this, kind, slot, connected, ...rest)
    this.comfyDynamic.autogrow = {} // the host sees no growing input, everybody else the change
    try {
      return onConnectionsChange.call(this, kind, slot, connected, ...rest)
    } finally {
      this.comfyDynamic.autogrow = growing
      requestAnimationFrame(() => this.graph && closeGaps(this, group))
    }
  }
}

app.registerExtension({
  name: 'lumosx.growingInputs',
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!(nodeData.name in FIRST_SOCKETS)) return
    const { configure } = nodeType.prototype
    nodeType.prototype.configure = function (stored) {
      const names = stored.inputs?.map(({ name }) => ({ name })) // the host changes the stored ones
      configure.call(this, stored)
      if (names && this.inputs) sortInputs(this, names)
    }
  },
  nodeCreated(node) {
    for (const [group, label, type] of FIRST_SOCKETS[node.comfyClass] ?? []) {
      const present = node.inputs?.some((input) => input.name.startsWith(`${group}.`))
      if (!present) node.addInput(`${group}.${label}`, type, { label, shape: HOLLOW_CIRCLE })
    }
    if (node.comfyClass in FIRST_SOCKETS) takeOverGaps(node)
  }
})
