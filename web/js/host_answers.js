// What the strips in the nodes share that show an answer of the host: how it is asked, and lines of text.
import { api } from '../../../scripts/api.js'

export const EVERY = 400 // milliseconds between two looks at the nodes that a question comes from
export const AGAIN = 5000 // milliseconds until the host is asked once more when it did not answer
export const ALARM = '#ff7a7a'

/** An element with a text, a class and a style. */
export function line(text, className, style) {
  const element = document.createElement('div')
  element.textContent = text
  element.className = className
  element.style.cssText = style
  return element
}

/** The host's answer to a question, both as plain data. Throws where there is none. */
export async function ask(route, question) {
  const answer = await api.fetchApi(route, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(question)
  })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  return await answer.json()
}
