// Buttons that put words into a prompt: those of the connected owners, and, for words that are missing, the exchange of similar
// ones. The prompt is written where it is typed, at the cursor.
import { app } from '../../../scripts/app.js'
import { UNKNOWN, holderOf } from './link_sources.js'
import { exchanged, inserted } from './prompt_edits.js'

/** Where the words go: the text field of a widget on the screen; nothing if there is none. */
function fieldOf({ node, widget }) {
  const own = widget.element ?? widget.inputEl
  if (own?.tagName === 'TEXTAREA' && own.isConnected) return own
  const fields = [...document.querySelectorAll(`[data-node-id="${node.id}"] textarea`)]
  return fields.find((field) => field.value === widget.value)
}

/** Writes a text as typing does, as one step of the host's undo, with the cursor behind what came in. */
function write(holder, { text, cursor }) {
  const { node, widget } = holder
  app.canvas?.emitBeforeChange?.()
  widget.value = text
  widget.callback?.(text, app.canvas, node)
  node.setDirtyCanvas?.(true, true)
  app.canvas?.emitAfterChange?.()
  setTimeout(() => {
    const field = fieldOf(holder)
    field?.focus({ preventScroll: true })
    field?.setSelectionRange(cursor, cursor)
  })
}

function button(label, title, style, press) {
  const element = document.createElement('button')
  element.textContent = label
  element.title = title
  element.style.cssText = `cursor:pointer;font-size:12px;line-height:1.4;padding:0 5px;border-radius:3px;${style}`
  element.addEventListener('pointerdown', (event) => {
    event.stopPropagation() // the canvas would drag the node
    event.preventDefault() // the prompt keeps its cursor
  })
  element.addEventListener('click', press)
  return element
}

function row(className) {
  const element = document.createElement('div')
  element.className = className
  element.style.cssText = 'display:flex;flex-wrap:wrap;gap:3px;margin-bottom:3px'
  return element
}

/**
 * The rows of buttons above a prompt.
 * @param {object} verdict of the host
 * @param {object} node the relation graph
 * @param {object[]} path the subgraph nodes that hold it
 * @param {{put: string, exchange: string}} texts what the buttons say under the mouse
 * @returns {HTMLElement[]} none where another node makes the prompt
 */
export function offers(verdict, node, path, texts) {
  const holder = holderOf(node, 'prompt', path)
  if (!holder || holder === UNKNOWN) return []
  const put = (words) => () => {
    const field = fieldOf(holder)
    const place = field ? [field.selectionStart, field.selectionEnd] : [holder.widget.value.length, holder.widget.value.length]
    write(holder, inserted(holder.widget.value, ...place, words))
  }
  const words = row('lumosx-words')
  for (const { text, tag, colour } of verdict.offered) {
    words.append(button(text, texts.put, `border:1px solid ${colour};background:${colour};color:#fff`, put(text)))
    if (tag) words.append(button(tag, texts.put, `border:1px solid ${colour};background:none;color:inherit`, put(tag)))
  }
  const similar = row('lumosx-similar')
  for (const { phrase, nearest } of verdict.problems)
    for (const near of nearest) {
      const change = exchanged(holder.widget.value, near, phrase)
      if (!change) continue // it came out of a tag or a choice
      const press = () => write(holder, exchanged(holder.widget.value, near, phrase) ?? change)
      similar.append(button(`${near} \u2192 ${phrase}`, texts.exchange, 'border:1px dashed;background:none;color:inherit', press))
    }
  return [similar, words].filter((each) => each.childElementCount)
}
