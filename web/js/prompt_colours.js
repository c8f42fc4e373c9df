// LumosX Relation Graph shows the prompt with every owner's words in the owner's colour while it is typed.
import { app } from '../../../scripts/app.js'
import { ownedWords } from './owned_words.js'

// The colours of lumosx_core/drawing/palette.py.
const SUBJECTS = ['#d65434', '#2c70cc', '#28925c', '#964eba', '#be8a10', '#ce468a', '#1492a0', '#706054']
const OBJECTS = ['#606c82', '#807448', '#548076', '#8a6270']
const BACKGROUND = '#5c625c'
const EVERY = 400 // milliseconds between two looks at the nodes that the words come from
const TEXTS = {
  en: { missing: 'not in the prompt' },
  zh: { missing: '\u63d0\u793a\u8bcd\u4e2d\u6ca1\u6709' }
}

const texts = () => TEXTS[app.extensionManager?.setting?.get('Comfy.Locale')] ?? TEXTS.en
const OFF = [2, 4] // modes of nodes that the host does not get: never, bypass

const isLinked = (node, name) => Boolean(node.inputs?.some((input) => input.name === name && input.link != null))
/** What a field says; undefined if another node fills it. */
const valueOf = (node, name) =>
  isLinked(node, name) ? undefined : node.widgets?.find((widget) => widget.name === name)?.value

/** The nodes behind the connected inputs whose names start with `prefix`; null for one that cannot be seen from here. */
function sources(node, prefix) {
  const found = []
  node.inputs?.forEach((input, slot) => {
    if (!input.name.startsWith(prefix) || input.link == null) return
    let source = node.getInputNode(slot)
    while (source?.type === 'Reroute' && source.inputs?.length) source = source.getInputNode(0)
    if (!OFF.includes(source?.mode)) found.push(source ?? null)
  })
  return found
}

/** What the connected nodes say, as `ownedWords` takes it; nodes whose words are not known (a sample folder) are left out. */
function phrasesOf(graph) {
  const phrases = []
  let owner = 0
  const say = (node, name, more) => {
    const words = node && valueOf(node, name)
    if (typeof words !== 'string') return
    const tag = String(valueOf(node, 'tag') ?? '').replaceAll(/[@\s]/g, '')
    phrases.push({ words: words.trim(), owner, tag, occurrence: valueOf(node, 'occurrence'), ...more })
  }
  for (const scene of sources(graph, 'background')) say(scene, 'phrase', { colour: BACKGROUND })
  owner += 1
  sources(graph, 'objects.').forEach((scene, index) => {
    say(scene, 'phrase', { colour: OBJECTS[index % OBJECTS.length] })
    owner += 1
  })
  sources(graph, 'subjects.').forEach((subject, index) => {
    const colour = SUBJECTS[index % SUBJECTS.length]
    if (subject?.comfyClass === 'LumosXSubject') {
      say(subject, 'name', { colour, number: String(index + 1), pictureless: !isLinked(subject, 'face') })
      for (const attribute of sources(subject, 'attributes.')) say(attribute, 'phrase', { colour, part: true })
    }
    owner += 1
  })
  return phrases
}

/** The prompt that is typed here; of a connected one nothing is known before a run. */
const promptOf = (graph) => valueOf(graph, 'prompt') ?? ''

function draw(element, text, phrases) {
  const { spans, missing } = ownedWords(text, phrases)
  const line = document.createElement('div')
  let at = 0
  for (const { start, end, phrase } of spans) {
    const word = document.createElement('span')
    word.textContent = text.slice(start, end)
    word.style.cssText = `background:${phrase.colour};color:#fff;border-radius:3px;padding:0 3px`
    line.append(text.slice(at, start), word)
    at = end
  }
  line.append(text.slice(at))
  element.replaceChildren(line)
  if (!missing.length) return
  const warning = document.createElement('div')
  warning.textContent = `${texts().missing}: ${missing.map((phrase) => phrase.words).join(', ')}`
  warning.style.cssText = 'color:#ff7a7a;margin-top:4px'
  element.append(warning)
}

app.registerExtension({
  name: 'lumosx.promptColours',
  nodeCreated(node) {
    if (node.comfyClass !== 'LumosXRelationGraph') return
    const element = document.createElement('div')
    element.className = 'lumosx-prompt-colours'
    element.style.cssText = 'overflow:auto;font-size:12px;line-height:1.5;padding:4px 8px;color:var(--input-text,#ddd)'
    const height = () => (element.childElementCount ? 64 : 4)
    const widget = node.addDOMWidget('owned_words', 'lumosx_owned_words', element, {
      serialize: false,
      hideOnZoom: false,
      getValue: () => '',
      setValue: () => {},
      getMinHeight: height,
      getMaxHeight: height
    })
    widget.serialize = false // neither sent to the host nor stored in the workflow
    let shown = null
    let timer = null
    const look = () => {
      const phrases = phrasesOf(node)
      const text = phrases.length ? promptOf(node) : ''
      const now = JSON.stringify([text, phrases, texts()])
      if (now === shown) return
      shown = now
      if (text) draw(element, text, phrases)
      else element.replaceChildren()
      node.setDirtyCanvas?.(true, true)
    }
    // The connected nodes tell nobody when their words change, so they are looked at while the node is on a canvas.
    const { onAdded, onRemoved } = node
    node.onAdded = function (...rest) {
      timer ??= setInterval(look, EVERY)
      return onAdded?.apply(this, rest)
    }
    node.onRemoved = function (...rest) {
      clearInterval(timer)
      timer = null
      return onRemoved?.apply(this, rest)
    }
  }
})
