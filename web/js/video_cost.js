// LumosX Encode References shows what the video will cost while its size and pictures are chosen, and a warning where LumosX Nano
// was not made for the size. The host reckons (POST /lumosx/work), as in a run.
import { app } from '../../../scripts/app.js'
import { AGAIN, ALARM, EVERY, ask, line } from './host_answers.js'
import { planOf } from './owned_words.js'

const HIGH = 100 // pixels of the lines, the most; longer ones scroll
const AROUND = 26 // their own padding and the host's margin around a widget
const TEXTS = {
  en: ({ tokens, pictures, step, memory }) =>
    `${pictures} pictures, ${tokens} tokens. Beside 832 x 480 x 81 without pictures: time of a step x ${step}, memory x ${memory}`,
  zh: ({ tokens, pictures, step, memory }) =>
    `${pictures} \u5f20\u56fe\u7247\uff0c${tokens} \u4e2a\u8bcd\u5143\u3002\u4e0e\u65e0\u56fe\u7247\u7684 832 x 480 x 81 \u76f8\u6bd4\uff1a\u6bcf\u6b65\u8017\u65f6 x ${step}\uff0c\u5185\u5b58 x ${memory}`
}

const language = () => app.extensionManager?.setting?.get('Comfy.Locale')
const rounded = (number) => String(Number(number.toPrecision(2)))

function linesOf({ work, warning }) {
  const told =
    work && (TEXTS[language()] ?? TEXTS.en)({ ...work, step: rounded(work.step), memory: rounded(work.memory) })
  return [
    ...(warning ? [line(warning, 'lumosx-problem', `color:${ALARM}`)] : []),
    ...(told ? [line(told, 'lumosx-cost', 'opacity:0.8')] : [])
  ]
}

app.registerExtension({
  name: 'lumosx.videoCost',
  nodeCreated(node) {
    if (node.comfyClass !== 'LumosXEncodeReferences') return
    const element = document.createElement('div')
    element.style.cssText =
      'overflow:auto;overflow-wrap:anywhere;font-size:11px;line-height:1.4;padding:2px 8px;color:var(--input-text,#ddd)'
    const height = () => {
      const content = [...element.children].reduce((sum, each) => sum + each.offsetHeight, AROUND)
      return element.childElementCount ? Math.min(content, HIGH) : 4
    }
    const widget = node.addDOMWidget('video_cost', 'lumosx_video_cost', element, {
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
      setTimeout(grow, 50) // once the lines have a height
    }
    const grow = () => {
      const least = node.graph ? node.computeSize()[1] : 0
      if (node.size[1] < least) node.setSize([node.size[0], least])
      node.setDirtyCanvas?.(true, true)
    }
    const look = async () => {
      if (!node.graph || node.graph !== app.canvas?.graph) return
      const plan = planOf(node)
      const now = JSON.stringify([plan ?? null, language()])
      if (now === shown) return
      shown = now
      if (!plan) return draw()
      try {
        const estimate = await ask('/lumosx/work', plan)
        if (shown === now) draw(...linesOf(estimate)) // else a later one is on its way
      } catch {
        if (shown !== now) return
        draw()
        setTimeout(() => shown === now && (shown = null), AGAIN)
      }
    }
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
