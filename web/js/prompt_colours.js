// LumosX Relation Graph shows the prompt with every owner's words in the owner's colour while it is typed, and above it what
// a run would stop for and buttons that write words. The host says who owns what (POST /lumosx/words), so that a run says the same.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { AGAIN, ALARM, EVERY, ask, line } from './host_answers.js'
import { pathTo } from './link_sources.js'
import { questionOf } from './owned_words.js'
import { offers } from './prompt_offers.js'

const LOW = 64 // pixels of the strip
const HIGH = 170
const AROUND = 34 // the strip's own padding, the gaps of its rows and the host's margin around a widget
const TEXTS = {
  en: {
    missing: 'not in the prompt',
    put: 'Put this into the prompt, at the cursor.',
    exchange: 'Write these words instead.',
    unknown: 'Some of the words come from other nodes: see the picture after a run.',
    silent: 'The host does not say who owns these words; restart it if LumosX was updated.'
  },
  zh: {
    missing: '\u63d0\u793a\u8bcd\u4e2d\u6ca1\u6709',
    put: '\u5728\u5149\u6807\u5904\u63d2\u5165\u63d0\u793a\u8bcd\u3002',
    exchange: '\u6539\u5199\u4e3a\u8fd9\u4e9b\u8bcd\u3002',
    unknown: '\u90e8\u5206\u8bcd\u8bed\u6765\u81ea\u5176\u4ed6\u8282\u70b9\uff1a\u8fd0\u884c\u540e\u89c1\u56fe\u7247\u3002',
    silent: '\u670d\u52a1\u5668\u6ca1\u6709\u56de\u7b54\u8fd9\u4e9b\u8bcd\u5c5e\u4e8e\u8c01\uff1b\u5982\u679c\u521a\u66f4\u65b0\u4e86 LumosX\uff0c\u8bf7\u91cd\u542f\u3002'
  }
}

const texts = () => TEXTS[app.extensionManager?.setting?.get('Comfy.Locale')] ?? TEXTS.en

const alarm = (text) => line(text, 'lumosx-problem', `color:${ALARM};margin-bottom:2px`)
const quiet = (text) => line(text, 'lumosx-note', 'opacity:0.6')

/** Not found words as one line, and every other problem as a run tells it; notes come last. */
function problemLines({ problems, refused }) {
  const missing = problems.filter(({ kind }) => kind === 'not_found').map(({ phrase }) => phrase)
  return [
    ...(refused ? [alarm(refused)] : []),
    ...(missing.length ? [alarm(`${texts().missing}: ${missing.join(', ')}`)] : []),
    ...problems.filter(({ kind, error }) => error && kind !== 'not_found').map(({ message }) => alarm(message))
  ]
}

function promptLine({ text, places }) {
  const element = line('', 'lumosx-prompt', '')
  const letters = [...text] // places count characters, JavaScript's strings count halves of some
  let at = 0
  for (const [start, end, colour] of places) {
    const word = document.createElement('span')
    word.textContent = letters.slice(start, end).join('')
    word.style.cssText = `background:${colour};color:#fff;border-radius:3px;padding:0 3px`
    element.append(letters.slice(at, start).join(''), word)
    at = end
  }
  element.append(letters.slice(at).join(''))
  return element
}

/** Above the node's title in the canvas renderer, where a long prompt pushes the words themselves out of sight. */
function drawAbove(context, node, text) {
  context.save()
  context.font = '14px sans-serif'
  context.fillStyle = ALARM
  let shown = text
  while (shown.length > 1 && context.measureText(shown).width > node.size[0] - 70) // beside the badge
    shown = `${shown.slice(0, Math.floor(shown.length * 0.95) - 2)}\u2026`
  context.fillText(shown, 4, -LiteGraph.NODE_TITLE_HEIGHT - 8)
  context.restore()
}

const isAsked = ({ objects, subjects, background, sample }) => objects.length || subjects.length || background || sample

function linesOf(verdict, node) {
  const path = pathTo(node.graph, node.graph.rootGraph ?? node.graph) ?? []
  return [...problemLines(verdict), ...offers(verdict, node, path, texts()), promptLine(verdict)]
}

app.registerExtension({
  name: 'lumosx.promptColours',
  nodeCreated(node) {
    if (node.comfyClass !== 'LumosXRelationGraph') return
    const element = document.createElement('div')
    element.className = 'lumosx-prompt-colours'
    element.style.cssText =
      'overflow:auto;overflow-wrap:anywhere;font-size:12px;line-height:1.5;padding:4px 8px;color:var(--input-text,#ddd)'
    const height = () => {
      const content = [...element.children].reduce((sum, each) => sum + each.offsetHeight, AROUND)
      return element.childElementCount ? Math.min(Math.max(content, LOW), HIGH) : 4
    }
    const widget = node.addDOMWidget('owned_words', 'lumosx_owned_words', element, {
      serialize: false,
      hideOnZoom: false,
      getValue: () => '',
      setValue: () => {},
      getMinHeight: height,
      getMaxHeight: height
    })
    widget.serialize = false // neither sent to the host nor stored in the workflow
    let shown = null // what is asked or drawn
    let timer = null
    const draw = (...lines) => {
      element.replaceChildren(...lines)
      element.scrollTop = 0
      node.setDirtyCanvas?.(true, true)
    }
    const look = async () => {
      if (!node.graph || node.graph !== app.canvas?.graph) return
      const question = questionOf(node)
      const now = JSON.stringify([question ?? null, texts()])
      if (now === shown) return
      shown = now
      if (!question) return draw(quiet(texts().unknown))
      if (!isAsked(question)) return draw()
      try {
        const verdict = await ask('/lumosx/words', question)
        if (shown === now) draw(...linesOf(verdict, node)) // else a later one is on its way
      } catch {
        if (shown !== now) return
        const prompt = quiet(question.prompt)
        prompt.title = texts().silent
        draw(prompt)
        setTimeout(() => shown === now && (shown = null), AGAIN)
      }
    }
    const anew = () => (shown = null) // a run may have brought another tokenizer
    const { onDrawForeground } = node
    node.onDrawForeground = function (context, ...rest) {
      const first = element.querySelector('.lumosx-problem')
      if (first) drawAbove(context, this, first.textContent)
      return onDrawForeground?.call(this, context, ...rest)
    }
    // The connected nodes tell nobody when their words change, so they are looked at while the node is on a canvas.
    const { onAdded, onRemoved } = node
    node.onAdded = function (...rest) {
      timer ??= setInterval(look, EVERY)
      api.addEventListener('execution_success', anew)
      return onAdded?.apply(this, rest)
    }
    node.onRemoved = function (...rest) {
      clearInterval(timer)
      timer = null
      api.removeEventListener('execution_success', anew)
      return onRemoved?.apply(this, rest)
    }
  }
})
