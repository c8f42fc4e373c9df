// The picture inside the nodes that take a place in it: a box is drawn by dragging, a point set by a click. What is drawn is
// written into the node's own fields, and what is typed there is drawn, so that workflows keep nothing but the fields.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { UNKNOWN, pathTo, source, valueOf } from './link_sources.js'
import { Drawing, followPointer, parseBox, parsePoints, writePoints } from './picture_places.js'

const LOW = 26 // pixels of the widget while there is no picture
const HIGH = 220 // and with one, at least
const EVERY = 300 // milliseconds between two looks at what is connected and typed
const AT_POINT = 'at point'
const UNFOLDED = 'lumosx_picture' // property of a node: whether its picture is shown; older workflows do not have it
// Which fields a drawing fills, and for which values of the others it counts.
const NODES = {
  LumosXAttributeReference: {
    box: 'box',
    points: 'points',
    counts: (said) => ['segment', 'phrase'].includes(said('cut_out'))
  },
  LumosXFaceReference: { counts: (said) => said('crop') !== 'already cropped' },
  LumosXPerson: { counts: () => true }
}
const TEXTS = {
  en: {
    fold: 'show or hide the image',
    nothing: 'Connect an image to draw on it.',
    later: 'The image is shown here after a run.',
    box: 'Drag a box, click for points.',
    point: 'Click on the one who is meant.',
    LumosXAttributeReference: 'To draw on the image, choose segment or phrase.',
    LumosXFaceReference: 'No place is needed: the image is cropped already.',
    linked: 'The place comes from another node.',
    clear: 'clear'
  },
  zh: {
    fold: '\u663e\u793a\u6216\u9690\u85cf\u56fe\u7247',
    nothing: '\u8fde\u63a5\u56fe\u7247\u540e\u5373\u53ef\u5728\u4e0a\u9762\u753b\u3002',
    later: '\u8fd0\u884c\u4e00\u6b21\u540e\u5728\u6b64\u663e\u793a\u56fe\u7247\u3002',
    box: '\u62d6\u52a8\u753b\u6846\uff0c\u70b9\u51fb\u52a0\u70b9\u3002',
    point: '\u70b9\u51fb\u6240\u6307\u7684\u4eba\u3002',
    LumosXAttributeReference: '\u8981\u5728\u56fe\u4e0a\u753b\uff0c\u8bf7\u9009 segment \u6216 phrase\u3002',
    LumosXFaceReference: '\u56fe\u7247\u5df2\u88c1\u597d\uff0c\u65e0\u9700\u6307\u5b9a\u4f4d\u7f6e\u3002',
    linked: '\u4f4d\u7f6e\u6765\u81ea\u5176\u4ed6\u8282\u70b9\u3002',
    clear: '\u6e05\u9664'
  }
}

const texts = () => TEXTS[app.extensionManager?.setting?.get('Comfy.Locale')] ?? TEXTS.en
const address = ({ filename, subfolder = '', type }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)

/** What Load Image says: "folder/name.png [input]", where its brackets may be missing. */
function loadedPicture(value) {
  const [, path, type = 'input'] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(value)
  const parts = path.split('/')
  return { url: address({ filename: parts.pop(), subfolder: parts.join('/'), type }) }
}

/**
 * The picture that is connected to a node.
 * @returns {{url: string, width?: number, height?: number} | null | undefined} null for nothing connected, undefined for one
 *   that only a run can tell
 */
function connectedPicture(node, path) {
  const slot = node.inputs?.findIndex(({ name }) => name === 'image') ?? -1
  const from = slot < 0 ? undefined : source(node, slot, path)
  if (!from?.node) return null
  const value = from.node.comfyClass === 'LoadImage' ? valueOf(from.node, 'image', from.path) : UNKNOWN
  if (typeof value === 'string' && value) return loadedPicture(value)
  const [shown] = node.lumosxSource ?? app.nodeOutputs?.[node.id]?.lumosx_source ?? []
  return shown && { url: address(shown), width: shown.width, height: shown.height }
}

/** Whether a field is open to what is drawn: it is not if its value comes over a link. */
const isOpen = (node, name) => !node.inputs?.some((input) => input.link != null && (input.widget?.name ?? input.name) === name)

/** The places that a node's fields name. */
function placesOf(kind, said) {
  if (kind.box) return { box: parseBox(said(kind.box)), points: parsePoints(said(kind.points)) }
  return { points: said('choice') === AT_POINT ? [[Number(said('x')), Number(said('y'))]] : [] }
}

/** Writes fields as typing does, as one step of the host's undo. */
function write(node, values) {
  app.canvas?.emitBeforeChange?.()
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find((each) => each.name === name)
    if (!widget || !isOpen(node, name)) continue
    widget.value = value
    widget.callback?.(value, app.canvas, node)
  }
  node.setDirtyCanvas?.(true, true)
  app.canvas?.emitAfterChange?.()
}

function make(tag, style, parent) {
  const element = document.createElement(tag)
  element.style.cssText = style
  parent?.append(element)
  return element
}

