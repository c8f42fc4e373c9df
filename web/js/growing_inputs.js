// Older frontends (those of ComfyUI 0.8, for example) show no socket at all of a growing input that may stay empty, so that
// nothing could ever be connected to it. Here such nodes get the first one; where it is there already, nothing happens.
import { app } from '../../../scripts/app.js'

const HOLLOW_CIRCLE = 7 // how litegraph marks an optional socket
const FIRST_SOCKETS = {
  LumosXSubject: [['attributes', 'attribute_1', 'LUMOSX_ATTRIBUTE']],
  LumosXRelationGraph: [
    ['subjects', 'subject_1', 'LUMOSX_SUBJECT'],
    ['objects', 'object_1', 'LUMOSX_SCENE']
  ]
}

app.registerExtension({
  name: 'lumosx.growingInputs',
  nodeCreated(node) {
    for (const [group, label, type] of FIRST_SOCKETS[node.comfyClass] ?? []) {
      const present = node.inputs?.some((input) => input.name.startsWith(`${group}.`))
      if (!present) node.addInput(`${group}.${label}`, type, { label, shape: HOLLOW_CIRCLE })
    }
  }
})
