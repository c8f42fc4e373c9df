// A picture with a box and points on it: what the fields say, how it is drawn, what the pointer does. Places are
// {box: [left, top, right, bottom] | undefined, points: [[x, y], ...]} in pixels of the picture.

const MOVED = 4 // pixels of the screen from which a click is a drag
const NEAR = 8 // pixels of the screen around a point within which a click takes it away
const COLOUR = '#00e5a0'

/** "1, 2, 30, 40" -> [1, 2, 30, 40]; undefined for anything that is no box. */
export function parseBox(text) {
  const numbers = String(text).split(',').map((part) => (part.trim() ? Number(part) : NaN))
  const isBox = numbers.length === 4 && numbers.every(Number.isFinite) && numbers[0] < numbers[2] && numbers[1] < numbers[3]
  return isBox ? numbers : undefined
}

/** "1, 2; 3, 4" -> [[1, 2], [3, 4]], without the parts that are no points. */
export function parsePoints(text) {
  const pairs = String(text).split(';').map((pair) => pair.split(',').map((part) => (part.trim() ? Number(part) : NaN)))
  return pairs.filter((pair) => pair.length === 2 && pair.every(Number.isFinite))
}

export const writePoints = (points) => points.map((point) => point.join(', ')).join('; ')

let namespace = null // of vector graphics, as the browser calls it

function svg(name, attributes) {
  namespace ??= new DOMParser().parseFromString('<svg></svg>', 'text/html').body.firstChild.namespaceURI
  const element = document.createElementNS(namespace, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}

/** The picture and what is drawn on it. */
export class Drawing {
  constructor() {
    this.element = svg('svg', { class: 'lumosx-picture', preserveAspectRatio: 'xMidYMid meet' })
    this.element.style.cssText = 'flex:1 1 0;min-height:0;width:100%;touch-action:none;cursor:crosshair;user-select:none'
    this.size = null
  }

  show(url, width, height) {
    this.size = [width, height]
    this.element.setAttribute('viewBox', `0 0 ${width} ${height}`)
    this.marks = svg('g', {})
    this.element.replaceChildren(svg('image', { href: url, width, height }), this.marks)
  }

  hide() {
    this.size = null
    this.element.replaceChildren()
  }

  /** [scale of the picture on the screen, its left and top edge there]; the host scales and moves its nodes. */
  place() {
    const { left, top, width, height } = this.element.getBoundingClientRect()
    const scale = Math.min(width / this.size[0], height / this.size[1])
    return [scale, left + (width - scale * this.size[0]) / 2, top + (height - scale * this.size[1]) / 2]
  }

  /** Where the pointer is, in whole pixels of the picture, at its edge if outside. */
  pixel({ clientX, clientY }) {
    const [scale, left, top] = this.place()
    const at = [(clientX - left) / scale, (clientY - top) / scale]
    return at.map((value, axis) => Math.min(Math.max(Math.round(value), 0), this.size[axis]))
  }

  draw({ box, points }) {
    const thin = { fill: 'none', stroke: COLOUR, 'stroke-width': 2, 'vector-effect': 'non-scaling-stroke' }
    const [scale] = this.place()
    const shapes = points.map(([cx, cy]) => svg('circle', { ...thin, cx, cy, r: 5 / (scale || 1), fill: `${COLOUR}88` }))
    if (box) {
      const [x, y, right, bottom] = box
      shapes.unshift(svg('rect', { ...thin, x, y, width: right - x, height: bottom - y, fill: `${COLOUR}22` }))
    }
    this.marks.replaceChildren(...shapes)
  }
}

/** A box from corner to corner that is at least one pixel wide and high and lies in the picture. */
export function boxBetween([x0, y0], [x1, y1], [width, height]) {
  const [left, top] = [Math.min(x0, x1, width - 1), Math.min(y0, y1, height - 1)]
  return [left, top, Math.max(x0, x1, left + 1), Math.max(y0, y1, top + 1)]
}

/** Listens to the pointer: `preview(places)` while it is dragged, `done(places)` at its end; places as of `placesOf`. */
export function followPointer(drawing, { isFree, hasBox, current, preview, done }) {
  const { element } = drawing
  let start = null
  const far = (event) => Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) >= MOVED
  const boxTo = (event) => boxBetween(drawing.pixel(start), drawing.pixel(event), drawing.size)
  const inside = (event) => drawing.pixel(event).map((value, axis) => Math.min(value, drawing.size[axis] - 1))
  const clicked = (event) => {
    const { box, points } = current()
    const [scale] = drawing.place()
    const point = inside(event)
    if (!hasBox) return { points: [point] }
    const others = points.filter(([x, y]) => Math.hypot(x - point[0], y - point[1]) * scale > NEAR)
    return { box, points: others.length < points.length ? others : [...points, point] }
  }
  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return
    event.stopPropagation() // else the host drags the node
    if (!drawing.size || !isFree()) return
    start = event
    element.setPointerCapture(event.pointerId)
  })
  element.addEventListener('pointermove', (event) => {
    if (!start) return
    event.stopPropagation()
    if (hasBox && far(event)) preview({ ...current(), box: boxTo(event) })
  })
  element.addEventListener('pointerup', (event) => {
    if (!start) return
    event.stopPropagation()
    done(hasBox && far(event) ? { ...current(), box: boxTo(event) } : clicked(event))
    start = null
  })
  element.addEventListener('pointercancel', () => {
    start = null
    preview(current())
  })
  return () => start !== null
}