/** The widget of one node: a line of words that folds the picture, and the picture. */
class Places {
  constructor(node, kind) {
    Object.assign(this, { node, kind, drawing: new Drawing(), url: null, drawn: null, timer: null })
    this.element = make('div', 'display:flex;flex-direction:column;gap:2px;padding:2px 8px;box-sizing:border-box')
    this.element.className = 'lumosx-draw-places'
    const row = make('div', 'display:flex;justify-content:space-between;gap:8px;font-size:12px;line-height:18px', this.element)
    row.style.color = 'var(--input-text,#ddd)'
    this.hint = make('span', 'cursor:pointer;overflow:hidden;white-space:nowrap;text-overflow:ellipsis', row)
    this.clear = make('span', 'cursor:pointer;text-decoration:underline', row)
    this.element.append(this.drawing.element)
    this.hint.addEventListener('click', () => this.fold())
    this.clear.addEventListener('click', () => this.put({ points: [] }))
    for (const each of [this.hint, this.clear]) each.addEventListener('pointerdown', (event) => event.stopPropagation())
    this.isDragged = followPointer(this.drawing, {
      isFree: () => this.isFree(),
      hasBox: Boolean(kind.box),
      current: () => placesOf(kind, this.said),
      preview: (places) => this.drawing.draw(places),
      done: (places) => this.put(places)
    })
    this.said = (name) => {
      const value = valueOf(node, name, this.path())
      return value === UNKNOWN || value == null ? '' : value
    }
    const widget = node.addDOMWidget('places', 'lumosx_places', this.element, {
      serialize: false,
      hideOnZoom: false,
      getValue: () => '',
      setValue: () => {},
      getMinHeight: () => this.height()
    })
    widget.serialize = false // neither sent to the host nor stored in the workflow
    this.resize(() => {})
  }

  path = () => pathTo(this.node.graph, this.node.graph.rootGraph ?? this.node.graph) ?? []
  height = () => (this.drawing.size ? HIGH : LOW)
  fields = () => (this.kind.box ? [this.kind.box, this.kind.points] : ['x', 'y', 'choice'])
  isFree = () => this.fields().every((name) => isOpen(this.node, name))

  fold() {
    app.canvas?.emitBeforeChange?.()
    this.node.properties[UNFOLDED] = !this.node.properties[UNFOLDED]
    app.canvas?.emitAfterChange?.()
    this.look()
  }

  put({ box, points }) {
    const { kind, node } = this
    if (kind.box) write(node, { [kind.box]: box ? box.join(', ') : '', [kind.points]: writePoints(points) })
    else write(node, { choice: AT_POINT, x: points[0][0], y: points[0][1] })
    this.drawn = null
    this.look()
  }

  /** Changes what is shown, and the node's size with it. */
  resize(change) {
    const before = this.height()
    change()
    const now = this.height()
    this.element.style.minHeight = `${now}px`
    this.drawing.element.style.display = this.drawing.size ? '' : 'none'
    if (now === before) return
    const { node } = this
    node.setSize?.([node.size[0], Math.max(node.size[1] + now - before, node.computeSize()[1])])
    node.setDirtyCanvas?.(true, true)
  }

  load(picture) {
    this.url = picture?.url ?? null
    if (!this.url) return this.resize(() => this.drawing.hide())
    const image = new Image()
    image.onload = () => {
      if (this.url !== picture.url) return // another one came meanwhile
      const size = [picture.width ?? image.naturalWidth, picture.height ?? image.naturalHeight]
      this.resize(() => this.drawing.show(picture.url, ...size))
      this.drawn = null
      this.look()
    }
    image.onerror = () => this.url === picture.url && this.resize(() => this.drawing.hide())
    image.src = picture.url
  }

  words(picture, counts, unfolded) {
    const { node, kind, drawing } = this
    const all = texts()
    if (!counts) return all[node.comfyClass]
    if (picture === null) return all.nothing
    if (picture === undefined) return all.later
    if (!this.isFree()) return all.linked
    return `${unfolded && drawing.size ? '\u25be' : '\u25b8'} ${kind.box ? all.box : all.point}`
  }

  /** Shows what is connected and typed now: nobody tells when it changes. */
  look() {
    const { node, kind, drawing } = this
    if (!node.graph || node.graph !== app.canvas?.graph || this.isDragged()) return
    const unfolded = Boolean(node.properties[UNFOLDED])
    const counts = kind.counts(this.said)
    const picture = connectedPicture(node, this.path())
    const wanted = counts && unfolded ? picture : undefined
    if ((wanted?.url ?? null) !== this.url) this.load(wanted)
    const words = this.words(picture, counts, unfolded)
    if (this.hint.textContent !== words) this.hint.textContent = words
    this.hint.title = texts().fold
    const places = placesOf(kind, this.said)
    const isDrawn = kind.box && drawing.size && this.isFree() && (places.box || places.points.length)
    this.clear.textContent = isDrawn ? texts().clear : ''
    const now = JSON.stringify([places, drawing.size && drawing.place()[0]])
    if (now === this.drawn) return
    this.drawn = now
    if (drawing.size) drawing.draw(places)
  }
}

app.registerExtension({
  name: 'lumosx.drawPlaces',
  nodeCreated(node) {
    const kind = NODES[node.comfyClass]
    if (!kind) return
    node.properties ??= {}
    node.properties[UNFOLDED] = true
    const places = new Places(node, kind)
    const { onAdded, onRemoved, onExecuted, onConfigure } = node
    node.onConfigure = function (stored, ...rest) {
      if (!(UNFOLDED in (stored.properties ?? {}))) this.properties[UNFOLDED] = false // else old workflows lose their order
      return onConfigure?.call(this, stored, ...rest)
    }
    node.onAdded = function (...rest) {
      places.timer ??= setInterval(() => places.look(), EVERY)
      return onAdded?.apply(this, rest)
    }
    node.onRemoved = function (...rest) {
      clearInterval(places.timer)
      places.timer = null
      return onRemoved?.apply(this, rest)
    }
    node.onExecuted = function (output, ...rest) {
      if (output?.lumosx_source) this.lumosxSource = output.lumosx_source
      return onExecuted?.call(this, output, ...rest)
    }
  }
})
