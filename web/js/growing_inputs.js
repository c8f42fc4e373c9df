// Sockets of growing inputs, two faults of the host that would lose or change what is connected:
// - Older frontends (those of ComfyUI 0.8, for example) show no socket at all of a growing input that may stay empty, so that
//   nothing could ever be connected to it. Such nodes get the first one; where it is there already, nothing happens.
// - A node that is made from a stored one (paste, duplicate, a subgraph packed or unpacked) gets its grown sockets at the end
//   of its inputs, but its links by the numbers that the sockets had before. So the sockets are put back into the stored order.
import { app } from '../../../scripts/app.js'

const HOLLOW_CIRCLE = 7 // how litegraph marks an optional socket
const FIRST_SOCKETS = {
  LumosXSubject: [['attributes', 'attribute_1', 'LUMOSX_ATTRIBUTE']],
  LumosXRelationGraph: [
    ['subjects', 'subject_1', 'LUMOSX_SUBJECT'],
    ['objects', 'object_1', 'LUMOSX_SCENE']
  ]
}

/** Puts the inputs into the order of the stored ones; those that were not stored keep their order, behind them. */
function sortInputs(node, stored) {
  const order = new Map(stored.map((input, index) => [input.name, index]))
  const place = (input) => order.get(input.name) ?? order.size
  const sorted = [...node.inputs].sort((a, b) => place(a) - place(b))
  if (sorted.some((input, index) => input !== node.inputs[index])) node.inputs.splice(0, sorted.length, ...sorted)
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
  }
})
